"""Pluralised counts, and sizes."""


def counted(number: int, thing: str) -> str:
    """1 window, 2 windows, 1,000 windows."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def said_size(size: float) -> str:
    """A size in bytes, in the largest unit of which it is at least one."""
    units = ((1 << 30, "GB"), (1_000_000, "MB"), (1_000, "kB"))
    unit, name = next((each for each in units if size >= each[0]), units[-1])
    return f"{size / unit:,.1f} {name}"
