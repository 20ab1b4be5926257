"""Servers: passwords are kept nowhere, and one way to log in is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.spec.sources import PrometheusSource
from flows.workspace.experiments import load_spec
from tests.builders.spec_texts import SHORTEST, problems_of


def test_password_in_a_url_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    path = tmp_path / "exam.yaml"
    secret = "http://joe:s3cret@prometheus:9090"
    path.write_text(SHORTEST.replace("http://prometheus:9090", secret))
    spec = load_spec(path)
    assert isinstance(spec.sources.requests, PrometheusSource)
    assert spec.sources.requests.url == secret
    assert "s3cret" not in spec.model_dump_json()
    plain = tmp_path / "plain" / "exam.yaml"
    plain.parent.mkdir()
    plain.write_text(SHORTEST)
    # Another password is no other experiment.
    assert spec.spec_hash == load_spec(plain).spec_hash
    (found,) = problems_of(tmp_path, SHORTEST.replace("http://", "htp://joe:s3cret@"))
    assert "is 'htp://prometheus:9090', must be a URL" in found


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("user_env: U", "user_env and password_env are needed together"),
        ("token_env: T, user_env: U, password_env: P", "not both"),
    ],
)
def test_one_way_to_log_in_is_complete(tmp_path: Path, fields: str, said: str) -> None:
    text = SHORTEST.replace('9090"}', f'9090", {fields}}}')
    assert any(said in problem for problem in problems_of(tmp_path, text))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("user_id: uid", "columns.user_id: unknown field 'user_id' (did you mean 'user'?)"),
        (
            "exposed_at: seen",
            "columns.exposed_at: unknown field 'exposed_at'; there are user, variant, outcome, va",
        ),
    ],
)
def test_column_that_is_named_by_its_default_name_is_told_by_the_right_one(
    tmp_path: Path, written: str, said: str
) -> None:
    rows = f"  exposures: {{files: e.csv, columns: {{{written}}}}}\n  outcomes: {{files: o.csv}}\n"
    (found,) = problems_of(tmp_path, SHORTEST.replace("sources:\n", f"sources:\n{rows}"))
    assert said in found
