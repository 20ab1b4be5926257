"""The document of a verdict holds the verdict whole, and gives it back."""

from __future__ import annotations

import json
from dataclasses import fields

from analysis.verdict import Verdict
from flows.look.verdict_document import VerdictDocument, restored
from tests.builders.reports import report


def test_every_field_of_a_verdict_is_in_its_document_and_comes_back() -> None:
    verdict = report().verdict
    document = VerdictDocument.of(verdict, spec_hash="abc")
    assert {field.name for field in fields(Verdict)} <= set(VerdictDocument.model_fields)
    stored = json.loads(document.to_json())
    assert restored(Verdict, stored) == verdict
    assert (stored["exit_code"], stored["spec_hash"]) == (1, "abc")
