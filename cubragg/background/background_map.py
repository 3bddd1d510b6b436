"""The map of background photons of a plan: independent of the crystal's orientation, and cached.

    photons = r_e^2 n_photons sum over materials of path rho N_A / M  F(stol)^2  P  Omega  capture  + given maps

with n_photons photons in the beam, path rho N_A / M molecules per area, polarization factor P, solid angle Omega and
absorbed fraction of each pixel. All material is as wide as the beam. `specs/background.md`
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from cubragg import units
from cubragg.background.coarse_map import coarse_map
from cubragg.background.scattering_geometry import absorbed, move_origin, rays_of, rendered_pixels
from cubragg.background.scattering_parts import Part, parts_of
from cubragg.errors import ConfigError
from cubragg.experiment.background_settings import Background
from cubragg.experiment.sensor import Layers
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Sub-pixels of a pixel are at most so many times as wide as an ice ring (standard deviation).
_RING_SAMPLING = 1.0
_MOST_SUBPIXELS = 8
_BLOCK_PIXELS = 16000
#: Pixels that are scaled at once: 512 kB.
_BAND_PIXELS = 2**17
_CACHED_MAPS = 4
_CACHE: OrderedDict[bytes, np.ndarray] = OrderedDict()


def background_map(plan: Plan, background: Background, photons: float, oversample: int | None = None, *,
                   coarse: bool = False) -> np.ndarray:
    """Return the expected background photons, float32 [slow, fast]; 0 in pixels that are not rendered.

    Parameters
    ----------
    plan
        The plan of the image.
    background
        The background.
    photons
        Photons in the beam during the exposure.
    oversample
        Sub-pixels along each edge of a pixel; ``None``: 1, or what ice rings need.
    coarse
        Compute what is not ice at every eighth pixel only, and interpolate: much faster for a map that is used once,
        as where beam or detector differ from image to image; equal within 1 % (where tables
        of F have knots), and within 1e-4 in most pixels.

    Raises
    ------
    ConfigError
        If the background image has another size than the detector.
    """
    if background.image is not None and background.image.shape != plan.shape:
        slow, fast = background.image.shape
        raise ConfigError("background.image", f"got an image of {fast} x {slow} pixels; the detector has "
                          f"{plan.shape[1]} x {plan.shape[0]}")
    if coarse and not background.ice_um:
        image = coarse_map(plan, background, photons)
    else:
        image = _cached(plan, background, oversample) * np.float32(photons)
    given = background.constant if background.image is None else background.constant + background.image
    if background.constant or background.image is not None:
        image += np.where(rendered_pixels(plan), np.float32(1) * given, np.float32(0))
    if background.radial is not None:
        image += _radial(plan, background.radial)
    return image


class BackgroundRows:
    """Adds the expected background photons to rows of an image; arguments as for `background_map`.

    A map that only scattering makes is scaled and added a band of rows at a time, which stays in the cache: map and
    image pass through memory once. The bits are those of ``image += background_map(...)``.
    """

    def __init__(self, plan: Plan, background: Background, photons: float, *, coarse: bool = False) -> None:
        given = background.constant or background.image is not None or background.radial is not None
        self._scale = None if given or (coarse and not background.ice_um) else np.float32(photons)
        self._map = (background_map(plan, background, photons, coarse=coarse) if self._scale is None else
                     _cached(plan, background, None))

    @property
    def scaled(self) -> tuple[np.ndarray, float]:
        """The map, float32 [slow, fast], which must not be changed, and the factor that makes photons of it."""
        return self._map, 1.0 if self._scale is None else float(self._scale)

    def add(self, image: np.ndarray, first_row: int = 0) -> None:
        """Add the photons to an image or a band of its rows, float32 [rows, fast], from ``first_row`` on."""
        background = self._map[first_row:first_row + len(image)]
        if self._scale is None:
            image += background
            return
        rows = max(1, _BAND_PIXELS // image.shape[1])
        scaled = np.empty((min(rows, len(image)), image.shape[1]), dtype=np.float32)
        for first in range(0, len(image), rows):
            band = image[first:first + rows]
            band += np.multiply(background[first:first + rows], self._scale, out=scaled[:len(band)])


def _cached(plan: Plan, background: Background, oversample: int | None) -> np.ndarray:
    """Return scattered photons of a beam of one photon, which must not be changed."""
    key = _key(plan, background, oversample)
    scattered = _CACHE.get(key)
    if scattered is None:
        scattered = _CACHE[key] = _scattered(plan, background, oversample)
        if len(_CACHE) > _CACHED_MAPS:
            _CACHE.popitem(last=False)
    _CACHE.move_to_end(key)
    return scattered


def _without_negative(image: np.ndarray) -> np.ndarray:
    """Replace photons below 0 by 0: a negative F takes photons away, but not more than there are."""
    return np.maximum(image, 0.0, out=image)


def _scattered(plan: Plan, background: Background, oversample: int | None) -> np.ndarray:
    """Return scattered photons of a beam of one photon, float32 [slow, fast]."""
    parts = tuple(parts_of(background, units.angstrom_from_m(plan.wavelength)))
    if not parts:
        return np.zeros(plan.shape, dtype=np.float32)
    n = oversample or (_ring_subpixels(plan, background.ice_fwhm_per_A) if background.ice_um else 1)
    fine, rays = dataclasses.replace(plan, oversample=n), rays_of(plan)
    return _without_negative(_filled(plan, lambda block: _scattered_photons(fine, parts, rays, block)))


class Block(NamedTuple):
    """Rows of a panel: its plan, fast and slow pixel of each, float64 [n], and where they are in the image."""

    panel: PanelPlan
    fast: np.ndarray
    slow: np.ndarray
    window: tuple[slice, slice]


def _blocks(plan: Plan) -> Iterator[Block]:
    for panel in plan.panels:
        fast_min, fast_max, slow_min, slow_max = panel.roi
        rows, columns = panel.window
        height = max(1, _BLOCK_PIXELS // panel.width)
        for first in range(slow_min, slow_max + 1, height):
            last = min(first + height, slow_max + 1)
            fast, slow = np.meshgrid(np.arange(fast_min, fast_max + 1.0), np.arange(first, last, dtype=np.float64))
            yield Block(panel, fast.ravel(), slow.ravel(),
                        (slice(rows.start + first, rows.start + last),
                         slice(columns.start + fast_min, columns.start + fast_max + 1)))


def _filled(plan: Plan, values: Callable[[Block], np.ndarray]) -> np.ndarray:
    """Return the float32 image [slow, fast] of a function of blocks, 0 in pixels that are not rendered."""
    image = np.zeros(plan.shape, dtype=np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(_blocks(plan))
        for block, pixels in zip(blocks, pool.map(values, blocks), strict=True):
            part = image[block.window]
            part[:] = pixels.reshape(part.shape)
    image[~rendered_pixels(plan)] = 0.0
    return image


def _scattered_photons(plan: Plan, parts: tuple[Part, ...], rays: list[tuple[Any, float, float]], block: Block
                       ) -> np.ndarray:
    """Return scattered photons of the pixels of a block, float64 [n]."""
    panel, fast, slow, _ = block
    total, work, n = np.zeros(len(fast)), Workspace(len(fast)), plan.oversample
    middle = panel.layers.count // 2
    for sub_slow in range(n):
        for sub_fast in range(n):
            for offset in dict.fromkeys(part.offset for part in parts):
                pixels = SubPixels(plan, panel, fast, slow, middle, sub_slow, sub_fast, work)
                nearer = move_origin(pixels, plan, panel, offset)
                weight = pixels.solid_angle() * nearer * _absorbed(pixels, panel.layers, panel.normal)
                for direction, wavelength, fraction in rays:
                    q = pixels.scattering(direction, wavelength)
                    s = np.sqrt((q * q).sum(axis=0)) * units.ANGSTROM_M
                    azimuth = _azimuth(pixels.direction, plan) if any(part.azimuth for part in parts) else None
                    intensity = sum(part.intensity(s, azimuth) for part in parts if part.offset == offset)
                    if plan.polarized:
                        intensity = intensity * pixels.polarization(direction)
                    total += fraction * weight * intensity
    return total * (units.THOMSON_CROSS_SECTION_M2 / (n * n))


def _absorbed(pixels: SubPixels, layers: Layers, normal: Any) -> Any:
    """Return the fraction of the photons that the whole sensor absorbs; 1 without a sensor."""
    if not layers.mu_per_m > 0.0:
        return 1.0
    return absorbed(layers, np.abs(np.tensordot(np.array(normal), pixels.direction, axes=1)))


def _azimuth(direction: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the angle of directions about the beam, from the polarization axis [rad]."""
    along, across = (np.tensordot(np.array(axis), direction, axes=1) for axis in (plan.geometry.polar,
                                                                                  plan.geometry.vert))
    return np.arctan2(across, along)


