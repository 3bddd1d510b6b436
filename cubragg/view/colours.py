"""Convert pixel values to colours: limits, scale, colour map, and reduction of large images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cubragg.errors import ConfigError
from cubragg.view.colour_tables import TABLES

SCALES = ("linear", "sqrt", "log")
#: Automatic upper limit: this percentile of the positive pixels, because the few brightest would leave all others pale,
#: and at least this many medians of all pixels, so that spots stay visible on a background.
_HIGH_PERCENTILE, _MEDIANS = 99.5, 10.0
#: Automatic lower limit: 0; on a logarithmic scale this percentile, but at most this factor below the upper limit.
_LOW_PERCENTILE, LOG_SPAN = 1.0, 1e4
#: Ends of the colours of differences, and the colour of pixels without one.
_RED, _BLUE, UNKNOWN = "b2182b", "2166ac", "c9c9c9"
#: Smallest limit, so that quotients of limits stay finite.
_TINY = 1e-300


class ColourMap(NamedTuple):
    """Colours "rrggbb" at equal steps of the level, interpolated between them; and that of pixels without a value."""

    steps: tuple[str, ...]
    masked: str
    is_light: bool


#: The luminance of each map is monotonic (falling for ``inverted``), so that no map shows edges that the image lacks.
#: ``gray`` and ``gray_r`` are matplotlib's names of ``grey`` and ``inverted``.
#: ``sea`` and ``fire`` are paths of equal lightness steps in OKLCH, from purple to yellow through green and red.
COLOUR_MAPS: Mapping[str, ColourMap] = MappingProxyType({
    "inverted": ColourMap(("ffffff", "000000"), "b9cbe2", True),
    "grey": ColourMap(("000000", "ffffff"), "3a5678", False),
    "sea": ColourMap(("340255", "36247f", "2547a0", "096da1", "048ea5", "02afa5", "12d28c", "9fe464", "faee40"),
                     "808080", False),
    "fire": ColourMap(("000000", "0b001c", "340147", "6f0559", "b40643", "de4e20", "fa8812", "ffc865", "fffdd4"),
                      "5b6670", False),
    "gray": ColourMap(("000000", "ffffff"), "3a5678", False),
    "gray_r": ColourMap(("ffffff", "000000"), "b9cbe2", True),
    **{name: ColourMap(TABLES[name], "808080", False) for name in ("viridis", "magma", "inferno")},
    "cividis": ColourMap(TABLES["cividis"], "f2f2f2", False),
})


@dataclass(frozen=True)
class Style:
    """Scale and colours of a picture.

    Attributes
    ----------
    colours, scale
        A key of `COLOUR_MAPS`; one of `SCALES`.
    percentiles
        Of the positive pixels, at the two ends of the scale; ``None``: automatic, shows both spots and background.
    dpi
        Dots per inch of a figure; ``None``: 100.
    """

    colours: str = "inverted"
    scale: str = "sqrt"
    percentiles: tuple[float, float] | None = None
    dpi: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("colours", self.colours, tuple(COLOUR_MAPS)), ("scale", self.scale, SCALES)):
            if value not in known:
                raise ConfigError(f"picture.{name}", f"got {value!r}; {', '.join(known)} are accepted")
        if self.dpi is not None and not 10.0 <= self.dpi <= 1200.0:
            raise ConfigError("picture.dpi", f"got {self.dpi:g} dots per inch; 10 to 1200 are accepted")
        if self.percentiles is None:
            return
        low, high = self.percentiles
        if not 0.0 <= low < high <= 100.0:
            raise ConfigError("picture.percentiles", f"got {low:g} {high:g}; two percentiles from 0 to 100 are "
                              "accepted, the lower one first")


class Limits(NamedTuple):
    """The values at the two ends of the scale."""

    low: float
    high: float


def limits(values: np.ndarray, style: Style) -> Limits:
    """Return the ends of the scale for an image; NaN and inf are ignored, negative pixels count in the median only."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    is_log = style.scale == "log"
    if not positive.size:
        return Limits(1.0 / LOG_SPAN if is_log else 0.0, 1.0)
    percentiles = style.percentiles or (_LOW_PERCENTILE, _HIGH_PERCENTILE)
    low, high = (max(float(value), _TINY) for value in np.percentile(positive, percentiles, method="lower"))
    if style.percentiles is None:
        median = float(np.percentile(finite, 50.0, method="lower"))
        high = max(high, min(_MEDIANS * median, float(positive.max())))
        low = max(low, high / LOG_SPAN) if is_log else 0.0
    if not low < high:
        low = high / LOG_SPAN if is_log else 0.0
    return Limits(low, high)


