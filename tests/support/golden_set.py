"""The golden set: command lines with the images, figures, headers and traces of the C program.

The compact copy under tests/golden/data holds sampled pixels of every float image; where a full set
lies beside the checkout (../shared/golden), whole images are compared as well.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "golden" / "data"
FULL = Path(__file__).resolve().parents[3] / "shared" / "golden"


@cache
def cases() -> dict[str, dict[str, Any]]:
    """Manifest entries by id."""
    return {case["id"]: case for case in json.loads((DATA / "manifest.json").read_text())}


def arguments(case: dict[str, Any]) -> list[str]:
    """The command line of a case, with the shipped input files."""
    return shlex.split(case["args"].replace("{in}", str(DATA / "inputs")))


@cache
def _compact() -> dict[str, np.ndarray]:
    with np.load(DATA / "golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def stored(case_id: str, name: str) -> np.ndarray | None:
    """An integer image of a case (``int_image``, ``pgm``, ``noise_image``), or ``None``."""
    return _compact().get(f"{case_id}/{name}")


def reference(case_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Flat places and the C program's float32 values there: all pixels if the full set is at hand."""
    if (FULL / f"{case_id}.npz").exists():
        with np.load(FULL / f"{case_id}.npz") as arrays:
            image = arrays["image"]
        return np.arange(image.size), image.ravel()
    return _compact()[f"{case_id}/places"], _compact()[f"{case_id}/values"]
