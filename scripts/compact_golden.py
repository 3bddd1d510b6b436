#!/usr/bin/env python3
"""Make the compact golden set of the tests from a full one.

    python scripts/compact_golden.py GOLDEN_FOLDER

A full set is a manifest.json (command lines, figures, headers and traces of the C program),
an .npz of its images per case, and an inputs folder. Of each float image the compact set keeps
every pixel up to 64 x 64, else a lattice over the whole image and a patch around its maximum;
integer images are kept whole. Manifest and inputs are kept as they are.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "tests" / "golden" / "data"
WHOLE_UP_TO = 64 * 64
LATTICE_POINTS = 4500
PATCH = 40


def places(image: np.ndarray) -> np.ndarray:
    """Flat indices of the pixels that are kept, int32, ascending."""
    slow, fast = image.shape
    if image.size <= WHOLE_UP_TO:
        return np.arange(image.size, dtype=np.int32)
    step = math.ceil(math.sqrt(image.size / LATTICE_POINTS))
    lattice = np.add.outer(np.arange(step // 2, slow, step) * fast, np.arange(step // 2, fast, step))
    peak = np.unravel_index(image.argmax(), image.shape)
    corner = [min(max(int(place) - PATCH // 2, 0), size - PATCH) for place, size in zip(peak, image.shape, strict=True)]
    patch = np.add.outer((corner[0] + np.arange(PATCH)) * fast, corner[1] + np.arange(PATCH))
    ends = np.array([0, image.size - 1])
    return np.unique(np.concatenate([ends, lattice.ravel(), patch.ravel()])).astype(np.int32)


def main(folder: Path) -> None:
    """Write the compact set."""
    TARGET.mkdir(parents=True, exist_ok=True)
    kept: dict[str, np.ndarray] = {}
    for case in json.loads((folder / "manifest.json").read_text()):
        with np.load(folder / f"{case['id']}.npz") as images:
            for name in images.files:
                if name != "image":
                    kept[f"{case['id']}/{name}"] = images[name]
            pick = places(images["image"])
            kept[f"{case['id']}/places"] = pick
            kept[f"{case['id']}/values"] = images["image"].ravel()[pick]
    np.savez_compressed(TARGET / "golden.npz", **kept)
    shutil.copyfile(folder / "manifest.json", TARGET / "manifest.json")
    shutil.copytree(folder / "inputs", TARGET / "inputs", dirs_exist_ok=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
