"""Text that leaves the process holds no secret, whatever it is made of."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from flows.formats.problems import UserError
from flows.formats.safe_text import (
    hide,
    make_logs_safe,
    read_secret,
    safe_text,
    safe_traceback,
    safe_url,
)

SECRET = "hunter2-Zq7"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"http://u:{SECRET}@h:9090/x failed", "http://h:9090/x failed"),
        (f"http://u:p@{SECRET}@h/x", "http://h/x"),
        (f"ftp://{SECRET}@h", "ftp://h"),
        (f"http://h/x?token={SECRET}", "http://h/x?token=***"),
        (f"http://h/x?a=1&access_token={SECRET}&b=2", "http://h/x?a=1&access_token=***&b=2"),
        (f"http://h/x#access_token={SECRET}", "http://h/x#access_token=***"),
        (f"http://h/x?x-auth={SECRET}&author=me", "http://h/x?x-auth=***&author=me"),
        (f"can't reach 'u:{SECRET}@h:1'", "can't reach '***@h:1'"),
        (f"//u:{SECRET}@h/p", "//h/p"),
        (f"s3:/key:{SECRET}@bucket/x", "***@bucket/x"),
        (f"http://h/x?api-key={SECRET}", "http://h/x?api-key=***"),
        (f"http://h/x?X-Amz-Signature={SECRET}", "http://h/x?X-Amz-Signature=***"),
        (f"header value: 'Bearer {SECRET}'", "header value: 'Bearer ***'"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "Authorization: Basic ***"),
        (f"host=h password={SECRET} dbname=d", "host=h password=*** dbname=d"),
        (f"host=h password = 'a {SECRET}' dbname=d", "host=h password=*** dbname=d"),
        ("\x1b[31mred\x1b[0m\u202e", "\ufffd[31mred\ufffd[0m\ufffd"),
    ],
)
def test_secrets_are_found_by_their_place(text: str, safe: str) -> None:
    assert safe_text(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "http://prometheus:9090/graph?g0.expr=up",
        "Basic authentication failed",
        "a@b.example is no address",
        "registry.example/app:1.2@sha256:0c5d",
        "rate(seconds[5m:30s]@start())",
        "password_env: environment variable PW is not set",
        "2 lines\n\tand a tab",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize("form", ["{0}", "'{0}\\n'", "x{0}y", "{1}", "{2}"])
def test_a_known_secret_is_found_however_it_is_written(form: str) -> None:
    secret = "pa ss/w%rd\n"
    hide(secret)
    text = form.format(secret, "pa%20ss%2Fw%25rd", "pa+ss%2Fw%25rd")
    assert "ss" not in safe_text(text)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        (f"http://u:{SECRET}@h/p", "http://h/p"),
        (f"http://u:{SECRET} x@h/p", "http://h/p"),
        (f"http://u:{SECRET}\n@h/p", "http://h/p"),
        (f"u:{SECRET}@h/p", "h/p"),
        (f"http://h/p#token={SECRET}", "http://h/p"),
        (f"http://h/p?token={SECRET}", "http://h/p"),
        (f"http://h/p?tenant=a&token={SECRET}", "http://h/p?tenant=a"),
        (f"http://h/p?tenant=a&subscription-key={SECRET}", "http://h/p?tenant=a"),
        (f"http://h/p?{SECRET}", "http://h/p"),
        ("http://h/p", "http://h/p"),
        (f"http://[::1/p?token={SECRET}", "http://[::1/p?token=***"),
    ],
)
def test_a_safe_url_is_still_a_url(url: str, safe: str) -> None:
    assert safe_url(url) == safe


@pytest.mark.parametrize("written", [f"{SECRET}\n", f"{SECRET}\r\n", f"\n{SECRET}", f"  {SECRET} "])
def test_a_token_is_stripped(written: str) -> None:
    assert read_secret({"T": written}, "T", is_token=True) == SECRET


NO_TOKENS = ("", "\n", " ", f"a\n{SECRET}", f"{SECRET}\x00", "é" * 9)


@pytest.mark.parametrize("written", NO_TOKENS)
def test_what_is_no_token_is_refused_without_being_quoted(written: str) -> None:
    with pytest.raises(ValueError, match="environment variable T") as refused:
        read_secret({"T": written}, "T", is_token=True)
    assert SECRET not in str(refused.value)
    assert SECRET not in safe_text(f"elsewhere: {written!r}")


def test_a_password_keeps_its_spaces() -> None:
    assert read_secret({"P": " a b \n"}, "P") == " a b "


def _fail() -> None:
    try:
        raise KeyError(f"http://u:{SECRET}@h")
    except KeyError as error:
        raise UserError(f"http://h?token={SECRET}") from error


def test_an_error_of_ours_is_safe_and_so_is_its_traceback() -> None:
    with pytest.raises(UserError) as failed:
        _fail()
    assert str(failed.value) == "http://h?token=***"
    assert "KeyError" in safe_traceback(failed.value)
    assert SECRET not in safe_traceback(failed.value)


@pytest.fixture
def _factory() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("_factory")
def test_every_log_record_is_safe() -> None:
    make_logs_safe()
    hide(SECRET)
    told = io.StringIO()
    log = logging.Logger("other", logging.INFO)
    log.addHandler(logging.StreamHandler(told))
    try:
        raise KeyError(SECRET)
    except KeyError:
        log.exception("asked %s with %s", f"http://u:{SECRET}@h", SECRET)
    assert "asked http://h with ***" in told.getvalue()
    assert "KeyError" in told.getvalue()
    assert SECRET not in told.getvalue()
