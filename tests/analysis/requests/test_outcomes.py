"""One outcome for every request: the table, row by row, and what a spec may change of it."""

from __future__ import annotations

import itertools

import pytest

from analysis.requests.outcomes import (
    FailureRule,
    RequestOutcome,
    Response,
    grpc_number,
    shown_response,
)

# The table: outcome by flag, whatever the code says, and by gRPC status.
BY_FLAG = {
    "injected": ("FI", "DI"),
    "abandoned": ("DC", "DR", "Cancel", "cancelled", "canceled"),
    "rejected": ("RL", "RLSE"),
    "failure": (
        *("UT", "UF", "UO", "UH", "UC", "UR", "URX", "UPE", "LR", "SI", "NC", "OM"),
        *("FailFast", "LoadShed", "RequestTimeout", "ResponseHeadersTimeout", "Io", "Unknown"),
        *("ResponseStreamTimeout", "IdleTimeout", "Refused", "EnhanceYourCalm", "Reset", "GoAway"),
    ),
}
BY_GRPC = {
    "success": ("", "0"),
    "abandoned": ("1",),
    "rejected": ("8",),
    "failure": ("2", "4", "13", "14", "15", "17", "99"),
    "client_error": ("3", "5", "6", "7", "9", "10", "11", "12", "16"),
}
BY_CODE = {
    "success": ("101", "200", "204", "301", "304"),
    "abandoned": ("0", "000"),
    "rejected": ("429",),
    "failure": ("500", "501", "502", "503", "504", "599"),
    "client_error": ("400", "401", "403", "404", "408", "418", "499"),
}
ORDER = ("injected", "abandoned", "rejected", "failure", "client_error", "success")


def _cases(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(label, outcome) for outcome, labels in table.items() for label in labels]


@pytest.mark.parametrize(("flag", "expected"), _cases(BY_FLAG))
def test_a_flag_decides_whatever_a_good_code_says(flag: str, expected: str) -> None:
    assert Response("200", "", (flag,)).outcome == expected


@pytest.mark.parametrize(("status", "expected"), _cases(BY_GRPC))
def test_grpc_statuses_are_one_list(status: str, expected: str) -> None:
    assert Response("200", status).outcome == expected
    assert Response("", status).outcome == (expected if status else "unknown")


@pytest.mark.parametrize(("code", "expected"), _cases(BY_CODE))
def test_codes(code: str, expected: str) -> None:
    assert Response(code).outcome == expected
    # NR and DPE go by their code, and so does a flag that nobody knows yet.
    for flag in ("NR", "DPE", "XYZ"):
        assert Response(code, "", (flag,)).outcome == expected


@pytest.mark.parametrize("code", ["600", "999", "-", "unknown", "OK"])
def test_what_is_no_http_status_tells_nothing(code: str) -> None:
    assert Response(code).outcome == "unknown"
    assert Response(code, "", ("UF",)).outcome == "failure"


def test_the_first_row_that_fits_is_the_outcome() -> None:
    parts = {
        (code, status, flag): {a, b, c}
        for code, a in _cases(BY_CODE)
        for status, b in _cases(BY_GRPC)
        for flag, c in [*_cases(BY_FLAG), ("NR", "success")]
    }
    for (code, status, flag), found in parts.items():
        expected = min(found, key=ORDER.index)
        assert Response(code, status, (flag,)).outcome == expected, (code, status, flag)


def test_flags_are_a_list_and_one_is_enough() -> None:
    for one, other in itertools.permutations(("DC", "UT", "RL", "NR"), 2):
        outcomes = {Response("200", "", (flag,)).outcome for flag in (one, other)}
        both = Response("200", "", tuple(sorted((one, other)))).outcome
        assert both == min(outcomes, key=ORDER.index)


