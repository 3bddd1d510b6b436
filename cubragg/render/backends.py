"""Which backend renders."""

from __future__ import annotations

from cubragg.errors import BackendUnavailable

BACKENDS = ("numpy",)


def choose(name: str) -> str:
    """The backend to use for ``auto`` or a name.

    Raises
    ------
    BackendUnavailable
        If there is none of that name.
    """
    if name == "auto":
        return BACKENDS[0]
    if name not in BACKENDS:
        raise BackendUnavailable(f"backend: got {name!r}; accepted are auto, {', '.join(BACKENDS)}")
    return name
