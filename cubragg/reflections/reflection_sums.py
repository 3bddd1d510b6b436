"""Whose light is it: the NumPy renderer with an account for every reflection.

A sample's light belongs to the reflection whose indices are nearest, h0 = ceil(h - 1/2). Its
photons are those that the renderer adds to the pixel, so that all accounts together make the
image without its water. `specs/truth.md`
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import cross
from cubragg.engine.panel_parts import Progress, place_count
from cubragg.engine.reference.lattice import nearest
from cubragg.engine.reference.numpy_engine import NumpyRenderer, Pixels, Rules, Workers
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import RenderPlan, carried_rotations
from cubragg.plan.workspace import Workspace

#: Entries that a ledger collects before it adds up those of one pixel and reflection.
_LEDGER_ENTRIES = 1_000_000
#: Columns of `Sums`.
SUMS = 8
#: Points along each edge of the detector at which the largest scattering vector is looked for.
_GRID = 33
_GRID_MARGIN = 1.03


class Codes:
    """Reflections as whole numbers: h, k, l and whether it enters the Ewald sphere.

    Attributes
    ----------
    reach
        int64 [3]: the largest index of each axis.
    size
        How many codes there are.
    """

    def __init__(self, reach: np.ndarray) -> None:
        self.reach = reach
        self._sides = 2 * reach + 1
        self.size = int(np.prod(self._sides)) * 2

    def pack(self, hkl: np.ndarray, entering: np.ndarray | bool) -> np.ndarray:
        """Whole numbers as float64 [n] of whole indices [3, n] and bool [n]; the indices are clipped in place."""
        h, k, l = np.clip(hkl, -self.reach[:, None], self.reach[:, None], out=hkl)  # noqa: E741
        _, nk, nl = self._sides.tolist()
        return (((h + self.reach[0]) * nk + k + self.reach[1]) * nl + l + self.reach[2]) * 2.0 + entering

    def unpack(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices int64 [n, 3] and entering bool [n]."""
        rest, entering = np.divmod(codes, 2)
        hkl = np.stack(np.unravel_index(rest, tuple(self._sides)), axis=1) - self.reach
        return hkl, entering.astype(bool)


class Shares(NamedTuple):
    """The light of reflections in pixels.

    ``flat`` int64 [n] place in the image, ``code`` int64 [n], and ``values`` [n, 4]: photons; photons times fast,
    slow place in the pixel, and phi [rad].
    """

    flat: np.ndarray
    code: np.ndarray
    values: np.ndarray


class Sums(NamedTuple):
    """Sums over pixels for each ``code`` [n], ascending.

    Columns of ``values`` [n, SUMS]: photons; photons times fast, slow [pixel], phi [rad]; the same with the middles of
    the pixels, fast, slow; photons in pixels beside one that is not rendered; photons times the part of their
    pixel's light that is others'.
    """

    code: np.ndarray
    values: np.ndarray


class Ledger:
    """Adds up what bears the same key, in bounded memory."""

    def __init__(self) -> None:
        self._entries: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, key: np.ndarray, values: np.ndarray) -> None:
        """Take down entries: keys [n] and their values [n, 4]."""
        self._entries.append((key, values))
        self._count += len(key)
        if self._count > _LEDGER_ENTRIES:
            total = self.total()
            self._entries, self._count = [total], 0

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys, ascending and each once, and their sums."""
        if not self._entries:
            return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
        return _added(*(np.concatenate(parts) for parts in zip(*self._entries, strict=True)))


def _added(key: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys, ascending and each once, and the sums of their rows [n, columns]."""
    key, place = np.unique(key, return_inverse=True)
    return key, np.stack([np.bincount(place, column, len(key)) for column in values.T], axis=1)


