"""Interpolation in tables of the structure factor of amorphous material, and tables of water and air."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.experiment.background_settings import Scatterer


class Material(NamedTuple):
    """A material: rows of sin(theta)/lambda [1/A] and F of a molecule [electrons], density [g/cm^3], g/mol."""

    table: tuple[tuple[float, float], ...]
    density_g_cm3: float
    molecular_weight: float

    def scatterer(self, path_mm: float) -> Scatterer:
        """Return a length of the material."""
        return Scatterer(np.array(self.table), path_mm, self.density_g_cm3, self.molecular_weight)


#: Source: the tables of simtbx (cctbx_project, simtbx/nanoBragg/sim_data.py), after Holton's nonBragg.
WATER = Material((
    (0.0, 2.57), (0.0365, 2.58), (0.07, 2.8), (0.12, 5.0), (0.162, 8.0), (0.18, 7.32), (0.2, 6.75), (0.216, 6.75),
    (0.236, 6.5), (0.28, 4.5), (0.3, 4.3), (0.345, 4.36), (0.436, 3.77), (0.5, 3.17)), 1.0, 18.0)
AIR = Material(((0.0, 14.1), (0.045, 13.5), (0.174, 8.35), (0.35, 4.78), (0.5, 4.22)), 1.2e-3, 28.0)


class FormFactor:
    """Cubic interpolation in a table, as fast as one look-up a value.

    Between two lines F is the polynomial through them and their neighbours (nonBragg's rule), at an end through the
    three lines there, limited to the range of F on these lines: beside sharp peaks the polynomial would be far outside
    of it, even negative. Beyond the ends F is that of the first or last line.
    """

    def __init__(self, table: np.ndarray) -> None:
        self._x, y = table[:, 0], table[:, 1]
        count = len(table)
        self._step = (self._x[-1] - self._x[0]) / (count - 1)
        self._even = bool(np.abs(np.diff(self._x) - self._step).max() < 1e-6 * self._step)
        # Coefficients of powers of (x - x[i]) for each interval i, and the limits of F.
        self._powers = np.zeros((4, count - 1))
        self._lowest, self._highest = np.empty((2, count - 1))
        interval = np.arange(count - 1)
        first, last = np.maximum(interval - 1, 0), np.minimum(interval + 3, count)
        for lines in np.unique(last - first):  # four, and three or two at the ends of the table
            self._fit(interval[last - first == lines], first[last - first == lines], y, int(lines))

    def _fit(self, interval: np.ndarray, first: np.ndarray, y: np.ndarray, lines: int) -> None:
        """Fit the polynomials of intervals through so many lines from ``first`` on."""
        chosen = first[:, None] + np.arange(lines)
        width = (self._x[interval + 1] - self._x[interval])[:, None]
        powers = ((self._x[chosen] - self._x[interval][:, None]) / width)[:, :, None] ** np.arange(lines)
        fitted = np.linalg.solve(powers, y[chosen][:, :, None])[:, :, 0]
        self._powers[:lines, interval] = (fitted / width ** np.arange(lines)).T
        self._lowest[interval], self._highest[interval] = y[chosen].min(axis=1), y[chosen].max(axis=1)

    def __call__(self, stol: np.ndarray) -> np.ndarray:
        """Return F at sin(theta)/lambda [1/A], of the same shape."""
        x = np.clip(stol, self._x[0], self._x[-1])
        if self._even:
            index = ((x - self._x[0]) / self._step).astype(np.intp)
            np.minimum(index, len(self._x) - 2, out=index)
        else:
            index = np.searchsorted(self._x[1:-1], x, side="right")
        t = x - self._x[index]
        a, b, c, d = self._powers
        value = a[index] + t * (b[index] + t * (c[index] + t * d[index]))
        return np.clip(value, self._lowest[index], self._highest[index])

    def intensity(self, stol: np.ndarray) -> np.ndarray:
        """Return sign(F) F^2 [electron^2]."""
        f = self(stol)
        return f * np.abs(f)
