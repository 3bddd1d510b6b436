"""The NumPy renderer: blocks of pixels, one orientation at a time, on all cores.

Every pixel's sum runs in the C program's nesting (layer, sub-pixel slow, fast, source,
phi, domain) and holds nothing of its neighbours, so neither block size nor number of
threads touches a bit. Two rules of nanobragg semantics do look across pixels: what a
phi of 0 means in the very first pass, and the sample that switches interpolation off.
Each concerns a single pixel; the two are found first and rendered alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cubragg import units
from cubragg.engine.culling import Culling
from cubragg.engine.panel_parts import Progress, place_count, render_panels
from cubragg.engine.reference import lattice
from cubragg.engine.reference.factor_table import StructureFactorTable
from cubragg.plan.pixel_factors import SubPixels, resolution_cut
from cubragg.plan.plan import RenderPlan
from cubragg.plan.workspace import Workspace

#: Pixels of a block: its arrays stay near the second-level cache, NumPy's cost per call is spread, and a row of
#: float64 stays below the 128 KiB from which malloc maps fresh pages at every call.
BLOCK_PIXELS = 16000

A = TypeVar("A")
R = TypeVar("R")


@dataclass
class Rules:
    """How a block treats the two rules that look across pixels; changed by the pixel they concern."""

    interpolate: bool
    first_pass: bool = False
    stop_when_outside: bool = False


class Pixels:
    """A run of pixels of the region, by their places in scan order; masked ones left out.

    Attributes
    ----------
    place, flat
        int64 [n]: place in the region, and in the whole image.
    fast, slow
        float64 [n]: whole numbers, in the type that the geometry is computed in.
    """

    def __init__(self, plan: RenderPlan, start: int, stop: int) -> None:
        self.locate(plan, np.arange(start, stop))

    def locate(self, plan: RenderPlan, place: np.ndarray) -> None:
        """Become the pixels at these places [n]."""
        fast_min, fast_max, slow_min, _ = plan.roi
        width = fast_max - fast_min + 1
        self.place = place
        # A quotient of counts below 2^52 never rounds up to the next whole number.
        rows = np.floor(self.place / width)
        self.slow = rows + slow_min
        self.fast = self.place - rows * width + fast_min
        self.flat = (self.slow * plan.shape[1] + self.fast).astype(np.intp)
        if plan.mask is not None:
            keep = plan.mask.reshape(-1)[self.flat]
            self.place, self.flat = self.place[keep], self.flat[keep]
            self.slow, self.fast = self.slow[keep], self.fast[keep]

    def __len__(self) -> int:
        return len(self.place)


class NumpyRenderer:
    """Renders a plan; holds its tables, which all threads read.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel that switched
    interpolation off, or ``None``.
    """

    #: Compute all three indices of a sample also where none of them decides its intensity.
    every_index = False

    def __init__(self, plan: RenderPlan, block_pixels: int = BLOCK_PIXELS) -> None:
        self._plan = plan
        self._block_pixels = block_pixels
        self._local = threading.local()
        self._table = StructureFactorTable(plan.experiment.structure_factors)
        self._shape = plan.experiment.crystal.shape
        # One cell along an axis makes that axis' factor 1: square crystals leave it out,
        # and with a constant structure factor nobody needs its index either.
        wide = [axis for axis in range(3) if plan.cells[axis] > 1.0]
        few = self._shape == "square" and self._table.constant is not None and not self.every_index
        self._rows = wide if few else [0, 1, 2]
        self._cells = np.array([plan.cells[axis] for axis in self._rows])[:, None]
        sampling = plan.experiment.sampling
        self._running = not plan.physical and (
            sampling.oversample_thick or sampling.oversample_polar or sampling.oversample_omega)
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(why="the numpy backend goes through all of them")
        self.turn(plan)

    def turn(self, plan: RenderPlan) -> None:
        """Go on with a plan that differs in the crystal's orientation or the detector only; the tables stay."""
        self._plan = plan
        self._reciprocal = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
        self._vectors = self._flat_vectors(plan.cell_vectors)
        first = plan.first_cell_vectors
        self._first_vectors = self._vectors if first is None else self._flat_vectors(first)

    def _flat_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """[orientation, row, 3] of [phi, domain, 3, 3], the rows that are needed."""
        orientations = vectors.shape[0] * vectors.shape[1]
        return np.ascontiguousarray(vectors[:, :, self._rows]).reshape(orientations, len(self._rows), 3)

    @property
    def _work(self) -> Workspace:
        if not hasattr(self._local, "work"):
            self._local.work = Workspace(self._block_pixels)
        return self._local.work

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons."""
        whole = self._plan
        with Workers(threads or os.cpu_count() or 1) as workers:

            def run(plan: RenderPlan, told: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
                self.turn(plan)
                return self._run(workers, told)

            try:
                image, self.interpolation_stopped_at = render_panels(whole, run, progress)
            finally:
                self.turn(whole)
        return image

    def _run(self, workers: Workers, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        """The image of a plan that is one run, and the pixel that switched interpolation off."""
        plan = self._plan
        image = np.zeros(plan.shape, dtype=np.float32)
        total = place_count(plan)
        if total > 1:  # a single pixel has few lookups
            self._table.build()

        first, stop = self.lone_places(workers)
        interpolated_to = (total if stop is None else stop) if plan.interpolate else 0
        alone = sorted({place for place in (first, stop) if place is not None})
        for place in alone:
            self._fill(image, Pixels(plan, place, place + 1), Rules(
                interpolate=plan.interpolate and place <= interpolated_to,
                first_pass=place == first, stop_when_outside=place == stop))

        def one(bounds: tuple[int, int]) -> int:
            self._fill(image, Pixels(plan, *bounds), Rules(interpolate=bounds[1] <= interpolated_to))
            return bounds[1]

        for done in workers.in_order(one, self._bounds(alone)):
            if progress is not None:
                progress(done, total)
        if stop is None:
            return image, None
        pixel = Pixels(plan, stop, stop + 1)
        return image, (int(pixel.fast[0]), int(pixel.slow[0]))

    def _fill(self, image: np.ndarray, pixels: Pixels, rules: Rules) -> None:
        if len(pixels):
            photons = self._physical_photons if self._plan.physical else self._photons
            # Running factors above 1 (point pixels, many terms) can pass the largest number: then the
            # pixel is infinite, as in C, and `render` says so.
            with np.errstate(over="ignore", invalid="ignore"):
                image.reshape(-1)[pixels.flat] = photons(pixels, rules)

    def _bounds(self, alone: list[int]) -> Iterator[tuple[int, int]]:
        """Blocks of places that cover the region, but for the pixels rendered alone."""
        edges = [-1, *alone, place_count(self._plan)]
        for before, end in itertools.pairwise(edges):
            for start in range(before + 1, end, self._block_pixels):
                yield start, min(start + self._block_pixels, end)

    # The two pixels that are rendered alone

    def lone_places(self, workers: Workers | None = None) -> tuple[int | None, int | None]:
        """Places of the first pixel rendered and of the one that stops interpolation, where they matter."""
        plan, workers = self._plan, workers or Workers(1)
        first = self._first_rendered() if plan.first_cell_vectors is not None else None
        stop = self._interpolation_stop(first, workers) if plan.interpolate and not plan.physical else None
        return first, stop

    def last_contributing_before(self, place: int) -> int | None:
        """Place of the last pixel before ``place`` with a term that is not skipped."""
        for bounds in reversed([bounds for bounds in self._bounds([]) if bounds[0] < place]):
            pixels = Pixels(self._plan, bounds[0], min(bounds[1], place))
            found = self._any_sample(pixels, False, lambda index, alive: alive)
            if found.any():
                return int(pixels.place[np.flatnonzero(found)[-1]])
        return None

    def _first_rendered(self) -> int | None:
        """Place of the first pixel of which any sample is not cut."""
        for bounds in self._bounds([]):
            pixels = Pixels(self._plan, *bounds)
            if not len(pixels):
                continue
            if not self._plan.dmin > 0.0:
                return int(pixels.place[0])
            seen = np.zeros(len(pixels), dtype=bool)
            for sub in self._sub_pixels(pixels):
                for source in range(len(self._plan.sources.wavelength_m)):
                    _, keep = self._scattering(sub, source)
                    seen |= True if keep is None else keep
            if seen.any():
                return int(pixels.place[seen.argmax()])
        return None

    def _interpolation_stop(self, first: int | None, workers: Workers) -> int | None:
        """Place of the first pixel with a sample whose neighbourhood leaves the grid."""
        def outside(bounds: tuple[int, int]) -> int | None:
            pixels = Pixels(self._plan, *bounds)
            found = self._any_sample(pixels, bounds[0] == first,
                                     lambda index, alive: self._table.leaves_grid(index) & alive)
            return int(pixels.place[found.argmax()]) if found.any() else None

        bounds = iter(self._bounds([] if first is None else [first]))
        if first is not None:
            # The first pixel goes in its turn: masked pixels alone stand before it.
            bounds = iter([(first, first + 1), *bounds])
        with contextlib.closing(workers.in_order(outside, bounds)) as results:
            return next((place for place in results if place is not None), None)

    def _any_sample(self, pixels: Pixels, first_pass: bool, test: Callable[[np.ndarray, np.ndarray], np.ndarray]
                    ) -> np.ndarray:
        """bool [n]: pixels with a sample that passes ``test`` of its indices [3, n] and of not being skipped [n]."""
        found = np.zeros(len(pixels), dtype=bool)
        for sub in self._sub_pixels(pixels) if len(pixels) else ():
            for source in range(len(self._plan.sources.wavelength_m)):
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                for vectors in self._first_vectors if first_pass else self._vectors:
                    amplitude, index, _ = self._lattice(vectors, q)
                    found |= test(index, self._alive(amplitude, keep))
                first_pass = False
        return found

    # One block

    def _sub_pixels(self, pixels: Pixels) -> Iterator[SubPixels]:
        """Layers, then sub-pixels slow and fast, in the C program's order."""
        n = self._plan.oversample
        for layer in range(self._plan.layers.count):
            for sub_slow in range(n):
                for sub_fast in range(n):
                    yield SubPixels(self._plan, pixels.fast, pixels.slow, layer, sub_slow, sub_fast, self._work)

    def _scattering(self, sub: SubPixels, source: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Scattering vectors [3, n], and which of them count (``None``: all)."""
        table = self._plan.sources
        q = sub.scattering(tuple(table.incident[source].tolist()), float(table.wavelength_m[source]))
        if not self._plan.dmin > 0.0:
            return q, None
        keep = ~resolution_cut(q, self._plan.dmin)
        return q, None if keep.all() else keep

    def _lattice(self, vectors: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lattice amplitude [n]; indices and nearest whole indices [rows, n], all in the workspace."""
        work = self._work
        index = lattice.miller_indices(vectors, q, work)
        whole = lattice.nearest(index, work)
        if self._shape == "square":
            amplitude = lattice.square(index, whole, self._cells, work)
        else:
            amplitude = lattice.COMPACT[self._shape](index - whole, self._plan.cells, self._reciprocal,
                                                     self._plan.experiment.crystal.fudge)
        return amplitude, index, whole

    def _term(self, vectors: np.ndarray, q: np.ndarray, keep: np.ndarray | None, rules: Rules
              ) -> tuple[np.ndarray, np.ndarray]:
        """F^2 times the squared lattice amplitude [n] of one orientation, and that amplitude."""
        work = self._work
        term = work.take("intensity", 0, q.shape[1])
        if not self._rows:  # a single cell and a constant structure factor
            amplitude = work.take("one", 0, q.shape[1])
            amplitude[:] = 1.0
        else:
            amplitude, index, whole = self._lattice(vectors, q)
        if self._table.constant is not None:
            np.multiply(amplitude, self._table.constant, out=term)
        else:
            if rules.stop_when_outside and rules.interpolate:
                rules.interpolate = not (self._table.leaves_grid(index) & self._alive(amplitude, keep)).any()
            np.multiply(self._squares(index, whole, rules), amplitude, out=term)
        return np.multiply(term, amplitude, out=term), amplitude

    def _squares(self, index: np.ndarray, whole: np.ndarray, rules: Rules) -> np.ndarray:
        """F^2 [n]. Physical semantics falls back to the nearest reflection sample by sample."""
        if not rules.interpolate:
            return self._table.nearest_squares(whole, self._work)
        if self._plan.physical:
            squares = self._table.nearest_squares(whole, self._work)
            inside = ~self._table.leaves_grid(index)
            squares[inside] = self._table.interpolated(index[:, inside]) ** 2
            return squares
        factors = self._table.interpolated(index)
        return factors * factors

    def _alive(self, amplitude: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
        """bool [n]: terms that the C program does not skip."""
        alive = np.ones(len(amplitude), dtype=bool) if self._plan.water != 0.0 else amplitude != 0.0
        return alive if keep is None else alive & keep

    def _credit(self, sub: SubPixels, orientation: int, term: np.ndarray, keep: np.ndarray | None,
                factor: np.ndarray | None) -> None:
        """For heirs that keep account: the term [n] of one orientation, what of it counts, and its own factor.

        The sample's indices stand in the workspace, as ``index``.
        """

    def _photons(self, pixels: Pixels, rules: Rules) -> np.ndarray:
        """Photons [n] by the C program's rules."""
        plan, sampling = self._plan, self._plan.experiment.sampling
        count = len(pixels)
        total = np.full(count, plan.water)
        polar = np.zeros(count) if plan.experiment.beam.polarized else np.ones(count)
        absorbing = plan.layers.thickness_m > 0.0
        capture = np.ones(count)
        omega: np.ndarray | None = None
        per_layer = plan.oversample * plan.oversample
        for number, sub in enumerate(self._sub_pixels(pixels)):
            if number % per_layer == 0 and absorbing:
                capture = np.zeros(count)
            if omega is None or sampling.oversample_omega:
                omega = sub.solid_angle()
            if sampling.oversample_thick or absorbing:
                # A fraction of 0 counts as not yet known.
                capture = _renewed(capture, sub.capture_fraction, all_of_it=sampling.oversample_thick)
            for source, incident in enumerate(plan.sources.incident):
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                missing = sampling.oversample_polar | (polar == 0.0) if keep is None else keep & (
                    sampling.oversample_polar | (polar == 0.0))
                if missing.any():
                    polar[missing] = sub.polarization(tuple(incident.tolist()), missing)[missing]
                vectors = self._first_vectors if rules.first_pass else self._vectors
                rules.first_pass = False
                for orientation, cell in enumerate(vectors):
                    term, amplitude = self._term(cell, q, keep, rules)
                    self._credit(sub, orientation, term, keep, None)
                    if keep is None:
                        np.add(total, term, out=total)
                    else:
                        np.add(total, term, out=total, where=keep)
                    if self._running:
                        alive = self._alive(amplitude, keep)
                        for wanted, factor in ((sampling.oversample_thick, capture),
                                               (sampling.oversample_polar, polar),
                                               (sampling.oversample_omega, omega)):
                            if wanted:
                                np.multiply(total, factor, out=total, where=alive)
        assert omega is not None  # there is always a sub-pixel
        photons = units.THOMSON_CROSS_SECTION_M2 * plan.fluence * total / plan.steps
        for wanted, factor in ((sampling.oversample_thick, capture), (sampling.oversample_polar, polar),
                               (sampling.oversample_omega, omega)):
            if not wanted:
                photons = photons * factor
        return photons + 0.0  # the C program adds to 0, which leaves no -0

    def _physical_photons(self, pixels: Pixels, rules: Rules) -> np.ndarray:
        """Photons [n] with every factor at its own sub-pixel, layer and source."""
        plan = self._plan
        spots, water = np.zeros(len(pixels)), np.zeros(len(pixels))
        weights = plan.sources.weight / plan.sources.weight.sum()
        per_layer = plan.oversample * plan.oversample
        for number, sub in enumerate(self._sub_pixels(pixels)):
            omega = sub.solid_angle()
            capture = sub.capture_fraction() if plan.layers.thickness_m > 0.0 else 1.0
            for source, incident in enumerate(plan.sources.incident):
                factor = weights[source] * omega
                if plan.experiment.beam.polarized:
                    factor = factor * sub.polarization(tuple(incident.tolist()))
                if number < per_layer:
                    water += factor
                q, keep = self._scattering(sub, source)
                if keep is not None and not keep.any():
                    continue
                inner = np.zeros(len(pixels))
                factor = factor * capture
                for orientation, cell in enumerate(self._vectors):
                    term = self._term(cell, q, keep, rules)[0]
                    self._credit(sub, orientation, term, keep, factor)
                    inner += term
                if keep is not None:
                    inner[~keep] = 0.0
                spots += inner * factor
        scale = units.THOMSON_CROSS_SECTION_M2 * plan.fluence / (len(self._vectors) * per_layer)
        return scale * spots + plan.water / per_layer * water


def _renewed(old: np.ndarray, compute: Callable[[], np.ndarray], *, all_of_it: bool) -> np.ndarray:
    """``old`` with its zeros, or all of it, computed anew."""
    if all_of_it:
        return compute()
    missing = old == 0.0
    return np.where(missing, compute(), old) if missing.any() else old


class Workers:
    """Threads for a whole image: from panel to panel they keep their workspaces. A single one is the caller's own."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def in_order(self, function: Callable[[A], R], arguments: Iterable[A]) -> Generator[R, None, None]:
        """Map, results in order, a few calls ahead; stops cleanly when the caller does."""
        if self._pool is None:
            yield from map(function, arguments)
            return
        pending: deque[Future[R]] = deque()
        try:
            for argument in arguments:
                pending.append(self._pool.submit(function, argument))
                if len(pending) > 2 * self._count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            wait([future for future in pending if not future.cancel()])
