"""The lock between processes: many readers or one writer, and who holds it is named."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flows.warehouse.file_lock import LockHeld, file_lock


def soon() -> float:
    return time.monotonic() + 0.1


def test_many_may_hold_it_shared(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        file_lock(path, shared=True, deadline=soon()),
        file_lock(path, shared=True, deadline=soon()),
    ):
        assert path.exists()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False)])
def test_a_writer_is_alone_and_is_named(tmp_path: Path, first: bool, second: bool) -> None:
    path = tmp_path / "lock"
    with (
        file_lock(path, shared=first, deadline=soon()),
        pytest.raises(LockHeld) as held,
        file_lock(path, shared=second, deadline=soon()),
    ):
        pass

    assert held.value.holders in ((os.getpid(),), ())


def test_it_is_free_again_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), file_lock(path, shared=False, deadline=soon()):
        raise KeyError

    with file_lock(path, shared=False, deadline=soon()):
        assert path.exists()
