"""The truth of a data set, and the lattices that DIALS finds beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

#: Images that part two passages of a reflection through the sphere.
APART = 8


class Lattice(NamedTuple):
    """A lattice that was found, beside the true one.

    Attributes
    ----------
    choice
        Whole numbers [3, 3]: the axes that were found, by rows, in terms of the true ones.
    multiple
        Volume of the cell that was found over that of the true one, if the axes are such whole numbers: 1 for the same
        lattice. 0 for another lattice.
    cell_errors
        Relative errors of a, b, c.
    angle_errors_deg
        Errors of alpha, beta, gamma.
    orientation_deg
        Angle of the rotation from the true orientation.
    """

    choice: np.ndarray
    multiple: int
    cell_errors: np.ndarray
    angle_errors_deg: np.ndarray
    orientation_deg: float

    @property
    def same(self) -> bool:
        """Whether both are the same lattice."""
        return self.multiple == 1


def axes_of(crystal: dict[str, Any]) -> np.ndarray:
    """The axes a, b, c [A] of a crystal of an experiment list, by rows."""
    return np.array([crystal[f"real_space_{name}"] for name in "abc"])


def compare_lattices(found: np.ndarray, true: np.ndarray) -> Lattice:
    """Compare axes by rows, in whatever setting they were found."""
    ratio = found @ np.linalg.inv(true)
    choice = np.rint(ratio)
    multiple = round(abs(np.linalg.det(choice))) if np.abs(ratio - choice).max() < 0.1 else 0
    ours = choice @ true if multiple else true
    left, _, right = np.linalg.svd(np.linalg.inv(ours) @ found)
    cosine = (np.trace(left @ right) - 1.0) / 2.0
    (found_lengths, found_angles), (lengths, angles) = _cell(found), _cell(ours)
    return Lattice(choice, multiple, found_lengths / lengths - 1.0, found_angles - angles,
                   float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))))


def _cell(axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [A] and angles [deg] of axes by rows."""
    lengths = np.linalg.norm(axes, axis=1)
    unit = axes / lengths[:, None]
    return lengths, np.degrees(np.arccos([unit[1] @ unit[2], unit[2] @ unit[0], unit[0] @ unit[1]]))


def crystals_of(path: Path) -> list[dict[str, Any]]:
    """The crystals of an experiment list."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["crystal"]
    return found


def true_axes_of_shots(folder: Path) -> dict[int, np.ndarray]:
    """The axes of the first crystal of each shot of a set of stills, by rows, in the frame of DIALS."""
    models = json.loads((folder / "models.expt").read_text())
    return {models["imageset"][one["imageset"]]["single_file_indices"][0]: axes_of(models["crystal"][one["crystal"]])
            for one in reversed(models["experiment"])}


def read_truth(folder: Path) -> dict[str, np.ndarray]:
    """The columns of ``/reflections`` of all shards [n], by name."""
    columns: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob("truth-*.h5")):
        with h5py.File(path) as file:
            for name, column in file["reflections"].items():
                columns.setdefault(name, []).append(column[()])
    return {name: np.concatenate(parts) for name, parts in columns.items()}


class Passages(NamedTuple):
    """Passages of reflections through the sphere, one a row.

    Attributes
    ----------
    hkl
        Miller indices [n, 3].
    image
        Centroid in images from the start of the sweep [n].
    photons, partiality
        Sums over images [n].
    fast, slow
        Centroid of the photons in pixels, from the corner of the image [n].
    F, d
        Structure factor [electrons] and spacing [A], [n].
    """

    hkl: np.ndarray
    image: np.ndarray
    photons: np.ndarray
    partiality: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    F: np.ndarray
    d: np.ndarray


def passages_of(truth: dict[str, np.ndarray]) -> Passages:
    """Add up the images of each passage."""
    order = np.lexsort((truth["shot"], truth["l"], truth["k"], truth["h"]))
    hkl = np.stack([truth[name][order] for name in "hkl"], axis=1)
    shot, photons = truth["shot"][order], truth["photons"][order]
    new = np.append(True, np.any(hkl[1:] != hkl[:-1], axis=1) | (np.diff(shot) > APART))
    group, first = np.cumsum(new) - 1, np.flatnonzero(new)
    total = np.bincount(group, photons)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, photons * values) / total

    return Passages(hkl[first], mean(shot + 0.5), total, np.bincount(group, truth["partiality"][order]),
                    *(mean(truth[name][order]) for name in ("pixel_fast", "pixel_slow")),
                    truth["F"][order][first], truth["d"][order][first])


def passage_numbers(passages: Passages, hkl: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The passage of each reflection that was found [n], from true indices [n, 3] and images; -1 without one."""
    places: dict[tuple[int, ...], list[int]] = {}
    for number, index in enumerate(map(tuple, passages.hkl.tolist())):
        places.setdefault(index, []).append(number)
    found = np.full(len(hkl), -1)
    for row, (index, at) in enumerate(zip(map(tuple, hkl.tolist()), image.tolist(), strict=True)):
        near = [number for number in places.get(index, ()) if abs(passages.image[number] - at) < APART]
        if near:
            found[row] = min(near, key=lambda number: abs(passages.image[number] - at))
    return found


def true_indices(choice: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """Indices in the true axes [n, 3], of indices in axes that are ``choice`` times these."""
    return np.rint(hkl @ np.linalg.inv(choice).T).astype(int)
