"""The lock between processes: many readers or one writer, and who holds it is named."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from flows.warehouse.file_lock import LockHeld, file_lock
from tests.places import PATIENCE_S
from tests.servers.other_process import process


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


def test_readers_who_come_one_after_the_other_do_not_keep_a_writer_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            with file_lock(path, shared=True, deadline=time.monotonic() + 10):
                time.sleep(0.03)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
        time.sleep(0.01)
    try:
        for _ in range(5):
            with file_lock(path, shared=False, deadline=time.monotonic() + 1):
                pass
    finally:
        is_over.set()
        for reader in readers:
            reader.join()


def test_who_came_first_gets_it_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    served: list[int] = []

    def wait(number: int) -> None:
        with file_lock(path, shared=number % 3 == 0, deadline=time.monotonic() + 10):
            served.append(number)

    waiting = [threading.Thread(target=wait, args=(number,)) for number in range(12)]
    with file_lock(path, shared=False, deadline=soon()):
        for thread in waiting:
            thread.start()
            time.sleep(0.03)
    for thread in waiting:
        thread.join()

    readers = {0, 3, 6, 9}
    assert [n for n in served if n not in readers] == [n for n in range(12) if n not in readers]
    assert all(set(served[: n + 1]) >= set(range(n)) for n in range(12))


def test_who_is_killed_while_waiting_keeps_nobody_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    wait = (
        "import sys, time; from pathlib import Path\n"
        "from flows.warehouse.file_lock import file_lock\n"
        "print('waits', flush=True)\n"
        "with file_lock(Path(sys.argv[1]), shared=False, deadline=time.monotonic() + 60): pass"
    )

    def is_free() -> bool:
        try:
            with file_lock(path, shared=True, deadline=time.monotonic() + 0.1):
                return True
        except LockHeld:
            return False

    with file_lock(path, shared=True, deadline=soon()), process(wait, str(path)) as other:
        patience = time.monotonic() + PATIENCE_S
        while is_free():
            assert time.monotonic() < patience, "nobody waits"
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert is_free()
