"""Channels of a spectrum, their mean wavelength and width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cubragg.experiment.settings_repr import settings_repr


@dataclass(frozen=True)
class Channel:
    """Part of a spectrum, Gaussian or a line.

    Attributes
    ----------
    wavelength_A
        Mean wavelength [A].
    weight
        Relative number of photons.
    bandwidth
        Standard deviation of the relative wavelength; 0: a line.
    """

    wavelength_A: float
    weight: float = 1.0
    bandwidth: float = 0.0

    __repr__ = settings_repr


def mean_wavelength(channels: Sequence[Channel]) -> float:
    """Return the mean wavelength of a spectrum [A], weighted by photons."""
    weights = [channel.weight for channel in channels]
    return math.fsum(channel.weight * channel.wavelength_A for channel in channels) / math.fsum(weights)


def relative_bandwidth(channels: Sequence[Channel]) -> float:
    """Return the standard deviation of the wavelength of a spectrum over its mean."""
    mean = mean_wavelength(channels)
    squares = math.fsum(one.weight * ((one.wavelength_A - mean) ** 2 + (one.wavelength_A * one.bandwidth) ** 2)
                        for one in channels)
    return math.sqrt(squares / math.fsum(one.weight for one in channels)) / mean
