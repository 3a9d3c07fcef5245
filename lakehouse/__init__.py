"""A lakehouse declared in files. From Python: its tables as pandas frames or Arrow tables."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse.duck import read, read_arrow

__all__ = ["read", "read_arrow"]


def __getattr__(name: str) -> Any:
    """What is exported, loaded when first asked for: the start scripts need no Arrow."""
    if name in __all__:
        from lakehouse import duck

        return getattr(duck, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
