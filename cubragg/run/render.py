"""render(plan) and simulate(experiment): the one way from an experiment to an image."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg.engine.culling import Culling
from cubragg.engine.panel_parts import Progress, part_at
from cubragg.engine.select import Choice, choose
from cubragg.errors import ConfigError
from cubragg.experiment.detector import DetectorGeometry
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import RenderPlan, make_plan


class Figures(NamedTuple):
    """Figures of an image as nanoBragg prints them [photons/pixel, m].

    ``max_fast_m``, ``max_slow_m`` are those of the last sub-pixel of the first pixel that
    holds the maximum, on its own panel. ``mean`` and ``rms`` are over the rendered pixels,
    ``rmsd`` over the whole region, where masked pixels and those between panels count as 0.
    """

    max_photons: float
    max_fast_m: float
    max_slow_m: float
    mean: float
    rms: float
    rmsd: float


@dataclass(frozen=True, eq=False)
class Image:
    """A rendered image.

    Attributes
    ----------
    photons
        float32 [slow, fast], photons per pixel; 0 outside the region, where masked and between panels.
    figures, geometry, plan
        What nanoBragg prints; the detector as placed; everything else that was resolved.
    backend, precision, seconds
        What rendered it, in which precision, and the wall time of the rendering alone [s].
    notices
        Sentences about rules that surprise.
    culling
        How the backend went about its terms.
    """

    photons: np.ndarray
    figures: Figures
    plan: RenderPlan
    backend: str
    precision: str
    seconds: float
    notices: tuple[str, ...]
    culling: Culling

    @property
    def geometry(self) -> DetectorGeometry:
        """The detector as placed."""
        return self.plan.geometry

    @property
    def max_pixel(self) -> tuple[int, int]:
        """The first pixel (fast, slow) that holds the maximum; 0 0 in an image of zeros."""
        return _brightest(self.photons, self.plan) if self.figures.max_photons > 0.0 else (0, 0)


def figures_of(photons: np.ndarray, plan: RenderPlan) -> Figures:
    """The figures of a float32 image [slow, fast]."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    region = photons[slow_min:slow_max + 1, fast_min:fast_max + 1]
    rendered = region if plan.mask is None else region[plan.mask[slow_min:slow_max + 1, fast_min:fast_max + 1]]
    with np.errstate(over="ignore", invalid="ignore"):  # of an image with infinite pixels
        return _figures(photons, region, rendered, plan)


def _brightest(photons: np.ndarray, plan: RenderPlan) -> tuple[int, int]:
    fast_min, fast_max, slow_min, slow_max = plan.roi
    region = photons[slow_min:slow_max + 1, fast_min:fast_max + 1]
    row, column = divmod(int(region.argmax()), region.shape[1])
    return column + fast_min, row + slow_min


def _figures(photons: np.ndarray, region: np.ndarray, rendered: np.ndarray, plan: RenderPlan) -> Figures:
    total = float(rendered.sum(dtype=np.float64))
    mean = total / max(rendered.size, 1)
    # Squares are rounded to single before they are summed, as in C.
    rms = math.sqrt(np.square(rendered).sum(dtype=np.float64) / (max(rendered.size, 2) - 1))
    spread = region - np.float64(mean)
    rmsd = math.sqrt(np.square(spread).sum() / (max(region.size, 2) - 1))
    peak = float(region.max())
    if not peak > 0.0:
        return Figures(0.0, 0.0, 0.0, mean, rms, rmsd)
    pixel = _brightest(photons, plan)
    part = part_at(plan, *pixel)
    assert part is not None  # it was rendered
    n, geometry, window = plan.oversample, part.plan.geometry, part.window
    fast, slow = (edge * ((place - axis.start) * n + n - 1) + edge / 2.0 for place, axis, edge in zip(
        pixel, window[::-1], (geometry.pixel_size / n, geometry.slow_pixel_size / n), strict=True))
    return Figures(peak, fast, slow, mean, rms, rmsd)


def render(plan: RenderPlan, backend: str = "auto", threads: int | None = None, progress: Progress | None = None, *,
           precision: str = "auto", device: int = 0, cull: float | None = 0.0) -> Image:
    """Render a plan.

    Parameters
    ----------
    plan
        From `make_plan`.
    backend, precision, device, cull
        What renders, and which terms it may leave out; see `backends.choose`.
    threads
        CPU threads to use; all cores if ``None``. The image does not depend on it.
    progress
        Called with (pixels done, pixels in all) now and then.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        If the backend named cannot run here.
    """
    if threads is not None and threads < 1:
        raise ConfigError("threads", f"got {threads}; threads must be >= 1")
    chosen = choose(plan, backend, precision, device, cull)
    start = time.perf_counter()
    photons = chosen.renderer.render(threads, progress)
    return image_of(chosen, plan, photons, time.perf_counter() - start)


def image_of(chosen: Choice, plan: RenderPlan, photons: np.ndarray, seconds: float) -> Image:
    """What ``chosen`` just rendered of ``plan``, with its figures and notices."""
    renderer = chosen.renderer
    notices = list(plan.notices)
    if chosen.fallback:
        notices.append(f"{chosen.fallback}; {chosen.backend} renders")
    if renderer.interpolation_stopped_at is not None:
        fast, slow = renderer.interpolation_stopped_at
        alike = "" if plan.panels is None else ", and on every panel from the first such pixel of its own"
        notices.append(f"interpolation of structure factors is off from pixel {fast} {slow} (fast slow) on{alike}: its "
                       "neighbourhood leaves the list; -nointerpolate or --semantics physical treats all pixels alike")
    figures = figures_of(photons, plan)
    if figures.max_photons == 0.0:
        notices.append("the image is zero everywhere")
    beyond = int(np.count_nonzero(~np.isfinite(photons)))
    if beyond:
        notices.append(f"{beyond} pixels are beyond the largest single-precision number")
    return Image(photons, figures, plan, chosen.backend, chosen.precision, seconds, tuple(notices), renderer.culling)


def simulate(experiment: Experiment, *, backend: str = "auto", precision: str = "auto", device: int = 0,
             cull: float | None = 0.0, threads: int | None = None, progress: Progress | None = None) -> Image:
    """Simulate an experiment: `make_plan`, then `render`."""
    return render(make_plan(experiment), backend, threads, progress, precision=precision, device=device,
                  cull=cull)
