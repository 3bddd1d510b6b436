"""Per-reflection sums of an image with the NumPy engine.

The photons of a sample are assigned to the reflection with the nearest indices, h0 = ceil(h - 1/2). They are the terms
that the engine adds to the pixel, so that the sum over all reflections is the image without water. `specs/truth.md`
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import cross
from cubragg.engine.panel_loop import Progress
from cubragg.engine.reference.lattice import miller_indices, nearest
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.engine.reference.pixel_blocks import BlockState, Pixels
from cubragg.engine.reference.workers import Workers
from cubragg.nanobragg.phi_zero import carried_rotations
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.shadow import panel_shadow
from cubragg.reflections.negligible_terms import largest_negligible_term, too_few_photons
from cubragg.reflections.panel_sums import (
    PanelSums,
    PixelPhotons,
    ReflectionCodes,
    ReflectionSums,
    add_up,
    all_of,
    sums_by_key,
)

#: Entries that `KeyedSums` collects before it sums those with the same key.
_COLLECTED = 1_000_000
#: Error of the lengths of unit vectors of sources, which a list may round.
_MARGIN = 1e-3
#: Samples of a block over those that count, above which only these are assigned to reflections.
_LIT = 4


class KeyedSums:
    """Sums of rows of values with the same key, in bounded memory."""

    def __init__(self) -> None:
        self._entries: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, key: np.ndarray, values: np.ndarray) -> None:
        """Add rows of values [n, 4] to their keys [n], which are ascending."""
        self._entries.append((key, values))
        self._count += len(key)
        if self._count > _COLLECTED:
            self._entries, self._count = [self.total()], 0

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the unique keys, ascending, and their sums."""
        if not self._entries:
            return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
        if len(self._entries) == 1:
            return self._entries[0]
        key, values = (np.concatenate(parts) for parts in zip(*self._entries, strict=True))
        return sums_by_key(key, values.T)


