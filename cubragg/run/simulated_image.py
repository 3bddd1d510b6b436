"""A rendered image, and the statistics that nanoBragg prints of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.engine.culling import Culling
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan
from cubragg.run.image import Image

if TYPE_CHECKING:
    from cubragg.detect.stored_pixels import PixelType
    from cubragg.io.images.scene import Scene
    from cubragg.reflections.panel_sums import ImageSums
    from cubragg.reflections.reflection_table import ReflectionTable


class Figures(NamedTuple):
    """Statistics of an image as nanoBragg prints them [photons/pixel, m].

    ``max_fast_m`` and ``max_slow_m`` are the position on its panel of the last sub-pixel of the
    first pixel with the maximum. ``mean`` and ``rms`` are over the rendered pixels, ``rmsd`` over
    the whole region, with masked pixels and gaps between panels counted as 0.
    """

    max_photons: float
    max_fast_m: float
    max_slow_m: float
    mean: float
    rms: float
    rmsd: float


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedImage(Image):
    """An image that `cubragg.simulate` or a series of it has rendered.

    Attributes
    ----------
    photons
        Expected photons, float32 [slow, fast], in photons per pixel; 0 outside the region, in masked pixels and
        between panels. A CuPy array if it was left on the GPU.
    experiment, plan
        The experiment, and the numbers that were derived from it.
    backend, precision, seconds
        Backend and precision of the rendering, and its wall time without set-up [s].
    culling
        Terms that the backend left out.
    render_warnings
        Warnings of plan and backend; `warnings` also contains those about the pixels.
    shot
        Number of the image in its series, from 0; images of a series have different noise for the same seed.
    sums
        Its sums by reflection, if they were made as it was rendered; ``None``: `reflections` takes a pass of its own.
    """

    photons: np.ndarray
    experiment: Experiment
    plan: Plan
    backend: str
    precision: str
    seconds: float
    culling: Culling
    render_warnings: tuple[str, ...] = ()
    shot: int = 0
    sums: ImageSums | None = None

    def scene(self) -> Scene:
        """Metadata of the image for file headers and pictures, with the current time."""
        from cubragg.run.image_scene import scene_of

        return scene_of(self.experiment, self.plan)

    def drawn_counts(self, seed: int) -> np.ndarray:
        """Counts of the detector [slow, fast], int32, or float64 where they may exceed 2^31 - 1."""
        from cubragg.run.detection import counts_of

        return counts_of(self.photons, self.experiment, self.plan, seed=seed, shot=self.shot,
                         backend="numpy" if self.backend == "numpy" else "auto")

    def stored_type(self, kind: PixelType) -> PixelType:
        """Return the type of pixels, which in physical semantics stores overloads in place of an error."""
        from cubragg.run.detection import stored_type

        return stored_type(kind, self.experiment)

    def reflections(self, min_photons: float = 1.0) -> ReflectionTable:
        """Reflections of the image with at least ``min_photons``, brightest first; see `cubragg.predict`."""
        from cubragg.reflections.predict import reflection_table

        return reflection_table(self.plan, min_photons=min_photons, backend=self.backend, photons=self.bragg_photons,
                                sums=self.sums)

    def save_reflections(self, path: Path | str, min_photons: float = 1.0) -> None:
        """Write the table of `reflections` as CSV, HDF5 (.h5) or for DIALS (.refl), by the suffix of the file.

        A table for DIALS is that of the single image of an ``.expt`` of `save_geometry`.

        Raises
        ------
        FormatError
            For another suffix.
        OSError
            If the file cannot be written.
        """
        from cubragg.io.reflections.write_reflection_table import ending_of, write_reflection_table

        ending_of(path)  # before a table is computed
        write_reflection_table(path, self.reflections(min_photons))

    def save_geometry(self, path: Path | str, image: Path | str | None = None) -> None:
        """Write beam, detector, goniometer and crystal for other programs, by the name of the file.

        Parameters
        ----------
        path
            ``.expt`` of DIALS, ``.geom`` or ``.cell`` of CrystFEL, or ``XDS.INP``.
        image
            The file of the image, which `save` writes; ``None``: without one.

        Raises
        ------
        ConfigError
            For a curved detector.
        FormatError
            For another name of the file, an image that these programs do not read, and a geometry that the format
            cannot describe.
        OSError
            If the file cannot be written.
        """
        from cubragg.run.save import save_geometry

        save_geometry(self.experiment, path, image)

    @property
    def bragg_photons(self) -> np.ndarray | None:
        """The photons if they are all those of the crystal, and no others, on the host; otherwise ``None``.

        A background and a beam stop change them, and a tolerance of culling leaves some out.
        """
        alone = (self.experiment.background.empty and self.plan.beam_stop is None
                 and not self.experiment.beam.direct_fraction and not self.culling.tolerance)
        return self.on_host if alone else None

    @property
    def live(self) -> np.ndarray | None:
        """Pixels that are rendered, bool [slow, fast]; ``None``: all."""
        return self.plan.mask

    @property
    def title(self) -> str:
        """First line of a plot."""
        return "Expected photons"

    @cached_property
    def figures(self) -> Figures:
        """The statistics that nanoBragg prints."""
        return figures_of(self.on_host, self.plan)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the image."""
        found = list(self.render_warnings)
        infinite, undefined = (int(np.count_nonzero(which(self.on_host))) for which in (np.isinf, np.isnan))
        if self.figures.max_photons == 0.0 and not undefined:
            found.append("the image is zero everywhere")
        if infinite:
            found.append(f"{infinite} pixels are inf, because their photons exceed the largest single-precision number")
        if undefined:
            found.append(f"{undefined} pixels are NaN, because terms of their sums exceed the largest number of "
                         f"{self.precision} precision; smaller structure factors"
                         f"{'' if self.precision == 'double' else ' or --precision double'} avoid that")
        return tuple(found)

    def _facts(self) -> str:
        return (f"{self.on_host.sum(dtype=np.float64):.4g} photons, max {self.figures.max_photons:.4g}, "
                f"{self.experiment.semantics} semantics, {self.backend} {self.precision}")

    @property
    def geometry(self) -> DetectorFrame:
        """Geometry of the detector."""
        return self.plan.geometry

    @property
    def max_pixel(self) -> tuple[int, int]:
        """The first pixel (fast, slow) with the maximum; 0 0 in an image of zeros."""
        return _brightest(self.on_host, self.plan) if self.figures.max_photons > 0.0 else (0, 0)


