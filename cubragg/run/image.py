"""The rendered image, and the statistics that nanoBragg prints of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.engine.culling import Culling
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from cubragg.io.images.writer import What
    from cubragg.reflections.reflection_table import ReflectionTable

#: Longest edge of the picture that notebooks show [pixel].
_NOTEBOOK_EDGE = 800


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
class Image:
    """A rendered image. ``np.asarray(image)`` is its photons.

    Attributes
    ----------
    photons
        Expected photons, float32 [slow, fast] [photons/pixel]; 0 outside the region, in masked pixels and between
        panels. A CuPy array if it was left on the GPU.
    experiment, plan
        The experiment, and the numbers that were derived from it.
    backend, precision, seconds
        Backend and precision of the rendering, and its wall time without set-up [s].
    culling
        Terms that the backend left out.
    render_warnings
        Warnings of plan and backend; `warnings` also contains those about the pixels.
    """

    photons: np.ndarray
    experiment: Experiment
    plan: Plan
    backend: str
    precision: str
    seconds: float
    culling: Culling
    render_warnings: tuple[str, ...] = ()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The photons, float32 [slow, fast], on the host."""
        return np.array(self._on_host, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        slow, fast = self.photons.shape
        return (f"<cubragg.Image {fast} x {slow} pixels, {self.figures.mean * self.photons.size:.4g} photons, "
                f"max {self.figures.max_photons:.4g}, {self.experiment.semantics} semantics, "
                f"{self.backend} {self.precision}>")

    def counts(self, seed: int = 0) -> np.ndarray:
        """Photon counts with Poisson noise around the expected photons, int32 [slow, fast]; 0 in pixels not rendered.

        The same seed gives the same counts, which are also those of ``cubragg simulate -seed``.

        Raises
        ------
        FormatError
            For more than 2^31 - 1 counts in a pixel.
        """
        from cubragg.detect.noise import noise_counts
        from cubragg.detect.quantize import quantize

        return quantize(noise_counts(self._on_host, self.plan.roi, seed), np.int32)

    def save(self, path: Path | str, seed: int = 0, what: What = "counts") -> None:
        """Write the image in the format of the file's suffix.

        Suffixes are ``.cbf`` ``.img`` ``.nxs`` ``.h5`` ``.tif`` ``.npy`` ``.png``, and ``.bin`` for expected photons.
        CBF, SMV and NXmx files also describe beam, detector and goniometer.

        Parameters
        ----------
        path
            The file, which is written atomically.
        seed
            Seed of the counting noise, as for `counts`.
        what
            ``counts``, or ``photons`` for the expected photons without noise. A picture always shows photons.

        Raises
        ------
        FormatError
            For an unknown suffix, and if the format cannot describe the geometry or store the pixels.
        OSError
            If the file cannot be written.
        """
        from cubragg.run.save import save_image

        save_image(self._on_host, self.experiment, self.plan, path, seed, what)

    def reflections(self, min_photons: float = 1.0) -> ReflectionTable:
        """Reflections of the image with at least ``min_photons``, brightest first; see `cubragg.predict`."""
        from cubragg.reflections.predict import reflection_table

        return reflection_table(self.plan, min_photons=min_photons, backend=self.backend)

    def plot(self, figure: Figure | None = None, *, rings: bool = True, spots: bool = False, zoom: bool = False,
             colours: str = "inverted", scale: str = "sqrt") -> Figure:
        """Draw the expected photons with matplotlib.

        Parameters
        ----------
        figure
            An empty figure, whose size is set; ``None``: a new one of pyplot.
        rings, spots, zoom
            Draw rings of resolution; mark the reflections of the image; enlarge the brightest spot.
        colours, scale
            Colour map (inverted, grey, sea, fire) and scale (linear, sqrt, log).

        Returns
        -------
        The figure.

        Raises
        ------
        ImportError
            Without matplotlib, of the extra ``plot``.
        ConfigError
            For colours or a scale of another name.
        """
        from cubragg.run.plot import plot_image
        from cubragg.view.colours import Style

        return plot_image(self._on_host, self.experiment, self.plan, figure=figure, style=Style(colours, scale),
                          rings=rings, zoom=zoom, table=self.reflections() if spots else None)

    def _repr_png_(self) -> bytes:
        """PNG for notebooks: dark spots on white, on a square-root scale."""
        from cubragg.view.png import picture, png_bytes

        return png_bytes(picture(self._on_host, mask=self.plan.mask, longest_edge=_NOTEBOOK_EDGE))

    @property
    def _on_host(self) -> np.ndarray:
        return self.photons if isinstance(self.photons, np.ndarray) else self.photons.get()

    @cached_property
    def figures(self) -> Figures:
        """The statistics that nanoBragg prints."""
        return figures_of(self._on_host, self.plan)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the image."""
        found = list(self.render_warnings)
        if self.figures.max_photons == 0.0:
            found.append("the image is zero everywhere")
        beyond = int(np.count_nonzero(~np.isfinite(self._on_host)))
        if beyond:
            found.append(f"{beyond} pixels are inf or NaN, because their photons exceed the largest single-precision "
                         "number")
        return tuple(found)

    @property
    def geometry(self) -> DetectorFrame:
        """Geometry of the detector."""
        return self.plan.geometry

    @property
    def max_pixel(self) -> tuple[int, int]:
        """The first pixel (fast, slow) with the maximum; 0 0 in an image of zeros."""
        return _brightest(self._on_host, self.plan) if self.figures.max_photons > 0.0 else (0, 0)


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
    row, column = divmod(int(region.argmax()), region.shape[1])
    return column + fast_min, row + slow_min


def _figures(photons: np.ndarray, region: np.ndarray, rendered: np.ndarray, plan: Plan) -> Figures:
    total = float(rendered.sum(dtype=np.float64))
    mean = total / max(rendered.size, 1)
    # Squares are rounded to single precision before they are summed, as in the C program.
    rms = math.sqrt(np.square(rendered).sum(dtype=np.float64) / (max(rendered.size, 2) - 1))
    spread = region - np.float64(mean)
    rmsd = math.sqrt(np.square(spread).sum() / (max(region.size, 2) - 1))
    peak = float(region.max())
    if not peak > 0.0:
        return Figures(0.0, 0.0, 0.0, mean, rms, rmsd)
    pixel = _brightest(photons, plan)
    panel = plan.panel_at(*pixel)
    assert panel is not None  # it was rendered
    n = plan.oversample
    fast, slow = (edge / n * ((index - axis.start) * n + n - 1) + edge / n / 2.0 for index, axis, edge in zip(
        pixel, panel.window[::-1], panel.edges, strict=True))
    return Figures(peak, fast, slow, mean, rms, rmsd)
