"""The short form of `make fuzz`: the kept inputs, and a few near them."""

from __future__ import annotations

from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz import targets
from tests.fuzz.edits import edited
from tests.fuzz.targets import CORPUS, TARGETS, Broken, check_canary, check_spec, seeds, tokens

EXAMPLES = 6


def test_every_target_has_kept_inputs() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(len(list(seeds(target))) > 0 for target in TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_what_reads_it(target: str) -> None:
    check = TARGETS[target]
    for data in seeds(target):
        check(data)
    inputs = edited(list(seeds(target)), tokens(target))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @seed(1)
    @given(inputs)
    def near(data: bytes) -> None:
        check(data)

    near()


@pytest.mark.parametrize(
    ("code", "said"),
    [(1, "no decision"), (2, ""), (2, "Traceback (most recent call last):\nKeyError"), (-11, "")],
)
def test_what_no_input_may_lead_to_is_found(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "verdict", lambda *_: CompletedProcess([], code, "", said))
    for check in (check_spec, check_canary):
        with pytest.raises(Broken):
            check(b"")