class PixelSums:
    """Per-reflection sums of a block of pixels.

    Consecutive samples of a pixel mostly belong to the same reflection; a row is added to the `KeyedSums` only when the
    reflection changes.
    """

    def __init__(self, pixels: int, codes: int) -> None:
        self._codes = codes
        self._code = np.full(pixels, -1.0)
        self._sums = np.zeros((4, pixels))
        self._finished, self._begun = KeyedSums(), False

    def add(self, code: np.ndarray, photons: np.ndarray, moments: tuple[float, float, float],
            at: np.ndarray | None = None) -> None:
        """Add a sample of pixels: code of its reflection [n], photons [n], and weights of the other columns.

        ``at``: numbers of the pixels in the block, ascending; ``None``: all of them.
        """
        if at is None:
            if not self._begun:
                self._code[:] = code
            where = changed = np.flatnonzero((code != self._code) & (photons > 0.0))
        else:
            changed = np.flatnonzero((code != self._code[at]) & (photons > 0.0))
            where = at[changed]
        self._begun = True
        if len(where):
            self._finish(where[self._sums[0, where] > 0.0])
            self._code[where] = code[changed]
            self._sums[:, where] = 0.0
        for total, moment in zip(self._sums, (1.0, *moments), strict=True):
            part = photons if moment == 1.0 else photons * moment
            if at is None:
                total += part
            else:
                total[at] += part

    def _finish(self, bright: np.ndarray) -> None:
        self._finished.add(bright * self._codes + self._code[bright].astype(np.int64), self._sums[:, bright].T)

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the unique keys, pixel x number of codes + code, ascending, and their sums [n, 4]."""
        self._finish(np.flatnonzero(self._sums[0] > 0.0))
        self._sums[:] = 0.0
        return self._finished.total()


class NumpySums(NumpyEngine):
    """Renders panels and sums their photons by reflection, in one pass; for plans without running products.

    Parameters
    ----------
    plan
        From `make_plan`.
    least
        As for `PanelSums`, of a panel; ``None``: no photons are kept pixel by pixel.
    min_photons
        Terms, and photons of reflections in pixels, are left out of sums that together have less than 1e-15 of these.
    """

    def __init__(self, plan: Plan, least: Callable[[PanelPlan], float] | None = None, min_photons: float = 0.0) -> None:
        self._least_of, self._min_photons, self._panels = least, min_photons, list[PanelSums]()
        self._finished: list[tuple[int, ReflectionSums]] = []
        self._brightest, self._negligible = math.nan, 0.0
        super().__init__(plan)
        self._least, self._kept = math.inf, list[PixelPhotons]()

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        super().set_plan(plan)
        angles = plan.phi_angles if plan.rules.per_sample else carried_rotations(plan.phi_angles)[0]
        self._phi = (np.array(angles)[:, None] + plan.phi_offsets).reshape(-1)
        reciprocal = np.linalg.inv(self._axes).transpose(0, 2, 1)
        self._crossing = reciprocal @ np.array(cross(plan.geometry.beam, plan.geometry.spindle))
        self._rotating = plan.rotates
        # What is negligible in the brightest plan is in all.
        if self._min_photons > 0.0 and not plan.bragg_fluence <= self._brightest:
            self._brightest = plan.bragg_fluence
            self._negligible = largest_negligible_term(plan, self._min_photons, with_factor=True)

    def set_panel(self, panel: PanelPlan, reach: np.ndarray | None = None, counting: np.ndarray | None = None
                  ) -> None:
        """Select a panel of the plan.

        Parameters
        ----------
        reach
            Largest indices of several plans; ``None``: those of this one.
        counting
            Pixels that are summed, bool [slow, fast]; ``None``: all that are rendered.
        """
        super().set_panel(only(panel, counting))
        self.codes = ReflectionCodes(index_reach(self._plan) if reach is None else reach)
        self.edge = edge_pixels(panel)
        stop = self._plan.beam_stop
        self.passed = None if stop is None else panel_shadow(self._plan, panel, stop).reshape(-1)

    def keep_pixels(self, least: float) -> None:
        """Keep, from now on, photons of reflections in pixels where they are at least ``least``."""
        self._least, self._kept = least, []

    def kept_pixels(self) -> PixelPhotons:
        """Return what `keep_pixels` kept since it was called."""
        return all_of(self._kept)

    @property
    def orientation_table(self) -> np.ndarray:
        """float64 [orientation, 4]: speed out of the Ewald sphere per h, k, l (0 in stills), spindle angle [rad]."""
        return np.column_stack([self._crossing * self._rotating, self._phi])

    def panel_sums(self, threads: int | None, progress: Progress | None = None) -> ReflectionSums:
        """Return the sums of the panel over all samples of all pixels."""
        with Workers(threads or os.cpu_count() or 1) as workers:
            self._render_panel(workers, progress)
        return self.take_sums()[0].sums

    def take_sums(self) -> list[PanelSums]:
        """Return the sums of the panels that were rendered since the last call."""
        taken, self._panels = self._panels, []
        return taken

    def _render_panel(self, workers: Workers, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        self._finished = []
        if self._least_of is not None:
            self.keep_pixels(self._least_of(self._panel))
        found = super()._render_panel(workers, progress)
        sums = add_up([sums for _, sums in sorted(self._finished, key=lambda item: item[0])])
        self._panels.append(PanelSums(self._panel.number, self.codes, sums, self._least, self.kept_pixels()))
        return found

    def _flat_axes(self, axes: np.ndarray) -> np.ndarray:
        """Return all cell axes: those that a lattice amplitude does not depend on count for the nearest reflection."""
        return np.ascontiguousarray(axes).reshape(-1, 3, 3)

    def _lattice(self, axes: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(self._rows) == 3:
            return super()._lattice(axes, q)
        # The image has the bits of the engine without sums.
        amplitude = super()._lattice(axes[self._rows], q)[0]
        index = miller_indices(axes, q, self._work)
        return amplitude, index, nearest(index, self._work)

    def _term(self, axes: np.ndarray, q: np.ndarray, keep: np.ndarray | None, state: BlockState
              ) -> tuple[np.ndarray, np.ndarray]:
        found = super()._term(axes, q, keep, state)
        if not self._rows:
            miller_indices(axes, q, self._work)
        return found

    def pixel_sums(self, index: int, state: BlockState) -> tuple[np.float32, ReflectionSums]:
        """Return photons and sums of the pixel with an ROI index."""
        with np.errstate(over="ignore", invalid="ignore"):  # as `NumpyEngine._fill`
            photons, *sums = self._block_sums(Pixels(self._panel, index, index + 1), state)
            return np.float32(photons[0]), self._sums(*sums)

    def _fill(self, image: np.ndarray, pixels: Pixels, state: BlockState) -> None:
        if not len(pixels):
            return
        with np.errstate(over="ignore", invalid="ignore"):  # as `NumpyEngine._fill`
            image.reshape(-1)[pixels.flat], *sums = self._block_sums(pixels, state)
            self._finished.append((int(pixels.index[0]), self._sums(*sums)))

    def _block_sums(self, pixels: Pixels, state: BlockState
                    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the photons [n] of a block; and index in the panel, code and sums [m, 4] of its reflections."""
        plan = self._plan
        self._local.sums = PixelSums(len(pixels), self.codes.size)
        photons = (self._physical_photons if plan.rules.per_sample else self._nanobragg_photons)(pixels, state)
        key, values = self._local.sums.total()
        pixel, code = np.divmod(key, self.codes.size)
        if plan.rules.per_sample:
            scale = np.full(len(pixels), units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence
                            / (plan.orientations * plan.oversample * plan.oversample))
        else:
            # In nanobragg semantics the factors are computed once for a pixel, after its sum.
            total = plan.water + np.bincount(pixel, values[:, 0], len(pixels))
            scale = np.divide(photons, total, out=np.zeros(len(pixels)), where=total > 0.0)
        return photons, pixels.flat[pixel], code, values * scale[pixel, None]

    def _record_term(self, sub: SubPixels, orientation: int, term: np.ndarray, keep: np.ndarray | None,
                     factor: np.ndarray | None) -> None:
        index, photons = self._work.take("index", 3, len(term)), term if factor is None else term * factor
        if keep is not None:
            photons = np.where(keep, photons, 0.0)
        lit = None
        if self._negligible > 0.0:  # of most samples between spots no term counts
            counts = ~(term <= self._negligible)
            if _LIT * np.count_nonzero(counts) < len(term):
                lit = np.flatnonzero(counts)
                index, photons = index[:, lit], photons[lit]
        hkl = nearest(index, self._work)
        entering: np.ndarray | bool = False
        if self._rotating:
            x, y, z = self._crossing[orientation]
            entering = x * hkl[0] + y * hkl[1] + z * hkl[2] < 0.0
        self._local.sums.add(self.codes.pack(hkl, entering), photons, (*sub.centre, float(self._phi[orientation])), lit)

    def _sums(self, flat: np.ndarray, code: np.ndarray, values: np.ndarray) -> ReflectionSums:
        bright = ~(values[:, 0] <= too_few_photons(self._panel, self._min_photons))
        if not bright.all():
            flat, code, values = flat[bright], code[bright], values.T[:, bright].T  # columns stay contiguous
        if self.passed is not None:
            values = values * self.passed[flat, None]
        if self._least < math.inf:
            kept = values[:, 0] >= self._least
            self._kept.append(PixelPhotons(code[kept], flat[kept], values[kept, 0]))
        place = flat - flat.min(initial=self._panel.shape[0] * self._panel.shape[1])
        in_pixel = np.bincount(place, values[:, 0])[place]
        slow, fast = np.divmod(flat, self._panel.shape[1])
        photons, in_fast, in_slow, photons_phi = values.T
        foreign = np.divide(in_pixel - photons, in_pixel, out=np.zeros(len(photons)), where=in_pixel > 0.0)
        columns = (photons, photons * fast + in_fast, photons * slow + in_slow, photons_phi, photons * (fast + 0.5),
                   photons * (slow + 0.5), photons * self.edge[flat], photons * foreign)
        return ReflectionSums(*sums_by_key(code, columns))


