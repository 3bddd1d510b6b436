"""The beam: wavelength, sources (divergence x dispersion, or a list), polarization, fluence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from cubragg import checks, units
from cubragg.bounds import KAHN_FACTOR, SMALLEST, WAVELENGTH_A, Range
from cubragg.crystallography.vectors import Vector, dot, rotate_axis, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.one_or_several import checked, several
from cubragg.experiment.settings_repr import settings_repr
from cubragg.experiment.spectrum_channels import Channel, relative_bandwidth
from cubragg.nanobragg.fill_range import MAX_STEPS, Sweep, fill_range

#: Fluence [photons/m^2] for which r_e^2 * fluence = 1, the default of nanoBragg.
DEFAULT_FLUENCE = 125932015286227086360700780544.0
SOURCE_DISTANCE_M = 10.0
#: A source whose direction has a larger cosine with the beam is behind the crystal.
_BEHIND = 0.1
Profile = Literal["flat", "gaussian"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
#: Kahn factor of each semantics where none is given. 0.998 is the polarization fraction of 0.999 that dxtbx assumes for
#: files that do not give one.
KAHN_FACTORS = {"nanobragg": 0.0, "physical": 0.998}
#: Largest standard deviation of the relative wavelength; beyond, wavelengths of 0 come into reach.
_MAX_BANDWIDTH = 0.2
#: Channels without a bandwidth up to this number are sources of their own; of more, each sample has one.
_MOST_LINES = 16
_WAVELENGTH_M = Range(*(units.m_from_angstrom(limit) for limit in WAVELENGTH_A))


@dataclass(frozen=True)
class Source:
    """One point of the source, a line of a ``-sourcefile``; ``None`` is the default.

    Attributes
    ----------
    position
        Coordinates of the source relative to the crystal [m]; only the direction
        matters. ``None`` components are those of -10 * beam direction.
    weight
        Relative intensity, default 1. No effect in nanobragg semantics.
    wavelength_m
        Wavelength [m], default that of the beam.
    """

    position: tuple[float | None, float | None, float | None] = (None, None, None)
    weight: float | None = None
    wavelength_m: float | None = None


class SourceTable(NamedTuple):
    """All sources, in the order of summation.

    ``incident`` float64 [n, 3] unit vectors of the incident beam, ``wavelength_m``
    float64 [n], ``weight`` float64 [n]; the ranges of divergence and dispersion that
    generated them, whether they were read from a list instead, and whether the two ranges of divergence are the axes of
    an ellipse.
    """

    incident: np.ndarray
    wavelength_m: np.ndarray
    weight: np.ndarray
    horizontal: Sweep
    vertical: Sweep
    dispersion: Sweep
    from_list: bool
    elliptical: bool


@dataclass(frozen=True)
class Beam:
    """The X-ray beam.

    Attributes
    ----------
    wavelength_A
        Central wavelength [A].
    fluence
        Photons per area [photons/m^2]. Not used if ``flux`` is not 0.
    flux, exposure_s, beamsize_mm
        Photons per second, seconds, edge of a square beam [mm]. A coherent block larger than the beam is
        clipped to it.
    profile, size_mm
        ``flat``: a rectangle of ``size_mm``, along the polarization axis and across it, one number for both. ``None``:
        the edge of ``beamsize_mm`` with a flux, larger than any crystal without. ``gaussian``: ``size_mm`` is the full
        width at half maximum, and ``fluence`` that of the centre. Physical semantics only, as the next three.
    divergence_mrad, divergence_deg
        Standard deviation of the direction [mrad] or [deg], along the polarization axis and across it.
    bandwidth, bandwidth_fwhm
        Standard deviation of the relative wavelength, or its full width at half maximum.
    spectrum
        Channels in place of a bandwidth.
    direct_fraction
        Fraction of the beam's photons that reach the detector around its centre, unless a beam stop hides them.
    kahn_factor
        Polarization: 0 unpolarized, 1 fully polarized along the polarization axis (Kahn et al. 1982). ``None``: 0 in
        nanobragg semantics, 0.998 (a synchrotron) in physical.
    polarized
        False: no polarization correction.
    hdiv_range_mrad, hdiv_step_mrad, hdiv_steps, vdiv_range_mrad, vdiv_step_mrad, vdiv_steps
        Divergence grid; ``None`` is filled in by `fill_range.fill_range`.
    round_divergence
        Leave out the corners of the divergence grid.
    dispersion_percent, dispersion_steps
        Full width of the spectrum in percent of the wavelength, and its number of points.
    sources
        Sources that replace the generated ones.
    direction, polarization_axis
        Directions of the beam and of its E vector, for the CUSTOM convention and for placed panels; ``None``: those of
        the convention. The other conventions define their own.
    """

    wavelength_A: float = 1.0
    fluence: float = DEFAULT_FLUENCE
    flux: float = 0.0
    exposure_s: float = 1.0
    beamsize_mm: float = 0.1
    kahn_factor: float | None = None
    polarized: bool = True
    hdiv_range_mrad: float | None = None
    hdiv_step_mrad: float | None = None
    hdiv_steps: int | None = None
    vdiv_range_mrad: float | None = None
    vdiv_step_mrad: float | None = None
    vdiv_steps: int | None = None
    round_divergence: bool = True
    dispersion_percent: float = 0.0
    dispersion_steps: int | None = None
    sources: tuple[Source, ...] = ()
    direction: Vector | None = None
    polarization_axis: Vector | None = None
    profile: Profile = "flat"
    size_mm: float | tuple[float, float] | None = None
    divergence_mrad: float | tuple[float, float] | None = None
    bandwidth: float = 0.0
    spectrum: tuple[Channel, ...] = ()
    direct_fraction: float = 0.0
    divergence_deg: float | tuple[float, float] | None = None
    bandwidth_fwhm: float = 0.0

    __repr__ = settings_repr

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        checks.number("beam.wavelength_A", "wavelength", self.wavelength_A, "A", above=0.0, within=WAVELENGTH_A)
        checks.number("beam.fluence", "fluence", self.fluence, "photons/m^2", at_least=0.0)
        checks.number("beam.flux", "flux", self.flux, "photons/s", at_least=0.0)
        checks.number("beam.exposure_s", "exposure", self.exposure_s, "s")
        checks.number("beam.beamsize_mm", "beam size", self.beamsize_mm, "mm")
        checks.number("beam.kahn_factor", "the Kahn polarization factor", self.kahn_factor, optional=True,
                      within=KAHN_FACTOR)
        checks.switch("beam.polarized", self.polarized)
        checks.switch("beam.round_divergence", self.round_divergence)
        checks.instances("beam.sources", self.sources, Source)
        checks.instances("beam.spectrum", self.spectrum, Channel)
        for axis in ("hdiv", "vdiv"):
            for part in ("range", "step"):
                name = f"{axis}_{part}_mrad"
                checks.number(f"beam.{name}", f"divergence {part}", getattr(self, name), "mrad",
                              optional=True, at_least=0.0)
            checks.integer(f"beam.{axis}_steps", "the number of divergence steps",
                           getattr(self, f"{axis}_steps"), optional=True, at_least=0, at_most=MAX_STEPS)
        checks.number("beam.dispersion_percent", "dispersion", self.dispersion_percent, "%", at_least=0.0)
        checks.integer("beam.dispersion_steps", "the number of dispersion steps", self.dispersion_steps,
                       optional=True, at_least=0, at_most=MAX_STEPS)
        if self.flux != 0.0 and self.exposure_s > 0.0 and self.beamsize_mm == 0.0:
            raise ConfigError("beam.beamsize_mm", "got 0 mm; with a flux the beam size must be > 0 mm")
        if self.dispersion_percent >= 200.0:
            raise ConfigError("beam.dispersion_percent",
                              f"got {self.dispersion_percent:g} %; dispersion must be < 200 % "
                              "to keep wavelengths positive")
        for name in ("direction", "polarization_axis"):
            checks.vector(f"beam.{name}", "an axis", getattr(self, name), optional=True, nonzero=True)
        for number_, source in enumerate(self.sources, start=1):
            self._check_source(f"beam.sources[{number_}]", source)
        self._check_profile()
        self._check_spread()

    def _check_profile(self) -> None:
        checks.choice("beam.profile", "the beam profile", self.profile, PROFILES)
        checks.number("beam.direct_fraction", "the fraction of the direct beam", self.direct_fraction, at_least=0.0)
        if self.direct_fraction > 1.0:
            raise ConfigError("beam.direct_fraction", f"got {self.direct_fraction:g}; it must be at most 1")
        checked("beam.size_mm", "the beam size", self.size_mm, "mm", length=2, above=0.0)
        if self.profile == "gaussian" and self.size_mm is None:
            raise ConfigError("beam.profile", "got gaussian without a size; give its full width at half maximum "
                              "(--beam-size)")

    def _check_spread(self) -> None:
        """Check divergence, bandwidth and spectrum, of which nanoBragg's grids and lists are alternatives."""
        checked("beam.divergence_mrad", "the divergence", self.divergence_mrad, "mrad", length=2, at_least=0.0)
        checked("beam.divergence_deg", "the divergence", self.divergence_deg, "deg", length=2, at_least=0.0)
        checks.number("beam.bandwidth", "the bandwidth", self.bandwidth, at_least=0.0, below=_MAX_BANDWIDTH)
        checks.number("beam.bandwidth_fwhm", "the bandwidth", self.bandwidth_fwhm, at_least=0.0,
                      below=_MAX_BANDWIDTH * units.FWHM_PER_SIGMA)
        for name, other, value in (("divergence_deg", "divergence_mrad", self.divergence_deg),
                                   ("bandwidth_fwhm", "bandwidth", self.bandwidth_fwhm)):
            if value and getattr(self, other):
                raise ConfigError(f"beam.{name}", f"got {value} and a {other}; give one of them")
        for number, channel in enumerate(self.spectrum, start=1):
            where = f"beam.spectrum[{number}]"
            checks.number(where, "the wavelength of a channel", channel.wavelength_A, "A", above=0.0,
                          within=WAVELENGTH_A)
            checks.number(where, "the weight of a channel", channel.weight, at_least=0.0)
            checks.number(where, "the bandwidth of a channel", channel.bandwidth, at_least=0.0, below=_MAX_BANDWIDTH)
        if self.spectrum and not any(channel.weight for channel in self.spectrum):
            raise ConfigError("beam.spectrum", "got weights of 0 only; at least one must be > 0")
        for name in ("bandwidth", "bandwidth_fwhm"):
            if self.spectrum and getattr(self, name):
                raise ConfigError(f"beam.{name}", f"got {getattr(self, name):g} and a spectrum; give one of them")
        self._check_alternatives()
        if self.spectrum:
            least, most = (of(channel.wavelength_A for channel in self.spectrum) for of in (min, max))
            margin = 6.0 * max(channel.bandwidth for channel in self.spectrum) + 1e-9
            if not least * (1.0 - margin) <= self.wavelength_A <= most * (1.0 + margin):
                raise ConfigError("beam.wavelength_A", f"got {self.wavelength_A:g} A; it must be in the spectrum, "
                                  f"{least:g} to {most:g} A")

    def _check_alternatives(self) -> None:
        """Refuse distributions beside nanoBragg's grids and lists of the same quantity."""
        angular = (self.hdiv_range_mrad, self.hdiv_step_mrad, self.hdiv_steps, self.vdiv_range_mrad,
                   self.vdiv_step_mrad, self.vdiv_steps)
        spectral = (self.dispersion_percent, self.dispersion_steps)
        for name, grid in (("divergence_mrad", angular), ("divergence_deg", angular), ("bandwidth", spectral),
                           ("bandwidth_fwhm", spectral), ("spectrum", spectral)):
            if not getattr(self, name):
                continue
            if any(grid):
                raise ConfigError(f"beam.{name}", "got a range or a number of steps as well; give one of them")
            if self.sources:
                raise ConfigError(f"beam.{name}", "got a list of sources as well; give one of them")

    @staticmethod
    def _check_source(where: str, source: Source) -> None:
        for component in source.position:
            checks.number(where, "a source position", component, "m", optional=True)
        if None not in source.position and not max(map(abs, source.position)) > SMALLEST:  # type: ignore[arg-type]
            raise ConfigError(where, "got a source at the crystal; its position must have a direction")
        checks.number(where, "a source weight", source.weight, optional=True, at_least=0.0)
        checks.number(where, "a source wavelength", source.wavelength_m, "m", optional=True, above=0.0,
                      within=_WAVELENGTH_M)

    def photons_per_m2(self) -> float:
        """Return the fluence: flux * exposure / area of the beam if a flux is given, else `fluence`.

        Of a Gaussian beam it is that of the centre, flux * exposure * 4 ln 2 / (pi * product of the widths).
        """
        if self.flux != 0.0 and self.exposure_s > 0.0 and self.size_mm is not None:
            horizontal, vertical = (units.m_from_mm(edge) for edge in several(self.size_mm, 2))
            peak = 4.0 * math.log(2.0) / math.pi if self.profile == "gaussian" else 1.0
            return peak * self.flux * self.exposure_s / (horizontal * vertical)
        if self.flux != 0.0 and self.exposure_s > 0.0 and self.beamsize_mm >= 0.0:
            edge = units.m_from_mm(self.beamsize_mm)
            return self.flux * self.exposure_s / edge / edge
        return self.fluence

    def cross_section_m(self) -> tuple[float, float] | None:
        """Return the size of the beam along the polarization axis and across [m]; ``None``: larger than any crystal."""
        size = self.size_mm
        if size is None and self.flux != 0.0 and self.beamsize_mm > 0.0:
            size = self.beamsize_mm
        if size is None:
            return None
        horizontal, vertical = (units.m_from_mm(edge) for edge in several(size, 2))
        return horizontal, vertical

    def kahn_in(self, semantics: str) -> float:
        """Return the Kahn factor; that of the semantics if none is given."""
        return KAHN_FACTORS[semantics] if self.kahn_factor is None else self.kahn_factor

    def channels(self) -> tuple[Channel, ...]:
        """Return the spectrum, or the single channel of wavelength and bandwidth."""
        bandwidth = self.bandwidth or self.bandwidth_fwhm / units.FWHM_PER_SIGMA
        return self.spectrum or (Channel(self.wavelength_A, 1.0, bandwidth),)

    @property
    def has_lines(self) -> bool:
        """Whether the spectrum is of few sharp lines, each of which is a source."""
        return 0 < len(self.spectrum) <= _MOST_LINES and not any(channel.bandwidth for channel in self.spectrum)

    def relative_bandwidth(self) -> float:
        """Return the standard deviation of the wavelength over its mean, of all channels."""
        return relative_bandwidth(self.channels())

    def divergence_rad(self) -> tuple[float, float]:
        """Return the standard deviations of the direction along the polarization axis and across [rad]."""
        in_deg, in_mrad = several(self.divergence_deg or 0.0, 2), several(self.divergence_mrad or 0.0, 2)
        along, across = (units.rad_from_deg(deg) + units.rad_from_mrad(mrad)
                         for deg, mrad in zip(in_deg, in_mrad, strict=True))
        return along, across

    def photons(self) -> float:
        """Return the photons in the beam during the exposure: flux * exposure, or `fluence` times its cross-section."""
        if self.flux != 0.0 and self.exposure_s > 0.0:
            return self.flux * self.exposure_s
        edge = units.m_from_mm(self.beamsize_mm)
        horizontal, vertical = self.cross_section_m() or (edge, edge)
        area = horizontal * vertical * (math.pi / (4.0 * math.log(2.0)) if self.profile == "gaussian" else 1.0)
        return self.photons_per_m2() * area

    def source_table(self, beam: Vector, polar: Vector, vert: Vector) -> SourceTable:
        """Return all sources for a beam along ``beam`` with its E vector along ``polar``."""
        horizontal = self._divergence(self.hdiv_steps, self.hdiv_range_mrad, self.hdiv_step_mrad)
        vertical = self._divergence(self.vdiv_steps, self.vdiv_range_mrad, self.vdiv_step_mrad)
        dispersion = fill_range(self.dispersion_steps, self.dispersion_percent / 100.0, None, 1.0)
        rows = (self._listed(beam) if self.sources else
                self._generated(beam, polar, vert, horizontal, vertical, dispersion))
        if self.has_lines:
            rows = [(position, units.m_from_angstrom(line.wavelength_A), line.weight)
                    for position, _, _ in rows for line in self.spectrum if line.weight]
        positions, wavelengths, weights = zip(*rows, strict=True)
        incident = -np.array([unit(position) for position in positions], dtype=np.float64)
        return SourceTable(incident, np.array(wavelengths), np.array(weights), horizontal, vertical,
                           dispersion, bool(self.sources), self.round_divergence)

    @staticmethod
    def _divergence(count: int | None, range_mrad: float | None, step_mrad: float | None) -> Sweep:
        range_rad = None if range_mrad is None else units.rad_from_mrad(range_mrad)
        step = None if step_mrad is None else units.rad_from_mrad(step_mrad)
        return fill_range(count, range_rad, step, 1.0)

    def _listed(self, beam: Vector) -> list[tuple[Vector, float, float]]:
        default = scale(beam, -SOURCE_DISTANCE_M)
        wavelength = units.m_from_angstrom(self.wavelength_A)
        rows = []
        for number_, source in enumerate(self.sources, start=1):
            x, y, z = (given if given is not None else start
                       for given, start in zip(source.position, default, strict=True))
            if dot(unit((x, y, z)), beam) > _BEHIND:
                at, along = (" ".join(f"{part + 0.0:g}" for part in vector) for vector in ((x, y, z), beam))
                raise ConfigError("beam.sources", f"got source {number_} at {at} m, which is behind the "
                                  "crystal, on the side of the detector; with the crystal at 0 0 0 the beam is along "
                                  f"{along}")
            rows.append(((x, y, z),
                         wavelength if source.wavelength_m is None else source.wavelength_m,
                         1.0 if source.weight is None else source.weight))
        return rows

    def _most_steps(self, horizontal: Sweep, vertical: Sweep, dispersion: Sweep) -> str:
        """Return the setting that makes the largest number of sources."""
        if dispersion.count >= max(horizontal.count, vertical.count):
            return "beam.dispersion_steps"
        axis = "hdiv" if horizontal.count >= vertical.count else "vdiv"
        return f"beam.{axis}_step{'_mrad' if getattr(self, f'{axis}_steps') is None else 's'}"

    def _generated(self, beam: Vector, polar: Vector, vert: Vector, horizontal: Sweep, vertical: Sweep,
                   dispersion: Sweep) -> list[tuple[Vector, float, float]]:
        if horizontal.count * vertical.count * dispersion.count > MAX_STEPS:
            raise ConfigError(self._most_steps(horizontal, vertical, dispersion), "got "
                              f"{_at_most(horizontal)} x {_at_most(vertical)} divergence points of "
                              f"{_at_most(dispersion)} wavelengths; at most {MAX_STEPS} sources are accepted")
        wavelength = units.m_from_angstrom(self.wavelength_A)
        spectrum = [wavelength * (1.0 + dispersion.step * i - dispersion.width / 2.0)
                    for i in range(dispersion.count)]
        rows = []
        for i in range(horizontal.count):
            h = horizontal.step * i - horizontal.width / 2.0
            for j in range(vertical.count):
                v = vertical.step * j - vertical.width / 2.0
                if self.round_divergence and _outside_ellipse(h, horizontal, v, vertical):
                    continue
                position = rotate_axis(scale(beam, -SOURCE_DISTANCE_M), polar, v)
                position = rotate_axis(position, vert, h)
                rows += [(position, lam, 1.0) for lam in spectrum]
        if not rows:
            raise ConfigError("beam.hdiv_step_mrad", f"got {horizontal.count} x {vertical.count} divergence "
                              "points, all outside the ellipse of round divergence; give a step that divides the "
                              "range, or -square_div")
        return rows


def _at_most(sweep: Sweep) -> str:
    """Return the number of points as text; above the limit it is not known."""
    return f"more than {MAX_STEPS}" if sweep.count > MAX_STEPS else str(sweep.count)


def _outside_ellipse(h: float, horizontal: Sweep, v: float, vertical: Sweep) -> bool:
    """Return whether a point is outside the ellipse of round divergence; never for a range of 0, as in C (NaN)."""
    if horizontal.width == 0.0 or vertical.width == 0.0:
        return False
    test = 0.0
    for angle, sweep in ((h, horizontal), (v, vertical)):
        half_step_sqr = sweep.step * sweep.step / 4.0 * (1 - sweep.count % 2)
        test += (angle * angle - half_step_sqr) / sweep.width / sweep.width
    return test * 4.0 > 1.1
