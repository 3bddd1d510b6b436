#!/usr/bin/env python3
"""Print the correlation of merged anomalous differences with those of the structure factors of a data set.

    python scripts/anomalous_report.py FOLDER MERGED.mtz [--shells N]

FOLDER is what ``cubragg sweep`` wrote; MERGED.mtz is what ``dials.merge anomalous=True`` made of its images, with
I(+), I(-) and their N, in P 1 or any group of the point group 222, whose equivalents are averaged.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import gemmi
import numpy as np


def mates(path: Path) -> tuple[gemmi.UnitCell, np.ndarray, np.ndarray, np.ndarray]:
    """Return the cell, indices [n, 3] > 0, and intensities and multiplicities [n, 2] of h k l and -h -k -l."""
    mtz = gemmi.read_mtz_file(str(path))
    table = {column.label: np.array(column.array, dtype=np.float64) for column in mtz.columns}
    hkl = np.stack([table[name] for name in "HKL"], axis=1).astype(np.int64)
    sums: dict[tuple[int, ...], np.ndarray] = {}
    for sign, mark in ((1, "(+)"), (-1, "(-)")):
        intensity, sigma, number = (table[f"{name}{mark}"] for name in ("I", "SIGI", "N"))
        used = np.isfinite(intensity) & (sigma > 0.0) & hkl.all(axis=1)
        for index, value, weight, count in zip(sign * hkl[used], intensity[used], sigma[used] ** -2.0, number[used],
                                               strict=True):
            # A rotation of 222 changes two signs: their product is the mate.
            found = sums.setdefault(tuple(abs(index).tolist()), np.zeros((2, 3)))
            found[0 if np.prod(np.sign(index)) > 0 else 1] += (weight, weight * value, count)
    kept = {index: found for index, found in sums.items() if found[:, 0].all()}
    found = np.array([*kept.values()])
    return mtz.cell, np.array([*kept]), found[:, :, 1] / found[:, :, 0], found[:, :, 2]


def amplitudes(folder: Path, hkl: np.ndarray) -> np.ndarray:
    """Return the amplitudes of the data set of indices [n, 3]."""
    with np.load(folder / "structure_factors.npz") as stored:
        grid, origin = stored["grid"], stored["origin"]
    values: np.ndarray = grid[tuple((hkl - origin).T)]
    return values


def correlations(intensities: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> tuple[float, float]:
    """Return the correlations of the differences of intensities [n, 2], and of their roots, with those of amplitudes
    ``plus`` and ``minus`` [n]."""
    roots = np.sqrt(np.maximum(intensities, 0.0))
    return (float(np.corrcoef(intensities[:, 0] - intensities[:, 1], plus**2 - minus**2)[0, 1]),
            float(np.corrcoef(roots[:, 0] - roots[:, 1], plus - minus)[0, 1]))


def report(folder: Path, merged: Path, shells: int) -> str:
    """Return the number of reflections, and the table of all of them and of shells of equal numbers."""
    cell, hkl, intensities, numbers = mates(merged)
    plus, minus = amplitudes(folder, hkl), amplitudes(folder, -hkl)
    d = cell.calculate_d_array(hkl)
    lines = [f"acentric reflections with both mates: {len(hkl)}, each mate measured {numbers.mean():.1f} times",
             "| d [A] | reflections | CC of I(+) - I(-) | CC of F(+) - F(-) |", "|---|---|---|---|"]
    edges = np.quantile(d, np.linspace(1.0, 0.0, shells + 1))
    for high, low in ((edges[0], edges[-1]), *itertools.pairwise(edges)):
        shell = (d <= high) & (d >= low)
        values = " | ".join(f"{value:.3f}" for value in correlations(intensities[shell], plus[shell], minus[shell]))
        lines.append(f"| {high:.2f} to {low:.2f} | {shell.sum()} | {values} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("merged", type=Path)
    parser.add_argument("--shells", type=int, default=5)
    given = parser.parse_args()
    print(report(given.folder, given.merged, given.shells))


if __name__ == "__main__":
    main()
