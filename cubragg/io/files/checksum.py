"""Checks that a file that a saved experiment or data set names is still the one of then."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cubragg.errors import ConfigError


def check_sha256(where: str, path: Path | str, expected: str | None, setting: str = "") -> str:
    """Return the SHA-256 of a file.

    Parameters
    ----------
    where
        Begins the message.
    expected
        SHA-256 that was saved; ``None``: any.
    setting
        The setting that holds it, if it may be removed.

    Raises
    ------
    ConfigError
        If there is no such file, or it has another SHA-256.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(where, f"got {str(path)!r}; there is no such file")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected not in (None, found):
        cure = f"restore that file{setting and f', or remove {setting}'}"
        raise ConfigError(where, f"got {str(path)!r} with SHA-256 {found:.12}, but the file that was named had "
                          f"{expected!s:.12}; {cure}")
    return found
