"""Spots that ``view`` marks in a picture: those of a reflection table, or found in the image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cubragg.cli.inputs import InputFile, reading

if TYPE_CHECKING:
    import numpy as np

    from cubragg.view.notes import Notes, Spots


class MarkedSpots(NamedTuple):
    """Spots, and where they are from in words."""

    spots: Spots
    source: str


def marked_spots(file: str, number: int, truth: str | None, most: int, values: np.ndarray, notes: Notes
                 ) -> MarkedSpots:
    """Return the brightest spots of an image, at most ``most``.

    Those of the table ``truth``; without it, of the data set in whose folder the image is; else those found in
    ``values``, float [slow, fast], NaN in masked pixels.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    import numpy as np

    from cubragg.io.reflections.read_positions import read_positions
    from cubragg.view.found_spots import found_spots
    from cubragg.view.notes import Spots

    shot, table = _in_data_set(Path(file), number)
    path = truth or table
    if path is None:
        spots = found_spots(values, notes.near_beam(values.shape), most)
        return MarkedSpots(spots, f"{len(spots.fast_px)} found in the image, 6 sigma above their surroundings "
                           "(--truth FILE marks those of a reflection table)")
    with reading(InputFile(path, "--truth")):
        found = read_positions(path, shot, notes.panels)
    slow_pixels, fast_pixels = values.shape
    drawn = np.flatnonzero((found.fast_px >= 0.0) & (found.fast_px <= fast_pixels) & (found.slow_px >= 0.0)
                           & (found.slow_px <= slow_pixels))[:most]
    spots = Spots(found.fast_px[drawn], found.slow_px[drawn], None if found.hkl is None else found.hkl[drawn])
    return MarkedSpots(spots, f"the brightest {len(spots.fast_px)} of {len(found.fast_px)} in {path}")


def _in_data_set(file: Path, number: int) -> tuple[int, str | None]:
    """Return the number of an image in its data set, from 0, and the table with its reflections, if there is one."""
    from cubragg.dataset.run_folder import RunFolder

    folder = RunFolder(file.parent)
    folder.read()
    for record in folder.records.values():
        first, count = record["first"], record["count"]
        images = sorted(name for name in record["files"] if name.startswith("image"))  # of formats of single images
        shot = number - 1
        if file.name in record["files"]:
            shot = first + (images.index(file.name) if file.name in images else shot)
        if (file.name in (*record["files"], "master.nxs")) and first <= shot < first + count:
            tables = [name for name in record["files"] if name.endswith(".h5") and name.startswith("truth")]
            return shot, os.path.join(folder.path, tables[0]) if tables else None
    return number - 1, None
