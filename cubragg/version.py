"""The version of the installed package."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version, or ``0+unknown`` in a checkout that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("cubragg")
    except metadata.PackageNotFoundError:
        return "0+unknown"
