"""How a request ended: exactly one outcome, by one table for all meshes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class RequestOutcome(StrEnum):
    """How a request ended; `UNKNOWN` is what no label of the mesh tells."""

    INJECTED = "injected"
    """A fault or a delay that somebody configured."""
    ABANDONED = "abandoned"
    """The client left before the answer was whole."""
    REJECTED = "rejected"
    """A limit refused it."""
    FAILURE = "failure"
    """The fault of the service or of the mesh."""
    CLIENT_ERROR = "client_error"
    """The request was wrong, as far as one can see."""
    SUCCESS = "success"
    UNKNOWN = "unknown"


# An answer was given, good or bad: what an error share is a share of.
ANSWERED = frozenset(
    (
        RequestOutcome.SUCCESS,
        RequestOutcome.FAILURE,
        RequestOutcome.CLIENT_ERROR,
        RequestOutcome.REJECTED,
        RequestOutcome.UNKNOWN,
    )
)

# Flags are Envoy's; names in lower case are errors of Linkerd's proxy.
_INJECTED_FLAGS = frozenset(("FI", "DI"))
_ABANDONED_FLAGS = frozenset(("DC", "DR", "cancel", "cancelled", "canceled"))
_REJECTED_FLAGS = frozenset(("RL", "RLSE"))
# NR (no route) and DPE (protocol error of the client) go by their code: bots, broken clients.
FAILURE_FLAGS = frozenset(
    (
        *("UT", "UF", "UO", "UH", "UC", "UR", "URX", "UPE", "LR", "SI", "NC", "OM", "LH"),
        *("UMSDR", "DT", "NFCF", "DF", "DO"),
        *("failfast", "loadshed", "requesttimeout", "responseheaderstimeout"),
        *("responsestreamtimeout", "idletimeout", "refused", "enhanceyourcalm", "reset"),
        *("goaway", "io", "unknown"),
    )
)
_ENVOY_FLAGS = frozenset(
    flag
    for flags in (_INJECTED_FLAGS, _ABANDONED_FLAGS, _REJECTED_FLAGS, FAILURE_FLAGS)
    for flag in flags
    if flag.isupper()
)
# A label that would tell how it ended is missing.
NO_GRPC_STATUS = "no-grpc-status"
# Somebody stopped waiting: the answer would have taken longer than was measured.
_CUT_OFF_FLAGS = frozenset(
    (
        *("UT", "SI", "UMSDR", "DT", "requesttimeout", "responseheaderstimeout"),
        *("responsestreamtimeout", "idletimeout"),
    )
)
_CUT_OFF_GRPC = frozenset("4")

FAILURE_GRPC = frozenset(("2", "4", "13", "14", "15"))
_CLIENT_GRPC = frozenset(("3", "5", "6", "7", "9", "10", "11", "12", "16"))
_GRPC_NAMES = (
    *("ok", "cancelled", "unknown", "invalidargument", "deadlineexceeded", "notfound"),
    *("alreadyexists", "permissiondenied", "resourceexhausted", "failedprecondition", "aborted"),
    *("outofrange", "unimplemented", "internal", "unavailable", "dataloss", "unauthenticated"),
)
_GRPC_NUMBERS = {name: str(number) for number, name in enumerate(_GRPC_NAMES)} | {"canceled": "1"}


@dataclass(frozen=True, slots=True)
class Response:
    """What a mesh says of how a request ended.

    code: HTTP status, "0" where there was no answer, "" where no label says it. grpc_status: as a
    number, "" without one. flags: sorted, each once. classified_failure: the mesh's own opinion of
    an HTTP answer, None where it has none.
    """

    code: str
    grpc_status: str = ""
    flags: tuple[str, ...] = ()
    classified_failure: bool | None = None

    @property
    def outcome(self) -> RequestOutcome:
        """The first row of the table that fits."""
        flags = {_known_spelling(flag) for flag in self.flags}
        if flags & _INJECTED_FLAGS:
            return RequestOutcome.INJECTED
        if (
            (self.code and not self.code.strip("0"))
            or flags & _ABANDONED_FLAGS
            or self.grpc_status == "1"
        ):
            return RequestOutcome.ABANDONED
        if self.code == "429" or flags & _REJECTED_FLAGS or self.grpc_status == "8":
            return RequestOutcome.REJECTED
        if self._failed or flags & FAILURE_FLAGS or _fails(self.grpc_status):
            return RequestOutcome.FAILURE
        return self._harmless

    @property
    def cut_off(self) -> bool:
        """Whether the client or a time-out ended it before its answer was whole."""
        flags = {_known_spelling(flag) for flag in self.flags}
        by_timeout = bool(flags & _CUT_OFF_FLAGS) or self.grpc_status in _CUT_OFF_GRPC
        return by_timeout or self.outcome is RequestOutcome.ABANDONED

    @property
    def _failed(self) -> bool:
        """Whether the HTTP answer is a failure, by its code or as the mesh classifies it.

        5xx is one whatever the mesh says; a gRPC answer goes by its code and status alone.
        """
        classified = bool(self.classified_failure) and not self.grpc_status
        return self.code.startswith("5") or classified

    @property
    def _harmless(self) -> RequestOutcome:
        if self.code.startswith("4") or self.grpc_status in _CLIENT_GRPC:
            return RequestOutcome.CLIENT_ERROR
        if NO_GRPC_STATUS in self.flags:
            return RequestOutcome.UNKNOWN
        # No HTTP status is 600 or above: a code that isn't one tells nothing.
        is_told = (
            self.code[:1] in tuple("123") or self.grpc_status or self.classified_failure is not None
        )
        return RequestOutcome.SUCCESS if is_told else RequestOutcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class FailureRule:
    """Which responses fail, where a spec says it; None leaves the table's own list.

    codes: HTTP statuses or classes ("429", "5xx"); grpc: numbers; flags: as the mesh has them.
    """

    codes: frozenset[str] | None = None
    grpc: frozenset[str] | None = None
    flags: frozenset[str] | None = None

    def outcome(
        self, found: RequestOutcome, code: str, grpc_status: str, flags: frozenset[str]
    ) -> RequestOutcome:
        """The outcome by this rule of a response that has another one (`found`) by the table.

        What the rule names fails, whatever the table says of it; only an injected fault doesn't.
        What fails by a list that the rule replaces is what it would be without that list.
        """
        if found is RequestOutcome.INJECTED:
            return found
        own = {_known_spelling(flag) for flag in flags}
        named = {_known_spelling(flag) for flag in self.flags or ()}
        by_code = _has_code(self.codes or (), code)
        if by_code or grpc_status in (self.grpc or ()) or own & named:
            return RequestOutcome.FAILURE
        if found is not RequestOutcome.FAILURE:
            return found
        by_grpc, by_flag = _fails(grpc_status), bool(own & FAILURE_FLAGS)
        # A failure that neither status nor flag explains is one by its code or classification.
        by_code = code.startswith("5") or not (by_grpc or by_flag)
        still = (
            (by_code and self.codes is None)
            or (by_grpc and self.grpc is None)
            or (by_flag and self.flags is None)
        )
        return found if still else Response(code, grpc_status, (), False)._harmless


def grpc_number(text: str) -> str:
    """A gRPC status as its number: "14", "UNAVAILABLE" and "Unavailable" are the same one."""
    return _GRPC_NUMBERS.get(re.sub(r"[ _]", "", text).lower(), text)


def is_grpc_status(text: str) -> bool:
    """Whether a text is the number of a gRPC status."""
    return text in _GRPC_NUMBERS.values()


def shown_response(code: str, grpc_status: str, flags: str) -> str:
    """As in a sentence: 503/UO, 200/UT, 200 grpc 14; "no answer" where nothing is known of it."""
    status = " ".join(part for part in (code, grpc_status and f"grpc {grpc_status}") if part)
    return "/".join(part for part in (status, flags) if part) or "no answer"


def _fails(grpc_status: str) -> bool:
    """A status that gRPC doesn't define counts as UNKNOWN, as gRPC has it."""
    return grpc_status in FAILURE_GRPC or bool(grpc_status and not is_grpc_status(grpc_status))


def _has_code(codes: frozenset[str] | tuple[str, ...], code: str) -> bool:
    return code in codes or bool(code and f"{code[0]}xx" in codes)


def _known_spelling(flag: str) -> str:
    """Envoy's flags are upper case; Linkerd's errors are spelt in several ways."""
    if flag.upper() in _ENVOY_FLAGS:
        return flag.upper()
    return re.sub(r"[ _-]", "", flag).lower()
