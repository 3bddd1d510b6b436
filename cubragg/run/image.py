"""An image: simulated, or read from a file."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg import checks
from cubragg.detect.quantize import quantize
from cubragg.run.image_data import ImageData

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from cubragg.experiment.experiment import Experiment
    from cubragg.experiment.experiment_parts import ExperimentParts
    from cubragg.io.images.writer import What
    from cubragg.reflections.reflection_table import ReflectionTable

#: Longest edge of the picture that notebooks show [pixel].
_NOTEBOOK_EDGE = 800


class Image(ImageData):
    """An image. `cubragg.simulate` returns a `SimulatedImage`, `cubragg.read` a `FileImage`.

    ``np.asarray(image)`` is its photons.

    Attributes
    ----------
    photons
        Expected photons, or pixels of a file, float32 [slow, fast], in photons per pixel; 0 in pixels without a value.
    experiment
        The experiment of the image, or the parts of it that are known.
    """

    experiment: Experiment | ExperimentParts

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The photons, float32 [slow, fast], on the host."""
        return np.array(self.on_host, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        slow, fast = self.photons.shape
        warnings = f", {count} warning{'' if count == 1 else 's'}" if (count := len(self.warnings)) else ""
        return f"<cubragg.Image {fast} x {slow} pixels, {self._facts()}{warnings}>"

    def counts(self, seed: int = 0) -> np.ndarray:
        """Photon counts with Poisson noise around the expected photons, int32 [slow, fast]; 0 where there is no value.

        The same seed gives the same counts on every backend, which are also those of ``cubragg simulate -seed``.
        Images of a series have different noise for the same seed. The counts of an image that was read as integers are
        its pixels.

        Raises
        ------
        FormatError
            For more than 2^31 - 1 counts in a pixel.
        """
        counts = self.drawn_counts(seed)
        return counts if counts.dtype == np.int32 else quantize(counts, np.int32)

    def fingerprint(self, what: What = "photons", seed: int = 0) -> str:
        """Return 16 hexadecimal digits that are those of the same image on another machine, for tests.

        Images in double precision have the same fingerprint on every platform, backend and NumPy version, although
        the last bits of their pixels may differ; ``specs/stability.md`` gives the chances. Other precisions have
        fingerprints of their own.

        Parameters
        ----------
        what
            ``photons``: pixels in steps of 1/8192 to 1/4096 of about the largest; smaller changes are not seen.
            ``counts``: every count of the seed; any change is seen.
        seed
            Seed of the counting noise, as for `counts`.

        Raises
        ------
        ConfigError
            For another ``what``.
        FormatError
            For counts that are not finite, or above 2^62.
        """
        from cubragg.run.fingerprints import fingerprint_of_counts, fingerprint_of_photons

        checks.choice("what", "the content of the fingerprint", what, ("photons", "counts"))
        if what == "photons":
            return fingerprint_of_photons(self.on_host)
        return fingerprint_of_counts(self.drawn_counts(seed))

    @abstractmethod
    def reflections(self, min_photons: float = 1.0) -> ReflectionTable:
        """Reflections of the image with at least ``min_photons``, brightest first; see `cubragg.predict`.

        Raises
        ------
        ConfigError
            For an image that was read from a file.
        """

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the image."""

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
        ConfigError
            For another ``what``.
        FormatError
            For an unknown suffix, and if the format cannot describe the geometry or store the pixels.
        OSError
            If the file cannot be written.

        Warns
        -----
        CubraggWarning
            If panels whose axes are not perpendicular are written to NXmx with the nearest perpendicular ones, which
            shifts pixels by less than a pixel; more is a `FormatError`.
        """
        from cubragg.run.save import save_image

        save_image(self, path, seed, what)

    def plot(self, figure: Figure | None = None, *, rings: bool = True, spots: bool | int = False, zoom: bool = False,
             colours: str = "inverted", scale: str = "sqrt", counts: bool = False, seed: int = 0) -> Figure:
        """Draw the expected photons, or counts, with matplotlib.

        Parameters
        ----------
        figure
            An empty figure, whose size is set; ``None``: a new one of pyplot.
        rings, spots, zoom
            Draw rings of resolution; mark the reflections of the image (a number: the brightest ones); enlarge the
            brightest spot.
        colours, scale
            Colour map (inverted, grey, viridis, ...: `cubragg.view.colours.COLOUR_MAPS`) and scale (linear, sqrt,
            log).
        counts, seed
            Draw `counts` of this seed.

        Returns
        -------
        The figure.

        Raises
        ------
        ImportError
            Without matplotlib, of the extra ``plot``.
        ConfigError
            For colours or a scale of another name, and ``spots`` of an image that was read from a file.
        """
        from cubragg.run.plot import plot_image
        from cubragg.view.colours import Style

        return plot_image(self, figure=figure, style=Style(colours, scale), rings=rings, zoom=zoom,
                          table=self.reflections() if spots else None, spots=spots, seed=seed if counts else None)

    def _repr_png_(self) -> bytes:
        """PNG for notebooks: dark spots on white, on a square-root scale."""
        from cubragg.run.plot import notebook_png

        return notebook_png(self, _NOTEBOOK_EDGE)

    @abstractmethod
    def _facts(self) -> str:
        """The end of the one-line description."""
