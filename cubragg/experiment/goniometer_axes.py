"""Axes of a goniometer that has several: which rotations the crystal and the spindle have from the others.

As in dxtbx: axes are listed from the crystal outwards. At a scan angle phi a vector of the crystal is at S R(phi) F v,
where F are the rotations about the axes between crystal and spindle, and S those about the axes that carry the spindle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cubragg import checks, units
from cubragg.bounds import ANGLE_DEG
from cubragg.crystallography.vectors import Vector, rotate_axis, unit
from cubragg.errors import ConfigError
from cubragg.experiment.settings_repr import settings_repr


@dataclass(frozen=True)
class GoniometerAxis:
    """An axis of a goniometer.

    Attributes
    ----------
    name
        Its name, such as ``kappa``.
    direction
        Its direction in the laboratory where all angles are 0; positive rotation is right-handed.
    angle_deg
        Its angle [deg]; without effect for the axis that turns during an image.
    """

    name: str
    direction: Vector
    angle_deg: float = 0.0

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        where = f"goniometer.axes, {self.name}"
        checks.vector(where, "the axis", self.direction, nonzero=True)
        checks.number(where, "the angle", self.angle_deg, "deg", within=ANGLE_DEG)


_WITHOUT_AXES = "the goniometer has no axes, give them (--goniometer-axis NAME=X,Y,Z, or --from FILE.expt)"


def place_of(axes: Sequence[GoniometerAxis], scan_axis: str | None) -> int:
    """The place of the axis that turns during an image: the named one, or the outermost.

    Raises
    ------
    ConfigError
        If no axis has this name, or two have the same.
    """
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise ConfigError("goniometer.axes", f"got the names {', '.join(names)}; each axis needs a name of its own")
    if scan_axis is None:
        return len(axes) - 1
    if scan_axis not in names:
        raise ConfigError("goniometer.scan_axis", f"got {scan_axis}; " + (
            f"one of {', '.join(names)} is accepted" if names else _WITHOUT_AXES))
    return names.index(scan_axis)


def spindle_of(axes: Sequence[GoniometerAxis], scan_axis: str | None) -> Vector:
    """Unit vector of the axis that turns, in the laboratory."""
    place = place_of(axes, scan_axis)
    return turned(unit(axes[place].direction), axes[place + 1:])


def turned(vector: Vector, axes: Sequence[GoniometerAxis], sign: float = 1.0) -> Vector:
    """A vector after the rotations about axes by their angles; with ``sign`` -1 what it was before them."""
    for axis in axes if sign > 0.0 else reversed(axes):
        if axis.angle_deg:
            vector = rotate_axis(vector, unit(axis.direction), sign * units.rad_from_deg(axis.angle_deg))
    return vector


def fixed_axes(axes: Sequence[GoniometerAxis], scan_axis: str | None) -> tuple[GoniometerAxis, ...]:
    """The axes that do not turn during an image."""
    place = place_of(axes, scan_axis)
    return (*axes[:place], *axes[place + 1:])


def with_angles(axes: Sequence[GoniometerAxis], angles_deg: Mapping[str, float]) -> tuple[GoniometerAxis, ...]:
    """The axes with other angles [deg], by name.

    Raises
    ------
    ConfigError
        For a name that no axis has, and an angle that is no number.
    """
    names = [axis.name for axis in axes]
    for name in angles_deg:
        if name not in names:
            raise ConfigError("goniometer.axes", f"got an angle of {name}; " + (
                f"the axes are {', '.join(names)}" if names else _WITHOUT_AXES))
    return tuple(replace(axis, angle_deg=angles_deg[axis.name]) if axis.name in angles_deg else axis for axis in axes)
