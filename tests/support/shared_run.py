"""What the processes of one test run compute once, and share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import RUN_FOLDER


def once(key: tuple[object, ...], make: Callable[[], Any]) -> Any:
    """Return what ``make`` returns, made by the first process of this test run that asks for ``key``."""
    folder = os.environ.get(RUN_FOLDER)
    if folder is None:  # a script that imports what tests use
        return make()
    path = Path(folder) / f"{hashlib.sha256(repr(key).encode()).hexdigest()}.pickle"
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return pickle.loads(path.read_bytes())
        made = make()
        whole = path.with_suffix(".part")
        whole.write_bytes(pickle.dumps(made))
        whole.rename(path)
        return made