def figures_of(photons: np.ndarray, plan: Plan) -> Figures:
    """Statistics of a float32 image [slow, fast]."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    region = photons[slow_min:slow_max + 1, fast_min:fast_max + 1]
    rendered = region if plan.mask is None else region[plan.mask[slow_min:slow_max + 1, fast_min:fast_max + 1]]
    with np.errstate(over="ignore", invalid="ignore"):  # of an image with infinite pixels
        return _figures(photons, region, rendered, plan)


def _brightest(photons: np.ndarray, plan: Plan) -> tuple[int, int]:
    fast_min, fast_max, slow_min, slow_max = plan.roi
    region = photons[slow_min:slow_max + 1, fast_min:fast_max + 1]
    index = int(region.argmax())  # a NaN, if there is one
    row, column = divmod(int(np.nanargmax(region)) if np.isnan(region.flat[index]) else index, region.shape[1])
    return column + fast_min, row + slow_min


def _figures(photons: np.ndarray, region: np.ndarray, rendered: np.ndarray, plan: Plan) -> Figures:
    total = float(rendered.sum(dtype=np.float64))
    mean = total / max(rendered.size, 1)
    # Squares are rounded to single precision before they are summed, as in the C program.
    rms = math.sqrt(np.square(rendered).sum(dtype=np.float64) / (max(rendered.size, 2) - 1))
    spread = region - np.float64(mean)
    rmsd = math.sqrt(np.square(spread, out=spread).sum() / (max(region.size, 2) - 1))
    peak = float(np.fmax.reduce(region, axis=None))  # of the pixels that are not NaN
    if not peak > 0.0:
        return Figures(0.0, 0.0, 0.0, mean, rms, rmsd)
    pixel = _brightest(photons, plan)
    panel = plan.panel_at(*pixel)
    assert panel is not None  # it was rendered
    n = plan.oversample
    fast, slow = (edge / n * ((index - axis.start) * n + n - 1) + edge / n / 2.0 for index, axis, edge in zip(
        pixel, panel.window[::-1], panel.edges, strict=True))
    return Figures(peak, fast, slow, mean, rms, rmsd)
