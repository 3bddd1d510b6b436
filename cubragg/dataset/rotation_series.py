"""Rotation series: data sets whose shots follow one another in the angle of the spindle."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from cubragg import checks
from cubragg.dataset.data_set import MAX_SHOTS
from cubragg.dataset.distributions import Distribution
from cubragg.dataset.shot import METHOD, Rendering
from cubragg.dataset.stored_set import StoredDataSet
from cubragg.dataset.wedges import Wedge, inverse_beam, mounted, series_of
from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment, require_experiment

if TYPE_CHECKING:
    from cubragg.dataset.specification import Document


class Sweep(StoredDataSet):
    """A rotation series, whose image i covers the spindle angles from ``start_deg`` + i ``osc_deg`` on; or several.

    The number of an image, and with it time and dose, goes on from wedge to wedge. Files of other programs have each
    wedge as a sweep of its own.

    Parameters
    ----------
    experiment
        The experiment, in physical semantics; its rotation range is replaced.
    images
        Number of images; with ``inverse_beam_deg`` as many again are at 180 deg more.
    osc_deg
        Rotation range of an image [deg]; ``None``: that of the experiment.
    start_deg
        Spindle angle at the start of the first image [deg]; ``None``: that of the experiment.
    wedges
        Several ranges, in the order in which they are recorded, in place of ``images`` and ``start_deg``.
    inverse_beam_deg
        Width of wedges [deg] that are each followed by the same at 180 deg more, which has the Friedel mates.
    seed
        Seed of everything that is random.
    vary
        Distributions by name of what differs from image to image; see `Stills`.
    backend, precision, device, threads, method, cull, progress
        As for `cubragg.simulate`; ``progress`` of shots that are rendered one by one, not of those that are written.

    Attributes
    ----------
    wedges
        The wedges, each with its rotation range.

    Raises
    ------
    ConfigError
        If the specification cannot be rendered, in whichever image.
    """

    kind = "sweep"
    _count_name = "images"

    def __init__(self, experiment: Experiment, images: int | None = None, osc_deg: float | None = None, *,
                 start_deg: float | None = None, wedges: Sequence[Wedge] = (), inverse_beam_deg: float | None = None,
                 seed: int = 0, vary: Mapping[str, Distribution] | None = None, backend: Backend = "auto",
                 precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = METHOD,
                 cull: float | None = 0.0, progress: Progress | None = None) -> None:
        require_experiment(experiment)
        start = experiment.goniometer.phi_deg if start_deg is None else start_deg
        osc = experiment.goniometer.osc_deg or None if osc_deg is None else osc_deg
        given = _wedges_of(images, osc, start, start_deg is not None, wedges)
        self.wedges = given if inverse_beam_deg is None else tuple(inverse_beam(given, inverse_beam_deg))
        self._series = series_of(wedge.images for wedge in self.wedges)
        super().__init__(experiment, self._series[-1].stop, seed, vary, 1, 0.0,
                         Rendering(backend, precision, device, threads, method, cull, progress))

    @property
    def series(self) -> list[range]:
        """Numbers of the images of each wedge."""
        return self._series

    def series_at(self, shot: int) -> int:
        """Number of the wedge of an image; beyond the last image the last wedge."""
        return min(bisect_right(self._series, shot, key=lambda part: part.start), len(self._series)) - 1

    def _rotated(self, shot: int) -> Experiment:
        """The experiment with the spindle angles of an image."""
        number = self.series_at(shot)
        wedge = self.wedges[number]
        start = wedge.start_deg + (shot - self._series[number].start) * wedge.range_deg
        return replace(self.experiment, goniometer=replace(
            self.experiment.goniometer, phi_deg=start, osc_deg=wedge.range_deg, phi_step_deg=None))

    def _mounted(self, shot: int, experiment: Experiment) -> Experiment:
        """The experiment with the goniometer at the angles of the image's wedge."""
        return mounted(experiment, self.wedges[self.series_at(shot)])

    def check(self) -> None:
        """Check the goniometer of each wedge as well."""
        for part in self._series:
            self.experiment_at(part.start)
        super().check()

    def own_settings(self) -> dict[str, Any]:
        """The wedges."""
        return {"wedges": [wedge.to_dict() for wedge in self.wedges]}

    @classmethod
    def of_document(cls, document: Document) -> Self:
        """The sweep of a specification."""
        try:
            wedges = [Wedge(**table) for table in document.tables["wedges"]]
        except (KeyError, TypeError):
            raise ConfigError(f"{document.path}: wedges", "got a sweep without a list of wedges, each with start_deg, "
                              "images and osc_deg; the spec.toml of a data set is accepted") from None
        return cls(document.experiment(), wedges=wedges, **document.keywords())


def _wedges_of(images: int | None, osc_deg: float | None, start_deg: float, start_given: bool, wedges: Sequence[Wedge]
               ) -> tuple[Wedge, ...]:
    """The wedges of the arguments of `Sweep`, each with its rotation range."""
    if osc_deg is not None:
        checks.number("osc_deg", "the rotation range of an image", osc_deg, "deg", above=0.0)
    checks.number("start_deg", "the start of the series", start_deg, "deg")
    if not wedges:
        if images is None or osc_deg is None:
            raise ConfigError("images" if images is None else "osc_deg", "got none; a sweep needs images and osc_deg, "
                              "or wedges")
        checks.integer("images", "the number of shots", images, at_least=1, at_most=MAX_SHOTS)
        return (Wedge(float(start_deg), images, float(osc_deg)),)
    if images is not None or start_given:
        raise ConfigError("images" if images is not None else "start_deg", "got wedges as well, which have their own; "
                          "leave one of them out")
    if osc_deg is None and any(wedge.osc_deg is None for wedge in wedges):
        raise ConfigError("osc_deg", "got none, and a wedge without its own; give the rotation range of an image")
    return tuple(wedge if wedge.osc_deg is not None else replace(wedge, osc_deg=osc_deg) for wedge in wedges)
