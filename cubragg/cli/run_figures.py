"""Statistics of the images of a run for its summary: those of the one image, or of a whole series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cubragg.run.simulated_image import Figures, SimulatedImage

Row = tuple[str, str]


@dataclass
class Conversion:
    """Figures of the conversion of an image to counts; ``None``: not converted that way.

    Attributes
    ----------
    int_scale, pgm_scale
        Factors from photons to the pixels of SMV and PGM files.
    seed, generator
        Seed of the noise, with a word if it was drawn, and the generator.
    noise_photons, overloads
        Photons of the noise image, and its pixels above the largest number.
    reflections
        Reflections in the truth file.
    """

    int_scale: float
    pgm_scale: float | None = None
    seed: int | None = None
    generator: str = ""
    noise_photons: float | None = None
    overloads: int = 0
    reflections: int | None = None


@dataclass(frozen=True)
class ImageFigures:
    """Statistics of one image, the numbers of rendered pixels and of pixels in the region, and its conversion."""

    statistics: Figures
    brightest: tuple[int, int]
    rendered: int
    region: int
    seconds: float
    conversion: Conversion


def figures_of(image: SimulatedImage, conversion: Conversion) -> ImageFigures:
    """Return the figures of an image."""
    fast_min, fast_max, slow_min, slow_max = image.plan.roi
    region = (fast_max - fast_min + 1) * (slow_max - slow_min + 1)
    mask = image.plan.mask
    rendered = region if mask is None else int(mask[slow_min:slow_max + 1, fast_min:fast_max + 1].sum())
    return ImageFigures(image.figures, image.max_pixel, rendered, region, image.seconds, conversion)


def image_rows(images: Sequence[ImageFigures]) -> list[Row]:
    """Return the rows of the summary: statistics over all pixels of all images, sums and ranges of the conversions."""
    number, brightest = max(enumerate(images, start=1), key=lambda item: item[1].statistics.max_photons)
    figures, (fast, slow) = brightest.statistics, brightest.brightest
    mean, rms, rmsd = _statistics(images)
    where = (f"{1000 * figures.max_fast_m + 0.0:g} {1000 * figures.max_slow_m + 0.0:g} mm, "
             f"pixel {fast} {slow} (fast slow)")
    of_image = f" of image {number}" if len(images) > 1 else ""
    found = [("images", str(len(images)))] if len(images) > 1 else []
    found += [("max", f"{figures.max_photons:g} photons at {where}{of_image}"),
              ("mean", f"{mean:g}"), ("rms", f"{rms:g}"), ("rmsd", f"{rmsd:g}")]
    return found + _conversions([image.conversion for image in images])


def _statistics(images: Sequence[ImageFigures]) -> tuple[float, float, float]:
    """Return mean, rms and rmsd of all pixels, defined as for one image: see `cubragg.run.image.Figures`."""
    if len(images) == 1:
        return images[0].statistics[3:]
    rendered, region = sum(image.rendered for image in images), sum(image.region for image in images)
    mean = sum(image.statistics.mean * image.rendered for image in images) / max(rendered, 1)
    squares = sum(image.statistics.rms**2 * (max(image.rendered, 2) - 1) for image in images)
    spread = 0.0
    for image in images:
        own = image.statistics.mean
        shift = own - mean
        # The sum of (x - mean)^2 of an image, from its own sum of (x - own)^2.
        spread += (image.statistics.rmsd**2 * (max(image.region, 2) - 1)
                   + 2.0 * shift * own * (image.rendered - image.region) + shift * shift * image.region)
    return mean, math.sqrt(squares / (max(rendered, 2) - 1)), math.sqrt(max(spread, 0.0) / (max(region, 2) - 1))


def _conversions(found: Sequence[Conversion]) -> list[Row]:
    rows = [("int scale", _range(f"{one.int_scale:g}" for one in found))]
    if found[0].seed is not None:
        rows.append(("noise seed", f"{_range(str(one.seed) for one in found)}{found[0].generator}"))
    if found[0].pgm_scale is not None:
        rows.append(("pgm scale", _range(f"{one.pgm_scale:g}" for one in found)))
    if found[0].noise_photons is not None:
        overloads = sum(one.overloads for one in found)
        photons = sum(one.noise_photons or 0.0 for one in found)
        rows.append(("noise", f"{photons:.0f} photons, {overloads} overload{'s' * (overloads != 1)}"))
    if found[0].reflections is not None:
        count = sum(one.reflections or 0 for one in found)
        rows.append(("truth", f"{count} reflection{'s' * (count != 1)}"))
    return rows


def _range(values: Iterable[str]) -> str:
    """Return the value of all images, or the first and the last."""
    listed = list(values)
    return listed[0] if len(set(listed)) == 1 else f"{listed[0]} to {listed[-1]} (first and last image)"