def only(panel: PanelPlan, pixels: np.ndarray | None) -> PanelPlan:
    """Return the panel with some of its pixels, bool [slow, fast]; ``None``: all."""
    if pixels is None:
        return panel
    return panel._replace(mask=pixels if panel.mask is None else panel.mask & pixels)


def index_reach(plan: Plan) -> np.ndarray:
    """Return int64 [3], upper bounds of the absolute indices: scattering vectors have lengths of 2 / lambda at most."""
    edges = np.linalg.norm(plan.cell_axes, axis=3).max(axis=(0, 1))
    return np.ceil(edges * (2.0 + _MARGIN) / plan.sources.wavelength_m.min()).astype(np.int64) + 1


def edge_pixels(panel: PanelPlan) -> np.ndarray:
    """Return bool [pixels of the panel], True for rendered pixels on the edge or next to one that is not rendered."""
    fast_min, fast_max, slow_min, slow_max = panel.roi
    region = np.s_[slow_min:slow_max + 1, fast_min:fast_max + 1]
    if panel.mask is None:
        edge = np.zeros(panel.shape, dtype=bool)
        edge[region] = True
        edge[slow_min + 1:slow_max, fast_min + 1:fast_max] = False
        return edge.reshape(-1)
    live = np.zeros((panel.shape[0] + 2, panel.shape[1] + 2), dtype=bool)
    inner = live[1:-1, 1:-1]
    inner[region] = panel.mask[region]
    surrounded = inner.copy()
    for i in range(3):
        for j in range(3):
            surrounded &= live[i:i + panel.shape[0], j:j + panel.shape[1]]
    return (inner & ~surrounded).reshape(-1)
