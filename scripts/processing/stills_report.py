"""What DIALS makes of stills, beside their truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from processing.dials_route import table_columns
from processing.tables import table
from processing.truth import Lattice, axes_of, compare_lattices, true_axes_of_shots


class Still(NamedTuple):
    """A shot: its strong spots, and its lattice, or ``None`` if it was not indexed."""

    shot: int
    spots: int
    lattice: Lattice | None


def stills_result(folder: Path, processed: Path) -> list[Still]:
    """Compare the crystals that DIALS indexed with those of the data set; of several in a shot the first counts."""
    truth = true_axes_of_shots(folder)
    found = json.loads((processed / "indexed.expt").read_text())
    lattices = {}
    for one in found["experiment"]:
        (shot,) = found["imageset"][one["imageset"]]["single_file_indices"]
        lattices.setdefault(shot, compare_lattices(axes_of(found["crystal"][one["crystal"]]), truth[shot]))
    imported = json.loads((processed / "imported.expt").read_text())["imageset"]
    strong = np.bincount(table_columns(processed / "strong.refl")["id"], minlength=len(imported))
    return [Still(shot, int(strong[place]), lattices.get(shot))
            for place, one in enumerate(imported) for shot in one["single_file_indices"]]


def stills_tables(stills: Sequence[Still]) -> str:
    """The tables as Markdown."""
    right = [one.lattice for one in stills if one.lattice is not None and one.lattice.same]
    spots = np.array([one.spots for one in stills])
    rows = [("stills", len(stills)),
            ("strong spots of a still, median (least)", f"{np.median(spots):.0f} ({spots.min()})"),
            ("indexed", f"{sum(one.lattice is not None for one in stills)}"),
            ("as the true lattice", f"{len(right)} ({100.0 * len(right) / len(stills):.1f} %)")]
    if right:
        turned = np.array([one.orientation_deg for one in right])
        cell = 100.0 * np.abs([one.cell_errors for one in right])
        rows += [("error of the orientation, median (90 %, largest)",
                  f"{np.median(turned):.4f} ({np.quantile(turned, 0.9):.3f}, {turned.max():.3f}) deg"),
                 ("error of an edge, median (90 %)", f"{np.median(cell):.3f} ({np.quantile(cell, 0.9):.3f}) %")]
    failed = [(one.shot, one.spots, "not indexed" if one.lattice is None else "another lattice")
              for one in stills if one.lattice is None or not one.lattice.same]
    return "\n\n".join([table(("", ""), rows), *([table(("shot", "strong spots", ""), failed)] if failed else [])])
