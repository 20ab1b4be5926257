"""What is printed commands no terminal, whoever has written it."""

from __future__ import annotations

import sys

import pytest

from flows.cli.stdout import printable_output

HOSTILE = "v1\x1b]0;title\x07\x1b[2J\x9b31m\u202eX\r\n\tkept"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_control_characters_of_others_are_replaced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    with printable_output():
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not set(text.replace("\x1b[2J", "")) & set("\x1b\x07\x9b\u202e")
        assert text.endswith("\n\tkept\n")
    assert ("\x1b" in out) is is_terminal
    assert "\x1b" not in err
