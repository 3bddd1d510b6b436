"""What DIALS makes of stills, beside their truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from processing.dials_route import table_columns
from processing.tables import table
from processing.truth import Lattice, axes_of, compare_lattices, read_truth, true_axes_of_shots


class Still(NamedTuple):
    """A shot: its strong spots, and its lattice, or ``None`` if it was not indexed."""

    shot: int
    spots: int
    lattice: Lattice | None


def stills_result(folder: Path, processed: Path) -> list[Still]:
    """Compare the crystals that DIALS indexed with those of the data set; of several in a shot the first counts."""
    truth = true_axes_of_shots(folder)
    stills: list[Still] = []
    for part in sorted(processed.glob("shard-*")):
        first, lattices = len(stills), {}
        found = json.loads((part / "indexed.expt").read_text())
        for one in found["experiment"]:
            (image,) = found["imageset"][one["imageset"]]["single_file_indices"]
            axes = axes_of(found["crystal"][one["crystal"]])
            lattices.setdefault(image, compare_lattices(axes, truth[first + image]))
        imported = json.loads((part / "imported.expt").read_text())["imageset"]
        strong = np.bincount(table_columns(part / "strong.refl")["id"], minlength=len(imported))
        stills += [Still(first + image, int(strong[place]), lattices.get(image))
                   for place, one in enumerate(imported) for image in one["single_file_indices"]]
    return stills


def distances_px(folder: Path, processed: Path) -> np.ndarray:
    """The distance of each strong spot from the nearest reflection of the truth of its shot and panel [pixel], inf
    without one; empty for a set without truth in HDF5."""
    truth, found, first = read_truth(folder), [], 0
    for part in sorted(processed.glob("shard-*")) if truth else ():
        sets = json.loads((part / "imported.expt").read_text())["imageset"]
        strong = table_columns(part / "strong.refl")
        shots = np.array([one["single_file_indices"][0] for one in sets])[strong["id"]] + first
        for shot, panel in sorted(set(zip(shots.tolist(), strong["panel"].tolist(), strict=True))):
            of_truth = (truth["shot"] == shot) & (truth["panel"] == panel)
            spots = strong["xyzobs.px.value"][(shots == shot) & (strong["panel"] == panel), :2]
            places = np.stack([truth["fast"][of_truth], truth["slow"][of_truth]], axis=1)
            found.append(np.linalg.norm(spots[:, None] - places, axis=2).min(axis=1, initial=np.inf))
        first += len(sets)
    return np.concatenate(found) if found else np.zeros(0)


def stills_tables(stills: Sequence[Still], distances: np.ndarray | None = None) -> str:
    """The tables as Markdown; with `distances_px` also how many strong spots are none of the truth's."""
    indexed = [one.lattice for one in stills if one.lattice is not None]
    right = [one for one in indexed if one.same]
    larger = [one for one in indexed if one.multiple > 1]
    spots = np.array([one.spots for one in stills])
    rows = [("stills", len(stills)),
            ("strong spots of a still, median (least)", f"{np.median(spots):.0f} ({spots.min()})"),
            *([] if distances is None or not len(distances) else [
                ("strong spots; farther than 3 pixels from each reflection",
                 f"{len(distances)}; {(distances > 3.0).sum()}")]),
            ("indexed", f"{len(indexed)} ({100.0 * len(indexed) / len(stills):.1f} %)"),
            ("as the true lattice", f"{len(right)} ({100.0 * len(right) / len(stills):.1f} %)"),
            ("in a cell of a multiple of its volume", f"{len(larger)}")]
    if right:
        turned = np.array([one.orientation_deg for one in (*right, *larger)])
        cell = 100.0 * np.abs([one.cell_errors for one in right])
        rows += [("error of the orientation, median (90 %, largest)",
                  f"{np.median(turned):.4f} ({np.quantile(turned, 0.9):.3f}, {turned.max():.3f}) deg"),
                 ("error of an edge, median (90 %)", f"{np.median(cell):.3f} ({np.quantile(cell, 0.9):.3f}) %")]
    failed = [(one.shot, one.spots, "not indexed" if one.lattice is None else
               f"{one.lattice.multiple} times the volume" if one.lattice.multiple else "another lattice")
              for one in stills if one.lattice is None or not one.lattice.same]
    return "\n\n".join([table(("", ""), rows), *([table(("shot", "strong spots", ""), failed)] if failed else [])])