def _ring_subpixels(plan: Plan, fwhm_per_A: float) -> int:
    """Return the sub-pixels along an edge that resolve ice rings."""
    widest = max(max(panel.edges) / panel.close_distance for panel in plan.panels)
    pixel_per_A = widest / units.angstrom_from_m(plan.wavelength)
    sampled = _RING_SAMPLING * fwhm_per_A / units.FWHM_PER_SIGMA
    return int(np.clip(np.ceil(pixel_per_A / sampled), 1, _MOST_SUBPIXELS))


def _radial(plan: Plan, table: np.ndarray) -> np.ndarray:
    """Return the given radial profile on the detector, float32 [slow, fast]."""
    single = dataclasses.replace(plan, oversample=1)

    def profile(block: Block) -> np.ndarray:
        panel, fast, slow, _ = block
        pixels = SubPixels(single, panel, fast, slow, panel.layers.count // 2, 0, 0, Workspace(len(fast)))
        q = pixels.scattering(plan.geometry.beam, plan.wavelength)
        stol = 0.5 * np.sqrt((q * q).sum(axis=0)) * units.ANGSTROM_M
        return np.interp(stol, table[:, 0], table[:, 1])

    return _filled(plan, profile)


def _key(plan: Plan, background: Background, oversample: int | None) -> bytes:
    """Return a digest of everything that the scattered photons depend on."""
    digest = hashlib.sha256()
    for panel in plan.panels:
        plain = panel._replace(mask=None)
        digest.update(repr(plain).encode())
        digest.update(b"" if panel.mask is None else np.packbits(panel.mask).data)
    sources = plan.sources
    for array in (sources.incident, sources.wavelength_m, sources.weight,
                  *(scatterer.table for scatterer in background.scatterers)):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr((plan.wavelength, plan.polarized, plan.kahn_factor, plan.shape, plan.curved, plan.point_pixel,
                        plan.geometry, oversample, background.water_um, background.air_mm, background.ice_um,
                        background.ice_fwhm_per_A, background.ice_grains, background.ice_seed,
                        [(s.path_mm, s.density_g_cm3, s.molecular_weight) for s in background.scatterers])).encode())
    return digest.digest()
