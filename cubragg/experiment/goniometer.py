"""The goniometer: start angle, rotation range and number of steps of the spindle."""

from __future__ import annotations

from dataclasses import dataclass

from cubragg import checks, units
from cubragg.bounds import ANGLE_DEG
from cubragg.crystallography.vectors import Vector
from cubragg.errors import ConfigError
from cubragg.experiment.goniometer_axes import GoniometerAxis, place_of, spindle_of
from cubragg.experiment.settings_repr import settings_repr
from cubragg.nanobragg.fill_range import MAX_STEPS, Sweep, fill_phi


@dataclass(frozen=True)
class Goniometer:
    """Spindle rotation.

    Attributes
    ----------
    phi_deg
        Start angle [deg].
    osc_deg, phi_step_deg, phi_steps
        Rotation range [deg], step [deg] and number of steps; ``None`` is filled in by `fill_range.fill_phi`.
        In nanobragg semantics step i is at phi + i * step, the start of its interval; in physical semantics it is in
        the middle, and a range without step and number gets as many as spots need.
    axis
        Rotation axis for the CUSTOM convention and for placed panels; the other conventions define their own.
    axes
        Axes of a goniometer that has several, from the crystal outwards, at the angles at which the orientation of the
        crystal is given: it is that in the laboratory at spindle angle 0, so that they do not turn it again. `Sweep`
        turns it to other angles.
    scan_axis
        Name of the one of them that turns during an image; ``None``: the outermost. It is ``axis`` where that is
        ``None``.
    """

    phi_deg: float = 0.0
    osc_deg: float | None = None
    phi_step_deg: float | None = None
    phi_steps: int | None = None
    axis: Vector | None = None
    axes: tuple[GoniometerAxis, ...] = ()
    scan_axis: str | None = None

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        checks.number("goniometer.phi_deg", "phi", self.phi_deg, "deg", within=ANGLE_DEG)
        checks.number("goniometer.osc_deg", "the oscillation range", self.osc_deg, "deg",
                      optional=True, at_least=0.0, within=ANGLE_DEG)
        checks.number("goniometer.phi_step_deg", "the phi step", self.phi_step_deg, "deg",
                      optional=True, at_least=0.0, within=ANGLE_DEG)
        checks.integer("goniometer.phi_steps", "the number of phi steps", self.phi_steps,
                       optional=True, at_least=0, at_most=MAX_STEPS)
        checks.vector("goniometer.axis", "the spindle axis", self.axis, optional=True, nonzero=True)
        self._check_axes()
        if self.sweep().count < 1:
            raise ConfigError("goniometer.osc_deg", "got 0 deg with a phi step and no number of steps, so that "
                              "there is nothing to render; give -phisteps or a range > 0 deg")

        if self.sweep().count > MAX_STEPS:
            raise ConfigError("goniometer.phi_step_deg", f"got {self.phi_step_deg:g} deg for a range of "
                              f"{self.osc_deg:g} deg; at most {MAX_STEPS} steps are accepted")

    def _check_axes(self) -> None:
        checks.instances("goniometer.axes", self.axes, GoniometerAxis)
        if self.axes or self.scan_axis is not None:
            place_of(self.axes, self.scan_axis)
            if self.axis is None:
                object.__setattr__(self, "axis", spindle_of(self.axes, self.scan_axis))

    def sweep(self) -> Sweep:
        """Return the rotation range, step [rad] and number of steps, with missing ones filled in."""
        range_rad = None if self.osc_deg is None else units.rad_from_deg(self.osc_deg)
        step = None if self.phi_step_deg is None else units.rad_from_deg(self.phi_step_deg)
        return fill_phi(self.phi_steps, range_rad, step, units.rad_from_deg(1.0))

    def angles(self) -> list[float]:
        """Return the spindle angle of each step [rad]."""
        start, sweep = units.rad_from_deg(self.phi_deg), self.sweep()
        return [start + sweep.step * i for i in range(sweep.count)]

    def unsampled_sweep(self) -> Sweep:
        """Return the rotation range [rad] in one step; without a range, a single step is a still."""
        sweep = self.sweep()
        width = sweep.width if self.osc_deg is not None or sweep.count > 1 else 0.0
        return Sweep(1, width, width)
