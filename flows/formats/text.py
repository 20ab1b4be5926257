"""Numbers of things, as a sentence has them."""


def counted(number: int, thing: str) -> str:
    """1 window, 2 windows, 1,000 windows."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
