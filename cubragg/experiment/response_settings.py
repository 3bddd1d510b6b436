"""The detector's response: what turns expected photons into the counts that a detector writes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from cubragg import checks
from cubragg.errors import ConfigError
from cubragg.experiment.panel import same_arrays
from cubragg.experiment.response_presets import preset_settings
from cubragg.experiment.settings_repr import settings_repr

Kind = Literal["counting", "integrating"]
Order = Literal["detector", "noisify"]
PointSpread = Literal["gauss", "fiber"]
DeadTime = Literal["paralyzable", "nonparalyzable"]
MAX_SEED = 2**64 - 1


#: Standard deviations of factors, most of which must be > 0.
_RELATIVE = ("flicker", "efficiency_sigma", "flat_field_sigma")


def _checked_rows(where: str, name: str, value: Any, of: str) -> tuple[tuple[Any, Any], ...]:
    """Return pairs of numbers.

    Raises
    ------
    ConfigError
        If it is anything else; ``of`` describes a pair.
    """
    pairs = value if isinstance(value, tuple) else None
    if pairs is None or not all(isinstance(row, tuple) and len(row) == 2 for row in pairs):
        raise ConfigError(where, f"got {value!r:.60}; {name} are pairs of numbers: {of}")
    for row in pairs:
        for one in row:
            checks.number(where, "a number of a pair", one)
    return pairs


@dataclass(frozen=True, eq=False)
class Response:
    """The response of a detector. The default counts every absorbed photon. `specs/response.md`

    Attributes
    ----------
    kind
        ``counting`` (photons are counted, one by one) or ``integrating`` (their charge or light is measured).
    order
        Order of the steps: that of the kind of ``detector``, or of the program ``noisify`` of nanoBragg.
    psf, psf_fwhm_um
        Point spread: ``gauss`` or ``fiber`` (fibre-optic taper, tails of 1/r^3), and its full width at half maximum
        [um].
    charge_cloud_um
        Standard deviation of the charge of a photon when it arrives at the pixels [um]. Counting detectors lose
        photons at corners, integrating ones share their charge.
    threshold
        Fraction of a photon's energy above which a counting pixel counts it.
    dead_time_ns, dead_time
        Dead time of a counting pixel after a photon [ns], and its model.
    flicker
        Relative standard deviation of the beam from shot to shot; of each pixel in the order of ``noisify``.
    efficiency_sigma, flat_field_sigma
        Relative standard deviation of the pixels' sensitivity, and of the error of the flat field that corrects it.
    gain, gain_sigma
        Counts per photon, and the relative standard deviation of the signal of a single photon.
    readout_sigma
        Standard deviation of the read-out noise [photons].
    gain_stages
        Rows of (highest signal, read-out noise) [photons] of a detector that switches its gain, in increasing order;
        they take the place of ``readout_sigma``, and the last one is the largest signal.
    pedestal, pedestal_sigma
        Counts added to each pixel, and the standard deviation of the pixels' fixed errors of it [photons].
    dead_fraction, hot_fraction, noisy_fraction, noisy_sigma
        Fractions of the pixels that are dead (0), hot (``count_cutoff``) or noisy, with the additional noise [photons].
    bad_pixels
        uint8 [slow, fast]: 0 good, 1 dead, 2 hot, 3 noisy; in place of the fractions.
    chips
        (fast, slow) pixels of a chip and (fast, slow) virtual pixels between chips of a module. The edge pixels of
        chips are wider, and their counts are divided among the virtual pixels that they cover. ``None``: no chips.
    count_cutoff
        Largest count; ``None``: that of the file.
    calibration_seed
        Seed of what is fixed for a detector: sensitivity, flat field, pedestal errors, bad pixels.
    """

    kind: Kind = "counting"
    order: Order = "detector"
    psf: PointSpread | None = None
    psf_fwhm_um: float = 0.0
    charge_cloud_um: float = 0.0
    threshold: float = 0.5
    dead_time_ns: float = 0.0
    dead_time: DeadTime = "paralyzable"
    flicker: float = 0.0
    efficiency_sigma: float = 0.0
    flat_field_sigma: float = 0.0
    gain: float = 1.0
    gain_sigma: float = 0.0
    readout_sigma: float = 0.0
    gain_stages: tuple[tuple[float, float], ...] = ()
    pedestal: float = 0.0
    pedestal_sigma: float = 0.0
    dead_fraction: float = 0.0
    hot_fraction: float = 0.0
    noisy_fraction: float = 0.0
    noisy_sigma: float = 0.0
    bad_pixels: np.ndarray | None = None
    chips: tuple[tuple[int, int], tuple[int, int]] | None = None
    count_cutoff: int | None = None
    calibration_seed: int = 0

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self, ("bad_pixels",))
        for name, accepted in (("kind", Kind), ("order", Order), ("dead_time", DeadTime)):
            checks.choice(f"response.{name}", f"the {name}".replace("_", " "), getattr(self, name), get_args(accepted))
        if self.psf is not None:
            checks.choice("response.psf", "the point spread", self.psf, get_args(PointSpread))
        for name, unit in (("psf_fwhm_um", "um"), ("charge_cloud_um", "um"), ("dead_time_ns", "ns"), ("flicker", ""),
                           ("efficiency_sigma", ""), ("flat_field_sigma", ""), ("gain_sigma", ""),
                           ("readout_sigma", "photons"), ("pedestal_sigma", "photons"), ("noisy_sigma", "photons")):
            words = name.removesuffix("_um").removesuffix("_ns").replace("_", " ")
            checks.number(f"response.{name}", words, getattr(self, name), unit, at_least=0.0,
                          below=1.0 if name in _RELATIVE else None)
        checks.number("response.pedestal", "the pedestal", self.pedestal, "counts")
        checks.number("response.gain", "the gain", self.gain, "counts/photon", above=0.0)
        checks.number("response.threshold", "the threshold", self.threshold, above=0.0, below=1.0)
        for name in ("dead_fraction", "hot_fraction", "noisy_fraction"):
            checks.number(f"response.{name}", "the fraction of pixels", getattr(self, name), at_least=0.0, below=1.0)
        if self.dead_fraction + self.hot_fraction + self.noisy_fraction >= 1.0:
            raise ConfigError("response.dead_fraction", "got fractions of bad pixels with a sum of 1 or more; it must "
                              "be < 1")
        checks.integer("response.count_cutoff", "the count cutoff", self.count_cutoff, optional=True, at_least=1)
        checks.integer("response.calibration_seed", "the calibration seed", self.calibration_seed, at_least=0,
                       at_most=MAX_SEED)
        self._check_parts()

    def _check_parts(self) -> None:
        if bool(self.psf) != bool(self.psf_fwhm_um):
            raise ConfigError("response.psf", f"got the point spread {self.psf} with a width of {self.psf_fwhm_um:g} "
                              "um; give a kind (gauss, fiber) and a width > 0 um, or neither")
        integrating = [name for name in ("gain_sigma", "readout_sigma", "gain_stages") if getattr(self, name)]
        if self.kind == "counting" and self.order == "detector" and integrating:
            raise ConfigError(f"response.{integrating[0]}", "got a setting of integrating detectors for a counting "
                              "one; kind=integrating accepts it")
        if self.kind == "integrating" and self.dead_time_ns:
            raise ConfigError("response.dead_time_ns", "got a dead time for an integrating detector, which has none; "
                              "leave it out")
        rows = _checked_rows("response.gain_stages", "gain stages", self.gain_stages, "the largest signal and the "
                             "read-out noise of each stage, in photons")
        if not all(row[0] > 0.0 <= row[1] for row in rows) or any(
                one[0] >= other[0] for one, other in itertools.pairwise(rows)):
            shown = ", ".join(f"{signal:g}:{noise:g}" for signal, noise in rows)
            raise ConfigError("response.gain_stages", f"got {shown}; increasing signals > 0, each with a read-out "
                              "noise >= 0 photons, are accepted")
        if rows and self.readout_sigma:
            raise ConfigError("response.readout_sigma", f"got {self.readout_sigma:g} and gain stages, which have their "
                              "own; leave one of them out")
        if self.bad_pixels is not None:
            try:
                given = np.asarray(self.bad_pixels, dtype=np.float64)
            except (TypeError, ValueError):
                raise ConfigError("response.bad_pixels", f"got {self.bad_pixels!r:.60}; a map [slow, fast] of numbers "
                                  "is accepted") from None
            wrong = np.extract(~np.isin(given, (0, 1, 2, 3)), given)
            if given.ndim != 2 or wrong.size:
                got = f"{wrong[0]:g} in a pixel" if wrong.size else f"an array of shape {given.shape}"
                raise ConfigError("response.bad_pixels", f"got {got}; the map must be [slow, fast] with 0 good, "
                                  "1 dead, 2 hot, 3 noisy")
            bad = given.astype(np.uint8)
            bad.setflags(write=False)
            object.__setattr__(self, "bad_pixels", bad)
        if self.chips is not None:
            pairs = _checked_rows("response.chips", "chips", self.chips, "the pixels of a chip, fast and slow, and the "
                                  "virtual pixels between chips")
            if len(pairs) != 2 or not all(isinstance(one, int) for pair in pairs for one in pair):
                raise ConfigError("response.chips", f"got {self.chips}; two pairs of whole numbers are accepted")
            (fast, slow), gaps = pairs
            if min(fast, slow) < 4 or not set(gaps) <= {0, 1, 2}:
                raise ConfigError("response.chips", f"got {fast} x {slow} pixels with {gaps[0]} and {gaps[1]} virtual "
                                  "pixels between chips; chips of at least 4 x 4 pixels with 0, 1 or 2 are accepted")

    @property
    def ideal(self) -> bool:
        """Whether every photon is counted, up to a cutoff."""
        return replace(self, count_cutoff=None, threshold=0.5, calibration_seed=0, noisy_sigma=0.0,
                       dead_time="paralyzable") == Response(kind=self.kind, order=self.order)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        a, b = ({name: value for name, value in vars(part).items() if name != "bad_pixels"} for part in (self, other))
        return a == b and same_arrays(self.bad_pixels, other.bad_pixels)

    @classmethod
    def preset(cls, name: str, energy_eV: float | None = None, **overrides: Any) -> Response:
        """Return the response of a detector by name, from figures that its makers have published.

        Parameters
        ----------
        name
            A detector of the catalog, ``agipd``, ``epix10k``, ``cspad`` (high gain) or ``cspad-low`` (low gain).
        energy_eV
            Photon energy, for noise that is published in electrons or eV.
        overrides
            Other settings.

        Raises
        ------
        ConfigError
            If there is no detector of that name, or it needs the photon energy.
        """
        return cls(**{**preset_settings(name, energy_eV), **overrides})