def levels(values: np.ndarray, ends: Limits, scale: str) -> np.ndarray:
    """Map values to float64 levels: 0 at the lower end and below, 1 at the upper end and above; NaN stays NaN.

    Bragg peaks span decades: a linear scale shows only the strongest. A square root separates weak spots from the
    background and gives counting noise the same contrast everywhere. A logarithm shows tails and fringes.
    """
    inside = np.clip(np.asarray(values, dtype=np.float64), *ends)
    if scale == "log":
        return np.log(inside / ends.low) / np.log(ends.high / ends.low)
    fraction = (inside - ends.low) / (ends.high - ends.low)
    return np.sqrt(fraction) if scale == "sqrt" else fraction


def paint(level: np.ndarray, colours: str) -> np.ndarray:
    """Return colours uint8 [..., 3] of levels [...] from 0 to 1; NaN has the colour of masked pixels."""
    colour_map = COLOUR_MAPS[colours]
    steps = np.array([_rgb(step) for step in colour_map.steps], dtype=np.float64)
    entries = np.linspace(0.0, 1.0, 256)
    table = np.empty((257, 3), np.uint8)
    for channel in range(3):
        table[:256, channel] = np.rint(np.interp(entries, np.linspace(0.0, 1.0, len(steps)), steps[:, channel]))
    table[256] = _rgb(colour_map.masked)
    return table[np.where(np.isnan(level), 256, np.rint(255.0 * np.nan_to_num(level))).astype(np.intp)]


def signed_levels(values: np.ndarray, reach: float, scale: str) -> np.ndarray:
    """Map differences to levels: 1 at ``reach`` and above, -1 at -``reach`` and below, 0 at 0; NaN stays NaN.

    A linear scale, or the square root of the magnitude.
    """
    part = np.clip(np.asarray(values, dtype=np.float64) / (reach or 1.0), -1.0, 1.0)
    return part if scale == "linear" else np.copysign(np.sqrt(np.abs(part)), part)


def diverging(level: np.ndarray) -> np.ndarray:
    """Return colours uint8 [..., 3] of levels [...]: red at 1, white at 0, blue at -1, grey for NaN."""
    strength = np.abs(level)[..., None]
    full = np.where(np.asarray(level)[..., None] > 0.0, np.array(_rgb(_RED), float), np.array(_rgb(_BLUE), float))
    colours = 255.0 + (full - 255.0) * strength
    colours[np.isnan(level)] = _rgb(UNKNOWN)
    return np.rint(colours).astype(np.uint8)


def _rgb(word: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(word))


def shrunk(image: np.ndarray, longest_edge: int) -> tuple[np.ndarray, int]:
    """Return the float64 image with each block of n x n pixels replaced by its largest pixel, and n.

    n is the smallest for which no edge is longer than ``longest_edge``. The largest of a block, unlike its mean, keeps
    the height of a spot of one pixel; a block is NaN only if all its pixels are.
    """
    block = -(-max(image.shape) // longest_edge)
    if block == 1:
        return np.asarray(image, dtype=np.float64), 1
    slow, fast = (-(-size // block) for size in image.shape)
    padded = np.full((slow * block, fast * block), np.nan)
    padded[:image.shape[0], :image.shape[1]] = image
    result = padded[::block, ::block]
    for down in range(block):
        for across in range(block):
            result = np.fmax(result, padded[down::block, across::block])
    return result, block


def without_masked(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return ``image`` with NaN where the bool ``mask`` is False."""
    return image if mask is None or mask.all() else np.where(mask, image, np.nan)


def without_beam(values: np.ndarray, beam: np.ndarray | None) -> np.ndarray:
    """Return ``values`` without the pixels where the bool ``beam`` is True, unless those are all."""
    if beam is None or not beam.any() or beam.all():
        return values
    return values[~beam]
