"""The JSON Schema of a spec, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from flows.formats.json_schema import schema_text
from flows.formats.time import shown_duration
from flows.spec.experiment import Experiment


class _AsWritten(GenerateJsonSchema):
    """Defaults as a person would write them: what an editor offers must be valid."""

    def encode_default(self, dft: Any) -> Any:
        """The default as plain data."""
        return _as_written(dft)


def _as_written(value: Any) -> Any:
    if isinstance(value, timedelta):
        return shown_duration(value)
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {name: _as_written(item) for name, item in fields.items() if item is not None}
    if isinstance(value, list):
        return [_as_written(item) for item in value]
    return value


def experiment_schema() -> str:
    """JSON Schema (draft 2020-12) of what a person may write in experiments/*.yaml."""
    schema = Experiment.model_json_schema(mode="validation", schema_generator=_AsWritten)
    return schema_text("experiment", schema)
