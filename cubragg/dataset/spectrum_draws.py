"""Spectra of the shots of a data set: pulses of a SASE source, one of several spectra, or weights of given channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from cubragg import checks
from cubragg.dataset.distributions import Choice, Constant, Distribution, Table
from cubragg.dataset.draws import Draws
from cubragg.errors import ConfigError
from cubragg.experiment.beam import Beam
from cubragg.experiment.spectrum_channels import Channel, mean_wavelength
from cubragg.io.geometry.spectrum import read_spectrum

#: The parameter. Its values are float64 [m, 3]: wavelength [A], weight and bandwidth of each channel.
SPECTRUM = "beam.spectrum"
#: Spikes of a pulse, and standard deviation of the relative wavelength of each, where none is given.
SPIKES, SPIKE = 15, 2e-4
Areas = Literal["exponential", "uniform"]


@dataclass(frozen=True)
class Sase(Distribution):
    """Pulses of a SASE source: spikes at wave numbers k uniform in k0 (1 - bandwidth / 2) to k0 (1 + bandwidth / 2).

    Attributes
    ----------
    bandwidth
        Full width of the band, relative.
    spikes
        Number of spikes, each a channel.
    spike
        Standard deviation of the relative wavelength of a spike.
    areas
        Photons of the spikes: ``exponential``, as energies of single modes of a chaotic source are (Saldin et al.
        1998), or ``uniform`` in 0 to 1, as in pattern_sim of CrystFEL. The photons of the pulse are those of the
        experiment.
    """

    bandwidth: float
    spikes: int = SPIKES
    spike: float = SPIKE
    areas: Areas = "exponential"
    name: ClassVar[str] = "sase"

    def __post_init__(self) -> None:
        checks.number("sase", "the bandwidth", self.bandwidth, above=0.0, below=1.0)
        checks.integer("sase", "the number of spikes", self.spikes, at_least=1, at_most=1000)
        checks.number("sase", "the width of a spike", self.spike, at_least=0.0)
        checks.choice("sase", "the distribution of areas", self.areas, ("exponential", "uniform"))

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        """Channels [n, m, 3] of pulses about the wavelength ``centre`` [A]."""
        places, areas = (np.stack([draws.uniforms(2 * spike + part) for spike in range(self.spikes)], axis=1)
                         for part in (0, 1))
        # Uniform deviates are in (0, 1]. A spike without photons is none, so that one of 1 counts a little.
        weights = areas if self.areas == "uniform" else -np.log(np.minimum(areas, 1.0 - 2.0**-53))
        wavelengths = centre / (1.0 + self.bandwidth * (places - 0.5))
        return np.stack([wavelengths, weights, np.full(weights.shape, self.spike)], axis=2)

    def arguments(self) -> Any:
        return {"bandwidth": self.bandwidth, "spikes": self.spikes, "spike": self.spike, "areas": self.areas}


@dataclass(frozen=True, eq=False)
class SpectrumChoice(Distribution):
    """One of several spectra, with given probabilities or equal ones.

    Attributes
    ----------
    spectra
        float64 [options, m, 3]; shorter ones end with channels of weight 0.
    sources
        File of each, as in TOML; empty of one that was given in Python.
    weights
        Relative probabilities.
    """

    spectra: np.ndarray = field(repr=False)
    sources: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "choice"

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        """Channels [n, m, 3]."""
        chosen = Choice(tuple(range(len(self.spectra))), self.weights).drawn(draws, 0.0)
        return self.spectra[np.array(chosen, dtype=np.intp)]

    def arguments(self) -> Any:
        return [source or spectrum.tolist() for source, spectrum in zip(self.sources, self.spectra, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), **({} if self.weights is None else {"weights": list(self.weights)})}

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, SpectrumChoice) and self.weights == other.weights
                and np.array_equal(self.spectra, other.spectra))

    __hash__ = None  # type: ignore[assignment]


def of_spectra(where: str, distribution: Distribution, beam: Beam) -> Distribution:
    """The distribution of spectra, with files read and numbers checked.

    Raises
    ------
    ConfigError
        For one that draws no spectra; ``where`` begins the message.
    FormatError, OSError
        If a file is none of a spectrum, or cannot be read.
    """
    if isinstance(distribution, Sase | SpectrumChoice):
        return distribution
    if isinstance(distribution, Choice | Constant):
        options = distribution.options if isinstance(distribution, Choice) else (distribution.value,)
        weights = distribution.weights if isinstance(distribution, Choice) else None
        spectra = [_spectrum(where, option) for option in options]
        channels = max(len(one) for one in spectra)
        return SpectrumChoice(np.array([_padded(one, channels) for one in spectra]),
                              tuple(option if isinstance(option, str) else "" for option in options), weights)
    if isinstance(distribution, Table):
        _check_weights(where, distribution, beam)
        return distribution
    raise ConfigError(where, f"got {distribution.name}; sase, a choice of spectra or their files, and a table with a "
                      "row of weights of channels for each shot are accepted")


def _spectrum(where: str, option: Any) -> np.ndarray:
    """float64 [m, 3] of the name of a file, of channels, or of rows of numbers."""
    if isinstance(option, str):
        if not Path(option).is_file():
            raise ConfigError(where, f"got {option!r}; there is no such file of a spectrum")
        option = np.load(option, allow_pickle=False) if Path(option).suffix == ".npy" else read_spectrum(option)
    rows = [(one.wavelength_A, one.weight, one.bandwidth) if isinstance(one, Channel) else tuple(one) for one in option]
    if not rows or {len(row) for row in rows} != {3}:
        raise ConfigError(where, f"got {option!r:.60}; channels, or rows of wavelength [A], weight and bandwidth, are "
                          "accepted")
    channels_of(where, found := np.array(rows, dtype=np.float64))
    return found


def _padded(spectrum: np.ndarray, channels: int) -> np.ndarray:
    more = np.repeat(spectrum[-1:] * (1.0, 0.0, 1.0), channels - len(spectrum), axis=0)
    return np.concatenate([spectrum, more])


def _check_weights(where: str, weights: Table, beam: Beam) -> None:
    named = weights.source or "the table"
    if not beam.spectrum:
        raise ConfigError(where, f"got weights ({named}) for an experiment without channels; give it a spectrum "
                          "(--spectrum), whose channels they are for")
    shape = weights.column.shape
    if len(shape) != 2 or shape[1] != len(beam.spectrum):
        raise ConfigError(where, f"got {named} of shape {shape}; {len(beam.spectrum)} weights for each shot are "
                          "accepted, as many as the experiment's spectrum has channels")
    wrong = np.flatnonzero((weights.column < 0.0).any(axis=1) | ~(weights.column > 0.0).any(axis=1))
    if len(wrong):
        raise ConfigError(where, f"got weights below 0 or of 0 only in row {wrong[0]} of {named}; weights >= 0, of "
                          "which one is > 0, are accepted")


def spectra_of(distribution: Distribution, draws: Draws, beam: Beam) -> Sequence[np.ndarray]:
    """The spectrum in each shot [n]: float64 [m, 3]."""
    if isinstance(distribution, Table):
        rows = np.array(distribution.drawn(draws, 0.0))
        found = np.empty((*rows.shape, 3))
        found[:, :, 0], found[:, :, 2] = np.array([(one.wavelength_A, one.bandwidth) for one in beam.spectrum]).T
        found[:, :, 1] = rows
        return list(found)
    return list(distribution.drawn(draws, beam.wavelength_A))


def channels_of(where: str, spectrum: Iterable[Sequence[float]]) -> tuple[Channel, ...]:
    """The channels of rows of wavelength [A], weight and bandwidth.

    Raises
    ------
    ConfigError
        If they are no spectrum; ``where`` begins the message.
    """
    channels = tuple(Channel(*(float(number) for number in row)) for row in spectrum)
    try:
        Beam(wavelength_A=mean_wavelength(channels), spectrum=channels)
    except (ConfigError, ZeroDivisionError) as error:
        what = error.what if isinstance(error, ConfigError) else "got weights of 0 only; at least one must be > 0"
        raise ConfigError(where, what) from None
    return channels


def beam_settings(beam: Beam, spectrum: np.ndarray | None, wavelength_A: float | None) -> dict[str, Any]:
    """The settings of a beam whose spectrum and wavelength vary: a wavelength scales those of the channels.

    Parameters
    ----------
    spectrum, wavelength_A
        What was drawn in a shot; ``None``: it does not vary.
    """
    channels = beam.spectrum if spectrum is None else channels_of(SPECTRUM, spectrum)
    if not channels:
        return {}
    factor = 1.0 if wavelength_A is None else wavelength_A / beam.wavelength_A
    centre = beam.wavelength_A if spectrum is None else mean_wavelength(channels)
    scaled = tuple(Channel(factor * one.wavelength_A, one.weight, one.bandwidth) for one in channels)
    return {"spectrum": scaled, "wavelength_A": factor * centre, "bandwidth": 0.0, "bandwidth_fwhm": 0.0}