class Tally:
    """Adds up the light of a block of pixels: neighbouring samples of a pixel are mostly one reflection's, and only
    where that changes does an entry go to the ledger."""

    def __init__(self, pixels: int, codes: int) -> None:
        self._codes = codes
        self._code = np.full(pixels, -1.0)
        self._sums = np.zeros((4, pixels))
        self._ledger = Ledger()

    def add(self, code: np.ndarray, photons: np.ndarray, moments: tuple[float, float, float]) -> None:
        """Take down a sample of each pixel: whose it is [n], its photons [n], and what these are weighted with."""
        where = np.flatnonzero((code != self._code) & (photons > 0.0))
        if len(where):
            self._enter(where)
            self._code[where] = code[where]
            self._sums[:, where] = 0.0
        self._sums[0] += photons
        for total, moment in zip(self._sums[1:], moments, strict=True):
            total += photons * moment

    def _enter(self, where: np.ndarray) -> None:
        lit = where[self._sums[0, where] > 0.0]
        self._ledger.add(lit * self._codes + self._code[lit].astype(np.int64), self._sums[:, lit].T)

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixel times the number of codes plus code, ascending and each once, and their sums [n, 4]."""
        self._enter(np.arange(len(self._code)))
        self._sums[:] = 0.0
        return self._ledger.total()


class Attribution(NumpyRenderer):
    """Renders a run (see `panel_parts`) and keeps account; for plans without running products (`oversample_omega`
    and its kin)."""

    every_index = True

    def __init__(self, plan: RenderPlan) -> None:
        super().__init__(plan)
        self._first_orientation = 0
        self._finished: list[tuple[int, Sums]] = []
        angles = plan.phi_angles if plan.physical else carried_rotations(plan.phi_angles)[0]
        domains = plan.cell_vectors.shape[1]
        self._phi = np.repeat(angles, domains)
        self.reciprocal = np.linalg.inv(self._vectors).transpose(0, 2, 1)
        self._crossing = self.reciprocal @ np.array(cross(plan.geometry.beam, plan.geometry.spindle))
        self._turning = rotates(plan)
        self.go_to(plan)

    def go_to(self, plan: RenderPlan) -> None:
        """Go on with another panel of the same detector."""
        self.turn(plan)
        self.codes = Codes(index_reach(plan))
        self.rim = _rim(plan)

    @property
    def turns(self) -> np.ndarray:
        """The table of orientations float64 [orientation, TURN_COLUMNS] of `kernels/accounts.cuh`."""
        return np.column_stack([self._crossing * self._turning, self._phi])

    @property
    def orientations(self) -> int:
        """Spindle steps times domains."""
        return len(self._phi)

    def everything(self, threads: int | None, progress: Progress | None = None) -> Sums:
        """The account of the whole image: every sample of every pixel."""
        self._finished = []
        self.render(threads, progress)
        return add_up([sums for _, sums in sorted(self._finished, key=lambda item: item[0])])

    def alone(self, place: int, rules: Rules) -> Sums:
        """The account of the pixel at a place of the region."""
        return self._sums(self._shares(Pixels(self._plan, place, place + 1), rules)[1])

    def around(self, places: Callable[[int], np.ndarray], threads: int, progress: Progress | None = None) -> Sums:
        """The account of pixels chosen for each orientation by its number, as places in the region [n]."""
        def one(orientation: int) -> tuple[np.ndarray, np.ndarray]:
            renderer, ledger = copy.copy(self), Ledger()
            renderer._vectors = self._vectors[orientation:orientation + 1]
            renderer._first_orientation = orientation
            chosen = places(orientation)
            for start in range(0, len(chosen), self._block_pixels):
                pixels = Pixels(self._plan, 0, 0)
                pixels.locate(self._plan, chosen[start:start + self._block_pixels])
                if len(pixels):
                    _, shares = renderer._shares(pixels, Rules(interpolate=False))
                    ledger.add(shares.flat * self.codes.size + shares.code, shares.values)
            return ledger.total()

        ledger, pixels = Ledger(), place_count(self._plan)
        with Workers(threads) as workers:
            for number, entries in enumerate(workers.in_order(one, range(self.orientations)), start=1):
                ledger.add(*entries)
                if progress is not None:
                    progress(number * pixels // self.orientations, pixels)
        key, values = ledger.total()
        flat, code = np.divmod(key, self.codes.size)
        return self._sums(Shares(flat, code, values))

    def _fill(self, image: np.ndarray, pixels: Pixels, rules: Rules) -> None:
        if len(pixels):
            image.reshape(-1)[pixels.flat], shares = self._shares(pixels, rules)
            self._finished.append((int(pixels.place[0]), self._sums(shares)))

    def _shares(self, pixels: Pixels, rules: Rules) -> tuple[np.ndarray, Shares]:
        """Photons [n] of a block, and whose they are."""
        plan = self._plan
        self._local.tally = Tally(len(pixels), self.codes.size)
        photons = (self._physical_photons if plan.physical else self._photons)(pixels, rules)
        key, values = self._local.tally.total()
        pixel, code = np.divmod(key, self.codes.size)
        if plan.physical:
            scale = np.full(len(pixels), units.THOMSON_CROSS_SECTION_M2 * plan.fluence
                            / (self.orientations * plan.oversample * plan.oversample))
        else:
            # Factors are the pixel's here, known only when its sum is complete.
            total = plan.water + np.bincount(pixel, values[:, 0], len(pixels))
            scale = np.divide(photons, total, out=np.zeros(len(pixels)), where=total > 0.0)
        return photons, Shares(pixels.flat[pixel], code, values * scale[pixel, None])

    def _credit(self, sub: SubPixels, orientation: int, term: np.ndarray, keep: np.ndarray | None,
                factor: np.ndarray | None) -> None:
        orientation += self._first_orientation
        hkl = nearest(self._work.take("index", 3, len(term)), self._work)
        entering: np.ndarray | bool = False
        if self._turning:
            x, y, z = self._crossing[orientation]
            entering = x * hkl[0] + y * hkl[1] + z * hkl[2] < 0.0
        photons = term if factor is None else term * factor
        if keep is not None:
            photons = np.where(keep, photons, 0.0)
        self._local.tally.add(self.codes.pack(hkl, entering), photons, (*sub.place, float(self._phi[orientation])))

    def _sums(self, shares: Shares) -> Sums:
        pixel, pixel_place = np.unique(shares.flat, return_inverse=True)
        in_pixel = np.bincount(pixel_place, shares.values[:, 0], len(pixel))[pixel_place]
        slow, fast = np.divmod(shares.flat, self._plan.shape[1])
        photons, in_fast, in_slow, photons_phi = shares.values.T
        foreign = np.divide(in_pixel - photons, in_pixel, out=np.zeros(len(photons)), where=in_pixel > 0.0)
        columns = (photons, photons * fast + in_fast, photons * slow + in_slow, photons_phi, photons * (fast + 0.5),
                   photons * (slow + 0.5), photons * self.rim[shares.flat], photons * foreign)
        return Sums(*_added(shares.code, np.stack(columns, axis=1)))


def add_up(sums: list[Sums]) -> Sums:
    """Sums of several parts of an image."""
    if not sums:
        return Sums(np.zeros(0, dtype=np.int64), np.zeros((0, SUMS)))
    return Sums(*_added(np.concatenate([part.code for part in sums]), np.concatenate([part.values for part in sums])))


def rotates(plan: RenderPlan) -> bool:
    """A rotation image: several spindle steps over a range."""
    return plan.phi.count > 1 and plan.phi.span > 0.0


def index_reach(plan: RenderPlan) -> np.ndarray:
    """int64 [3]: bounds of the indices that the detector sees."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    fast, slow = (axis.reshape(-1) for axis in np.meshgrid(np.linspace(fast_min, fast_max + 1, _GRID),
                                                           np.linspace(slow_min, slow_max + 1, _GRID)))
    sub = SubPixels(plan, fast, slow, 0, 0, 0, Workspace(len(fast)))
    sources = zip(plan.sources.incident.tolist(), plan.sources.wavelength_m.tolist(), strict=True)
    longest = max(float(np.linalg.norm(sub.scattering(tuple(incident), wavelength), axis=0).max())
                  for incident, wavelength in sources)
    edges = np.linalg.norm(plan.cell_vectors[0, 0], axis=1)
    return np.ceil(edges * longest * _GRID_MARGIN).astype(np.int64) + 1


def _rim(plan: RenderPlan) -> np.ndarray:
    """bool [pixels of the image]: rendered pixels beside one that is not, or beside nothing."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    live = np.zeros((plan.shape[0] + 2, plan.shape[1] + 2), dtype=bool)
    inner = live[1:-1, 1:-1]
    region = np.s_[slow_min:slow_max + 1, fast_min:fast_max + 1]
    inner[region] = True if plan.mask is None else plan.mask[region]
    surrounded = live[1:-1, 1:-1].copy()
    for i in range(3):
        for j in range(3):
            surrounded &= live[i:i + plan.shape[0], j:j + plan.shape[1]]
    return (inner & ~surrounded).reshape(-1)
