"""NumPy engine: renders blocks of pixels, one orientation at a time, on all cores.

The sum of every pixel runs in the loop order of the C program (layer, sub-pixel slow, fast, source, phi, domain) and
depends on no other pixel, so neither block size nor number of threads changes a bit. Two rules of nanobragg semantics
depend on the order of pixels: a phi of 0 in the first pass of the phi loop, and the sample that stops interpolation.
Each affects a single pixel; these order-dependent pixels are found first and rendered separately.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress, render_panels
from cubragg.engine.reference import lattice
from cubragg.engine.reference.factor_table import StructureFactorTable
from cubragg.engine.reference.pixel_blocks import BlockState, Pixels
from cubragg.engine.reference.workers import Workers
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels, resolution_cut
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Pixels of a block: arrays fit roughly into the second-level cache, the overhead of NumPy calls is amortized, and a
#: row of float64 is below the 128 KiB from which malloc maps new pages at every call.
BLOCK_PIXELS = 16000


class NumpyEngine:
    """Renders a plan in NumPy; implements `select.Engine`.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel at which interpolation stopped, or ``None``.
    """

    def __init__(self, plan: Plan, block_pixels: int = BLOCK_PIXELS) -> None:
        self._block_pixels = block_pixels
        self._local = threading.local()
        self._table = StructureFactorTable(plan.factors)
        self._shape = SHAPES[plan.crystal_shape]
        # With one cell along an axis the factor of the axis is 1: separable shapes omit it, and with a constant
        # structure factor the index is not needed.
        wide = [axis for axis in range(3) if plan.cells[axis] > 1.0]
        only_wide = self._shape.separable and self._table.constant is not None
        self._rows = wide if only_wide else [0, 1, 2]
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(why="backend numpy does not cull")
        self.set_plan(plan)
        if plan.panels:
            self.set_panel(plan.panels[0])

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan = plan
        self._coherent = replace(plan.block, cells=tuple(plan.cells[axis] for axis in self._rows))
        self._axes = self._flat_axes(plan.cell_axes)
        first = plan.first_cell_axes
        self._first_axes = self._axes if first is None else self._flat_axes(first)

    def set_panel(self, panel: PanelPlan) -> None:
        """Set the panel of the plan that is rendered next."""
        self._panel = panel

    def _flat_axes(self, axes: np.ndarray) -> np.ndarray:
        """Return the cell axes [orientation, row, 3] from [phi, domain, 3, 3], only rows that are needed."""
        orientations = axes.shape[0] * axes.shape[1]
        return np.ascontiguousarray(axes[:, :, self._rows]).reshape(orientations, len(self._rows), 3)

    @property
    def _work(self) -> Workspace:
        if not hasattr(self._local, "work"):
            self._local.work = Workspace(self._block_pixels)
        return self._local.work

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons."""
        with Workers(threads or os.cpu_count() or 1) as workers:

            def render(panel: PanelPlan, report: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
                self.set_panel(panel)
                return self._render_panel(workers, report)

            image, self.interpolation_stopped_at = render_panels(self._plan, render, progress)
        return image

    def _render_panel(self, workers: Workers, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Render the panel: its image, and the pixel at which interpolation stopped, or ``None``."""
        panel, interpolate = self._panel, self._plan.interpolate
        image = np.zeros(panel.shape, dtype=np.float32)
        total = panel.pixel_count
        if total > 1:  # for a single pixel the few lookups do not justify it
            self._table.build()

        first, stop = self.order_dependent_pixels(workers)
        interpolated_to = (total if stop is None else stop) if interpolate else 0
        separate = sorted({index for index in (first, stop) if index is not None})
        for index in separate:
            self._fill(image, Pixels(panel, index, index + 1), BlockState(
                interpolate=interpolate and index <= interpolated_to,
                first_pass=index == first, stop_when_outside=index == stop))

        def one(bounds: tuple[int, int]) -> int:
            self._fill(image, Pixels(panel, *bounds), BlockState(interpolate=bounds[1] <= interpolated_to))
            return bounds[1]

        for done in workers.in_order(one, self._bounds(separate)):
            if progress is not None:
                progress(done, total)
        return image, None if stop is None else panel.pixel_at(stop)

    def _fill(self, image: np.ndarray, pixels: Pixels, state: BlockState) -> None:
        if len(pixels):
            photons = self._physical_photons if self._plan.rules.per_sample else self._nanobragg_photons
            # Running factors above 1 (point pixels, many terms) can overflow: the pixel is then infinite, as in the C
            # program, and the image has a warning.
            with np.errstate(over="ignore", invalid="ignore"):
                image.reshape(-1)[pixels.places] = photons(pixels, state)

    def _bounds(self, separate: list[int]) -> Iterator[tuple[int, int]]:
        """Yield blocks of roi indices that cover the region, except the pixels rendered separately."""
        edges = [-1, *separate, self._panel.pixel_count]
        for before, end in itertools.pairwise(edges):
            for start in range(before + 1, end, self._block_pixels):
                yield start, min(start + self._block_pixels, end)

    # The two order-dependent pixels

    def order_dependent_pixels(self, workers: Workers | None = None) -> tuple[int | None, int | None]:
        """Return the roi indices of the first pixel rendered and of the one that stops interpolation.

        Each is ``None`` if the plan has no such pixel.
        """
        plan, workers = self._plan, workers or Workers(1)
        first = self._first_rendered() if plan.first_cell_axes is not None else None
        stop = self._interpolation_stop(first, workers) if plan.interpolate and not plan.rules.per_sample else None
        return first, stop

    def last_contributing_before(self, index: int) -> int | None:
        """Return the roi index of the last pixel before ``index`` with a term that is not skipped, or ``None``."""
        for bounds in reversed([bounds for bounds in self._bounds([]) if bounds[0] < index]):
            pixels = Pixels(self._panel, bounds[0], min(bounds[1], index))
            found = self._any_sample(pixels, False, lambda index, used: used)
            if found.any():
                return int(pixels.index[np.flatnonzero(found)[-1]])
        return None

    def _first_rendered(self) -> int | None:
        """Return the roi index of the first pixel with a sample that dmin does not cut, or ``None``."""
        for bounds in self._bounds([]):
            pixels = Pixels(self._panel, *bounds)
            if not len(pixels):
                continue
            if not self._plan.dmin > 0.0:
                return int(pixels.index[0])
            uncut = np.zeros(len(pixels), dtype=bool)
            for sub in self._sub_pixels(pixels):
                for source in range(len(self._plan.sources.wavelength_m)):
                    _, keep = self._scattering(sub, source)
                    uncut |= True if keep is None else keep
            if uncut.any():
                return int(pixels.index[uncut.argmax()])
        return None

    def _interpolation_stop(self, first: int | None, workers: Workers) -> int | None:
        """Return the roi index of the first pixel with a sample outside the grid of amplitudes, or ``None``."""
        def outside(bounds: tuple[int, int]) -> int | None:
            pixels = Pixels(self._panel, *bounds)
            found = self._any_sample(pixels, bounds[0] == first,
                                     lambda index, used: self._table.leaves_grid(index) & used)
            return int(pixels.index[found.argmax()]) if found.any() else None

        bounds = iter(self._bounds([] if first is None else [first]))
        if first is not None:
            # The first pixel is examined first: all pixels before it are masked or cut.
            bounds = iter([(first, first + 1), *bounds])
        with contextlib.closing(workers.in_order(outside, bounds)) as results:
            return next((index for index in results if index is not None), None)

    def _any_sample(self, pixels: Pixels, first_pass: bool, test: Callable[[np.ndarray, np.ndarray], np.ndarray]
                    ) -> np.ndarray:
        """Return bool [n]: whether any sample of a pixel satisfies ``test(index, used)``.

        ``index`` are its Miller indices [3, n]; ``used`` [n] is true for terms that the C program does not skip.
        """
        found = np.zeros(len(pixels), dtype=bool)
        for sub in self._sub_pixels(pixels) if len(pixels) else ():
            for source in range(len(self._plan.sources.wavelength_m)):
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                for axes in self._first_axes if first_pass else self._axes:
                    amplitude, index, _ = self._lattice(axes, q)
                    found |= test(index, self._used(amplitude, keep))
                first_pass = False
        return found

    # One block

    def _sub_pixels(self, pixels: Pixels) -> Iterator[SubPixels]:
        """Yield layers, then sub-pixels slow and fast, in the order of the C program."""
        n = self._plan.oversample
        for layer in range(self._panel.layers.count):
            for sub_slow in range(n):
                for sub_fast in range(n):
                    yield SubPixels(self._plan, self._panel, pixels.fast, pixels.slow, layer, sub_slow, sub_fast,
                                    self._work)

    def _scattering(self, sub: SubPixels, source: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return scattering vectors [3, n], and which of them dmin does not cut (``None``: all)."""
        table = self._plan.sources
        q = sub.scattering(tuple(table.incident[source].tolist()), float(table.wavelength_m[source]))
        if not self._plan.dmin > 0.0:
            return q, None
        keep = ~resolution_cut(q, self._plan.dmin)
        return q, None if keep.all() else keep

    def _lattice(self, axes: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return lattice amplitudes [n], indices and nearest whole indices [rows, n], all in the workspace."""
        work = self._work
        index = lattice.miller_indices(axes, q, work)
        whole = lattice.nearest(index, work)
        return self._shape.amplitude(index, whole, self._coherent, work), index, whole

    def _term(self, axes: np.ndarray, q: np.ndarray, keep: np.ndarray | None, state: BlockState
              ) -> tuple[np.ndarray, np.ndarray]:
        """Return F^2 times the squared lattice amplitude [n] of one orientation, and that amplitude."""
        work = self._work
        term = work.take("intensity", 0, q.shape[1])
        if not self._rows:  # a single cell and a constant structure factor
            amplitude = work.take("one", 0, q.shape[1])
            amplitude[:] = 1.0
        else:
            amplitude, index, whole = self._lattice(axes, q)
        if self._table.constant is not None:
            np.multiply(amplitude, self._table.constant, out=term)
        else:
            if state.stop_when_outside and state.interpolate:
                state.interpolate = not (self._table.leaves_grid(index) & self._used(amplitude, keep)).any()
            np.multiply(self._f2(index, whole, state), amplitude, out=term)
        return np.multiply(term, amplitude, out=term), amplitude

    def _f2(self, index: np.ndarray, whole: np.ndarray, state: BlockState) -> np.ndarray:
        """Return F^2 [n]. In physical semantics samples outside the grid use the nearest reflection."""
        if not state.interpolate:
            return self._table.nearest_f2(whole, self._work)
        if self._plan.rules.per_sample:
            f2 = self._table.nearest_f2(whole, self._work)
            inside = ~self._table.leaves_grid(index)
            f2[inside] = self._table.interpolated(index[:, inside]) ** 2
            return f2
        factors = self._table.interpolated(index)
        return factors * factors

    def _used(self, amplitude: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
        """Return bool [n]: terms that the C program does not skip."""
        used = np.ones(len(amplitude), dtype=bool) if self._plan.water != 0.0 else amplitude != 0.0
        return used if keep is None else used & keep

    def _record_term(self, sub: SubPixels, orientation: int, term: np.ndarray, keep: np.ndarray | None,
                     factor: np.ndarray | None) -> None:
        """Record a term [n] of an orientation; does nothing here, for subclasses to override.

        ``keep`` marks the pixels that dmin does not cut, ``factor`` is the factor of the sample in physical semantics.
        The Miller indices of the sample are ``index`` of the workspace.
        """

    def _nanobragg_photons(self, pixels: Pixels, state: BlockState) -> np.ndarray:
        """Return photons [n] in nanobragg semantics, in the workspace."""
        plan, panel, rules = self._plan, self._panel, self._plan.rules
        count = len(pixels)
        total, polar, capture = (self._work.take(name, 0, count) for name in ("total", "polar", "capture"))
        total[:] = plan.water
        polar[:] = 0.0 if plan.polarized else 1.0
        capture[:] = 1.0
        absorbing = panel.layers.thickness_m > 0.0
        omega: np.ndarray | None = None
        per_layer = plan.oversample * plan.oversample
        for number, sub in enumerate(self._sub_pixels(pixels)):
            if number % per_layer == 0 and absorbing:
                capture[:] = 0.0
            if omega is None or rules.running_omega:
                omega = sub.solid_angle()
            if rules.running_thick or absorbing:
                # As in the C program, a fraction of 0 means not computed yet.
                missing = rules.running_thick | (capture == 0.0)
                if missing.any():
                    np.copyto(capture, sub.capture_fraction(), where=missing)
            for source, incident in enumerate(plan.sources.incident):
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                missing = rules.running_polar | (polar == 0.0)
                if keep is not None:
                    missing &= keep
                if missing.any():
                    np.copyto(polar, sub.polarization(tuple(incident.tolist()), missing), where=missing)
                axes = self._first_axes if state.first_pass else self._axes
                state.first_pass = False
                for orientation, cell in enumerate(axes):
                    term, amplitude = self._term(cell, q, keep, state)
                    self._record_term(sub, orientation, term, keep, None)
                    if keep is None:
                        np.add(total, term, out=total)
                    else:
                        np.add(total, term, out=total, where=keep)
                    if rules.running:
                        used = self._used(amplitude, keep)
                        for running, factor in ((rules.running_thick, capture), (rules.running_polar, polar),
                                                (rules.running_omega, omega)):
                            if running:
                                np.multiply(total, factor, out=total, where=used)
        assert omega is not None  # there is at least one sub-pixel
        photons = np.multiply(total, units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence, out=total)
        np.divide(photons, plan.samples, out=photons)
        for running, factor in ((rules.running_thick, capture), (rules.running_polar, polar),
                                (rules.running_omega, omega)):
            if not running:
                np.multiply(photons, factor, out=photons)
        return np.add(photons, 0.0, out=photons)  # as in the C program, which adds to 0: no -0

    def _physical_photons(self, pixels: Pixels, state: BlockState) -> np.ndarray:
        """Return photons [n] in physical semantics, every factor at its own sub-pixel, layer and source.

        The array is one of the workspace.
        """
        plan = self._plan
        spots, water, inner, factor = (self._work.take(name, 0, len(pixels))
                                       for name in ("spots", "water", "inner", "factor"))
        spots[:] = water[:] = 0.0
        weights = plan.sources.weight / plan.sources.weight.sum()
        per_layer = plan.oversample * plan.oversample
        for number, sub in enumerate(self._sub_pixels(pixels)):
            omega = sub.solid_angle()
            capture = sub.capture_fraction() if self._panel.layers.thickness_m > 0.0 else 1.0
            for source, incident in enumerate(plan.sources.incident):
                np.multiply(omega, weights[source], out=factor)
                if plan.polarized:
                    np.multiply(factor, sub.polarization(tuple(incident.tolist())), out=factor)
                if number < per_layer:
                    np.add(water, factor, out=water)
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                np.multiply(factor, capture, out=factor)
                inner[:] = 0.0
                for orientation, cell in enumerate(self._axes):
                    term = self._term(cell, q, keep, state)[0]
                    self._record_term(sub, orientation, term, keep, factor)
                    np.add(inner, term, out=inner)
                if keep is not None:
                    inner[~keep] = 0.0
                np.add(spots, np.multiply(inner, factor, out=inner), out=spots)
        np.multiply(spots, units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence / (len(self._axes) * per_layer),
                    out=spots)
        np.multiply(water, plan.water / per_layer, out=water)
        return np.add(spots, water, out=spots)
