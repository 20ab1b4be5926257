"""Types of arrays; and numpy for modules that every spec comes by, which may need no array."""

from typing import TYPE_CHECKING, Any

__all__ = ["BoolArray", "FloatArray", "IntArray", "np"]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
else:

    class _ImportedOnce:
        """numpy, imported when the first array is made: a gate may print what stands without."""

        def __getattr__(self, name: str) -> Any:
            import numpy  # noqa: PLC0415

            return getattr(numpy, name)

    np = _ImportedOnce()
    FloatArray = IntArray = BoolArray = Any
