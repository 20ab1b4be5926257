"""`make fuzz`: every target for its part of ten minutes, by hypothesis and, where it is installed,
by atheris, which looks for inputs that reach new code. Inputs that do, and those that break one,
are kept in build/fuzz; the next run begins with them.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import importlib.util
import re
import resource
import signal
import subprocess
import sys
import time
from types import FrameType

from tests.places import REPOSITORY, at_load

HANG_S, LARGEST_MB = 5, 1024
_KEPT = REPOSITORY / "build" / "fuzz"


class Hang(Exception):
    """An input took longer than it may."""


def _hang(_: int, __: FrameType | None) -> None:
    raise Hang(f"over {HANG_S} s, or as much longer as the machine is loaded")


def _by_hypothesis(target: str, seconds: float, seed: int) -> int:
    """Tries edited inputs until the time is over; returns how many."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings  # noqa: PLC0415
    from hypothesis import seed as seeded  # noqa: PLC0415

    from tests.fuzz.edits import edited  # noqa: PLC0415
    from tests.fuzz.targets import TARGETS, seeds, tokens  # noqa: PLC0415

    check, tried, until = TARGETS[target], 0, time.monotonic() + seconds
    inputs = edited(list(seeds(target)), tokens(target))
    signal.signal(signal.SIGALRM, _hang)
    for data in seeds(target):
        check(data)  # what is imported, started and opened once counts for no input

    def once(data: bytes) -> None:
        nonlocal tried
        if time.monotonic() > until:
            return
        tried += 1
        patience_s = at_load(HANG_S)
        signal.setitimer(signal.ITIMER_REAL, patience_s)
        # What stays in C hears no alarm.
        faulthandler.dump_traceback_later(4 * patience_s, exit=True)
        try:
            check(data)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            if peak > LARGEST_MB:
                raise MemoryError(f"{peak:.0f} MB")
        except BaseException:
            _keep(target, data)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()

    number = 0
    while time.monotonic() < until:
        number += 1
        run = settings(
            max_examples=300,
            deadline=None,
            database=None,
            verbosity=Verbosity.quiet,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )(seeded(1000 * seed + number)(given(inputs)(once)))
        run()
    return tried


def _keep(target: str, data: bytes) -> None:
    folder = _KEPT / target / "broken"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    print(f"{target}: broken by {path}", file=sys.stderr, flush=True)


def _by_atheris(target: str, seconds: float, seed: int) -> None:
    """libFuzzer's own loop, which ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["flows"]):
        # What commands import only when they need it, too.
        importlib.import_module("tests.chaos.preloaded")
        from tests.fuzz.targets import CORPUS, TARGETS  # noqa: PLC0415

    # New inputs go to the first folder, those of the repository stay as they are.
    found, broken = _KEPT / target / "corpus", _KEPT / target / "broken"
    for folder in (found, broken):
        folder.mkdir(parents=True, exist_ok=True)
    limits = [
        f"-timeout={round(at_load(HANG_S))}",
        f"-rss_limit_mb={LARGEST_MB}",
        f"-seed={seed}",
        "-max_len=20000",
    ]
    limits += [f"-max_total_time={max(1, round(seconds))}", f"-artifact_prefix={broken}/"]
    check = TARGETS[target]
    atheris.Setup(["fuzz", str(found), str(CORPUS / target), *limits], check)
    atheris.Fuzz()


def _main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", help="one of them, in this process")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    options = parser.parse_args()
    if options.target and options.engine == "atheris":
        _by_atheris(options.target, options.seconds, options.seed)
    if options.target:
        tried = _by_hypothesis(options.target, options.seconds, options.seed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{options.target:12} hypothesis {tried:7} inputs, at most {peak} MB")
        return 0
    return _all(options.seconds, options.seed)


def _all(seconds: float, seed: int) -> int:
    from tests.fuzz.targets import SHARES, TARGETS  # noqa: PLC0415

    engines = ["hypothesis", *(["atheris"] if importlib.util.find_spec("atheris") else [])]
    if len(engines) == 1:
        print(
            "atheris is not installed (pip install atheris): by hypothesis alone", file=sys.stderr
        )
    share_s = seconds / sum(SHARES.get(target, 1) for target in TARGETS)
    failed = []
    for target in TARGETS:
        # Of another process atheris sees no code.
        fitting = engines[:1] if target == "http" else engines
        each = share_s * SHARES.get(target, 1) / len(fitting)
        for engine in fitting:
            command = [sys.executable, "-m", "tests.fuzz", "--target", target, "--engine", engine]
            command += ["--seconds", str(each), "--seed", str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            print(done.stdout if engine == "hypothesis" else _said(target, done.stderr), end="")
            sys.stdout.flush()
            if done.returncode:
                failed.append(f"{target} by {engine}")
                print(done.stderr[-4000:], file=sys.stderr)
    print("broken: " + ", ".join(failed) if failed else "nothing broke")
    return 1 if failed else 0


def _said(target: str, log: str) -> str:
    """libFuzzer's last count."""
    last = re.findall(r"^#\d.*", log, re.MULTILINE)[-1:] or [log[-300:]]
    return f"{target:12} atheris    {last[0]}\n"


if __name__ == "__main__":
    sys.exit(_main())
