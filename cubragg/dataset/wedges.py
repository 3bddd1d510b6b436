"""Wedges of a rotation series: several ranges of spindle angles, at angles of the other axes of a goniometer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any

from cubragg import checks
from cubragg.bounds import ANGLE_DEG
from cubragg.crystallography.vectors import Vector
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.goniometer_axes import fixed_axes, spindle_of, turned, with_angles

#: Largest difference of the images in a wedge from a whole number.
_WHOLE = 1e-6


@dataclass(frozen=True)
class Wedge:
    """Images of consecutive ranges of the spindle angle, which other programs read as one sweep.

    Attributes
    ----------
    start_deg
        Spindle angle at the start of the first image [deg].
    images
        Number of images.
    osc_deg
        Rotation range of an image [deg]; ``None``: that of the `Sweep`.
    angles_deg
        Angles of other axes of the goniometer [deg] by name (`Goniometer.axes`), such as ``{"kappa": 30}``; axes that
        are not named keep theirs.
    scan_axis
        Name of the axis that turns; ``None``: that of the experiment.
    """

    start_deg: float
    images: int
    osc_deg: float | None = None
    angles_deg: Mapping[str, float] = field(default_factory=dict)
    scan_axis: str | None = None

    def __post_init__(self) -> None:
        checks.number("wedges.start_deg", "the start of the wedge", self.start_deg, "deg", within=ANGLE_DEG)
        checks.integer("wedges.images", "the number of images", self.images, at_least=1)
        checks.number("wedges.osc_deg", "the rotation range of an image", self.osc_deg, "deg", optional=True, above=0.0)

    @property
    def range_deg(self) -> float:
        """Rotation range of an image [deg]."""
        assert self.osc_deg is not None, "Sweep fills it in"
        return self.osc_deg

    def to_dict(self) -> dict[str, Any]:
        """The wedge as TOML has it."""
        found = {name: value for name, value in vars(self).items() if value is not None and name != "angles_deg"}
        return found | ({"angles_deg": dict(self.angles_deg)} if self.angles_deg else {})


def inverse_beam(wedges: Sequence[Wedge], width_deg: float) -> Iterator[Wedge]:
    """Divide wedges into ones of a width, each followed by the same at 180 deg more, which has the Friedel mates.

    Raises
    ------
    ConfigError
        If the width holds no whole number of images.
    """
    checks.number("inverse_beam_deg", "the width of the wedges", width_deg, "deg", above=0.0)
    for wedge in wedges:
        count = width_deg / wedge.range_deg
        step = round(count)
        if step < 1 or abs(count - step) > _WHOLE * count:
            raise ConfigError("inverse_beam_deg", f"got {width_deg:g} deg, which are {count:g} images of "
                              f"{wedge.range_deg:g} deg; a whole number of images is accepted")
        for first in range(0, wedge.images, step):
            direct = replace(wedge, start_deg=wedge.start_deg + first * wedge.range_deg,
                             images=min(step, wedge.images - first))
            yield direct
            yield replace(direct, start_deg=direct.start_deg + 180.0)


def series_of(images: Iterable[int]) -> list[range]:
    """The numbers of the images of each wedge, given how many each has; they go on from wedge to wedge."""
    return [range(first, end) for first, end in pairwise(accumulate(images, initial=0))]


def mounted(experiment: Experiment, wedge: Wedge) -> Experiment:
    """The experiment with the goniometer at the angles of a wedge: crystal and spindle turn with its axes.

    Raises
    ------
    ConfigError
        For an axis that the goniometer of the experiment has not.
    """
    goniometer = experiment.goniometer
    scan_axis = wedge.scan_axis or goniometer.scan_axis
    axes = with_angles(goniometer.axes, wedge.angles_deg)
    if axes == goniometer.axes and scan_axis == goniometer.scan_axis:
        return experiment
    before, after = fixed_axes(goniometer.axes, goniometer.scan_axis), fixed_axes(axes, scan_axis)

    def moved(vector: Vector) -> Vector:
        return turned(turned(vector, before, -1.0), after)

    return replace(
        experiment, crystal=experiment.crystal.turned(moved, experiment.semantics),
        goniometer=replace(goniometer, axes=axes, scan_axis=scan_axis, axis=spindle_of(axes, scan_axis)))