def test_what_no_label_tells_is_unknown_and_no_success() -> None:
    assert Response("").outcome is RequestOutcome.UNKNOWN
    assert Response("", "", ("NR",)).outcome is RequestOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response("404", "", (), classified_failure=True), "failure"),
        (Response("500", "", (), classified_failure=False), "failure"),
        (Response("429", "", (), classified_failure=True), "rejected"),
        (Response("200", "7", (), classified_failure=True), "client_error"),
        (Response("200", "2", (), classified_failure=False), "failure"),
        (Response("", "", ("Cancel",), classified_failure=True), "abandoned"),
        (Response("", "", ("Reset",), classified_failure=False), "failure"),
        (Response("", "", (), classified_failure=True), "failure"),
    ],
)
def test_linkerds_own_classification_counts_for_http(response: Response, expected: str) -> None:
    assert response.outcome == expected


@pytest.mark.parametrize(
    ("response", "cut_off"),
    [
        (Response("0", "", ("DC",)), True),
        (Response("504", "", ("UT",)), True),
        (Response("200", "4"), True),
        (Response("200", "1"), True),
        (Response("", "", ("ResponseHeadersTimeout",), classified_failure=True), True),
        (Response("504"), False),
        (Response("503", "", ("UF",)), False),
        (Response("200"), False),
    ],
)
def test_cut_off_is_what_somebody_stopped_waiting_for(response: Response, cut_off: bool) -> None:
    assert response.cut_off == cut_off


def test_grpc_statuses_are_spelt_in_many_ways() -> None:
    for name in ("DEADLINE_EXCEEDED", "DeadlineExceeded", "deadline exceeded", "4"):
        assert grpc_number(name) == "4"
    assert (grpc_number("CANCELLED"), grpc_number("Canceled")) == ("1", "1")
    assert grpc_number("whatever") == "whatever"


def _by(rule: FailureRule, code: str, grpc: str = "", *flags: str) -> str:
    found = Response(code, grpc, flags).outcome
    return rule.outcome(found, code, grpc, frozenset(flags)).value


def test_a_spec_names_what_fails_and_the_other_lists_stay() -> None:
    rule = FailureRule(codes=frozenset(("5xx", "429")))
    assert _by(rule, "429") == "failure"
    assert _by(rule, "503") == "failure"
    assert _by(rule, "200", "14") == "failure"
    assert _by(rule, "200", "", "UT") == "failure"
    assert _by(rule, "404") == "client_error"
    assert _by(rule, "200") == "success"


def test_what_a_replaced_list_no_longer_names_is_what_it_is_otherwise() -> None:
    only_500 = FailureRule(codes=frozenset(("500",)))
    assert _by(only_500, "503") == "success"
    assert _by(only_500, "503", "", "UO") == "failure"
    no_flags = FailureRule(flags=frozenset())
    assert _by(no_flags, "200", "", "UT") == "success"
    assert _by(no_flags, "503", "", "UT") == "failure"
    assert _by(no_flags, "404", "", "UT") == "client_error"
    grpc = FailureRule(grpc=frozenset(("5", "14")))
    assert (_by(grpc, "200", "5"), _by(grpc, "200", "13")) == ("failure", "success")


def test_a_spec_can_make_clients_that_leave_a_failure_but_never_an_injected_fault() -> None:
    rule = FailureRule(codes=frozenset(("5xx", "0")), flags=frozenset(("DC", "FI")))
    assert _by(rule, "0", "", "DC") == "failure"
    assert _by(rule, "503", "", "FI") == "injected"
    assert _by(FailureRule(flags=frozenset(("cancel",))), "", "", "Cancel") == "failure"


def test_a_failure_by_classification_goes_with_the_codes() -> None:
    found = RequestOutcome.FAILURE
    assert FailureRule(flags=frozenset()).outcome(found, "404", "", frozenset()) == "failure"
    by_code = FailureRule(codes=frozenset(("5xx",)))
    assert by_code.outcome(found, "404", "", frozenset()) == "client_error"


def test_responses_are_shown_as_code_and_flags() -> None:
    assert shown_response("503", "", "UO") == "503/UO"
    assert shown_response("200", "14", "") == "200 grpc 14"
    assert shown_response("", "", "Cancel") == "Cancel"
    assert shown_response("", "", "") == "no answer"
