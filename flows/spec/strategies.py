"""The spec's `strategy`: a kind of analysis/strategies with its parameters."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter, create_model
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

import analysis.strategies
from analysis.strategies.declaration import Counter, FieldKind, Strategy
from flows.formats.yaml_file import YamlDocument
from flows.spec.fields import Duration, Number, Share, Strict
from flows.spec.measured import CounterText

# What its counters are pulled as; no metric has such a name.
STRATEGY = "(strategy)"
# Labels: they stand in selectors.
LABEL_PATTERN = r"^[A-Za-z0-9_./ -]*$"
# Values of labels, such as routes: they are compared, and stand in no selector.
VALUE_PATTERN = r"^[^\x00-\x1f\x7f]*$"
_TYPES: Mapping[FieldKind, Any] = {
    FieldKind.SHARE: Annotated[Share, Field(ge=0, le=1)],
    FieldKind.BUDGET: Annotated[Share, Field(gt=0, lt=1)],
    FieldKind.NUMBER: Annotated[Number, Field(gt=0)],
    FieldKind.DURATION: Duration,
    FieldKind.TEXT: Annotated[str, Field(pattern=LABEL_PATTERN)],
    FieldKind.COUNTER: CounterText,
    FieldKind.NAMES: tuple[Annotated[str, Field(pattern=VALUE_PATTERN)], ...],
}


def _found() -> Iterator[type[Strategy]]:
    """The class of each module of the package."""
    for one in pkgutil.iter_modules(analysis.strategies.__path__):
        module = importlib.import_module(f"{analysis.strategies.__name__}.{one.name}")
        for value in vars(module).values():
            is_own = getattr(value, "__module__", "") == module.__name__
            if is_own and isinstance(getattr(value, "kind", None), str):
                yield value


class StrategyFields(Strict):
    """What every kind may have beside its own parameters."""

    clusters: dict[str, str] = Field(
        default_factory=dict,
        description="The Envoy cluster of each variant, where it isn't called as the variant's "
        "version (mesh envoy) or subset (mesh istio).",
    )

    @property
    def strategy(self) -> Strategy:
        """The kind with these parameters."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        kind, _ = own.pop("kind"), own.pop("clusters")
        return strategy_kinds()[kind](
            **{k: v.total_seconds() if isinstance(v, timedelta) else v for k, v in own.items()}
        )

    @property
    def counters(self) -> Mapping[str, Counter]:
        """What the kind counts."""
        return self.strategy.counters


def _model(kind: str, strategy: type[Strategy]) -> type[StrategyFields]:
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for one in dataclasses.fields(strategy):  # type: ignore[arg-type]  # the protocol says it
        of_kind = FieldKind(one.metadata["kind"])
        default: Any = one.default
        default = timedelta(seconds=default) if of_kind is FieldKind.DURATION else default
        fields[one.name] = (_TYPES[of_kind], Field(default, description=one.metadata["says"]))
    doc = (strategy.__doc__ or "").split("\n")[0]
    return create_model(strategy.__name__, __base__=StrategyFields, __doc__=doc, **fields)


@cache
def strategy_kinds() -> Mapping[str, type[Strategy]]:
    """Every strategy by its kind. Found when first asked for: most specs have none."""
    return {one.kind: one for one in _found()}


@cache
def strategy_models() -> Mapping[str, type[StrategyFields]]:
    """What a spec may say of each."""
    return {kind: _model(kind, one) for kind, one in strategy_kinds().items()}


@cache
def _choice() -> TypeAdapter[StrategyFields]:
    models: Any = reduce(or_, strategy_models().values())
    return TypeAdapter(Annotated[models, Field(discriminator="kind")])


class _OneOfAll:
    """Reads a strategy by the model of its kind."""

    def __get_pydantic_core_schema__(self, *_: object) -> CoreSchema:
        return no_info_plain_validator_function(lambda value: _choice().validate_python(value))

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(_choice().core_schema)


StrategyChoice = Annotated[StrategyFields, _OneOfAll()]


def with_strategy(document: YamlDocument) -> YamlDocument:
    """The spec with the metrics of its strategy, where it says no others by those names.

    What it says of one goes before.
    """
    data = document.data
    written = data.get("strategy") if isinstance(data, dict) else None
    model = strategy_models().get(str(written.get("kind"))) if isinstance(written, dict) else None
    own = data.get("metrics", {}) if isinstance(data, dict) else None
    if model is None or not isinstance(own, dict):
        return document
    try:
        default = model.model_validate(written).strategy.metrics
    except ValueError:  # said with the other findings
        return document
    said = {name: one for name, one in own.items() if not isinstance(one, dict)}
    merged = {
        name: {**default.get(name, {}), **own.get(name, {})}
        for name in dict.fromkeys((*default, *own))
        if name not in said
    }
    return dataclasses.replace(document, data={**data, "metrics": {**merged, **said}})
