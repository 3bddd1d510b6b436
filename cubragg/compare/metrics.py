"""Figures of the agreement of two images: correlation, differences, sums, peaks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cubragg.compare.peaks import Peak, PeakPair, find_peaks, match_peaks
from cubragg.compare.ssim import ssim
from cubragg.errors import ConfigError, CubraggError

#: An image is constant if its spread, relative to the largest value, is below this: it is rounding.
_CONSTANT = 1e-12


class ShapesDiffer(CubraggError, ValueError):
    """Two images of different shapes cannot be compared pixel by pixel."""


@dataclass(frozen=True)
class Metrics:
    """Agreement of an image a with a reference b.

    Attributes
    ----------
    pixels
        Pixels compared: in the region, not masked, finite in both images.
    not_finite_a, not_finite_b, not_finite_apart
        Pixels that are NaN or infinite in a, in b, and in one of the two only.
    correlation
        Pearson's correlation. 1 for equal images; NaN if it is not defined because an image is constant.
    mse, rmse
        Mean squared difference, and its root [photons^2, photons].
    max_difference, max_difference_at
        Largest absolute difference [photons] and its (fast, slow) pixel.
    max_a, max_b
        Largest values [photons].
    max_difference_of_max
        ``max_difference`` over the largest absolute value of b; NaN if that is 0 and the images differ.
    sum_a, sum_b, sum_ratio
        Sums [photons] and their ratio a / b; 1 if both are 0, NaN if only that of b is.
    ssim
        Mean structural similarity (see `ssim.ssim`).
    peaks_a, peaks_b
        Peaks found in each image.
    pairs
        Matched peaks.
    mean_peak_distance, max_peak_distance
        Distances of matched peaks [pixel]; NaN without pairs.
    """

    pixels: int
    not_finite_a: int
    not_finite_b: int
    not_finite_apart: int
    correlation: float
    mse: float
    rmse: float
    max_difference: float
    max_difference_at: tuple[int, int]
    max_a: float
    max_b: float
    max_difference_of_max: float
    sum_a: float
    sum_b: float
    sum_ratio: float
    ssim: float
    peaks_a: tuple[Peak, ...]
    peaks_b: tuple[Peak, ...]
    pairs: tuple[PeakPair, ...]
    mean_peak_distance: float
    max_peak_distance: float

    @property
    def matched_fraction(self) -> float:
        """Pairs over the larger number of peaks; 1 if neither image has any."""
        most = max(len(self.peaks_a), len(self.peaks_b))
        return len(self.pairs) / most if most else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The figures for JSON as numbers, lists and dictionaries; ``None`` for NaN."""
        return {**_plain(asdict(self)), "matched_fraction": self.matched_fraction}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def compare_images(a: np.ndarray, b: np.ndarray, *, roi: tuple[int, int, int, int] | None = None,
                   mask: np.ndarray | None = None, peak_fraction: float = 0.05, peak_radius: float = 5.0,
                   most_peaks: int = 200) -> Metrics:
    """Compare an image with a reference.

    Parameters
    ----------
    a, b
        Numbers [slow, fast] of one shape; b is the reference.
    roi
        (fast_min, fast_max, slow_min, slow_max), ends included, to compare; positions still refer to the whole image.
    mask
        bool [slow, fast]; False: leave the pixel out.
    peak_fraction
        Smallest height of a peak above an image's median, relative to the maximum above the median.
    peak_radius
        Largest distance of matched peaks [pixel].
    most_peaks
        Number of peaks that are matched, the strongest first.

    Raises
    ------
    ShapesDiffer
        If the shapes differ.
    ConfigError
        If an image is not two-dimensional, the region is not inside the images, or no pixel is finite in both.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    left, top, keep = _region(a, b, roi, mask)
    a, b = (image[top:top + keep.shape[0], left:left + keep.shape[1]] for image in (a, b))
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    used = keep & finite_a & finite_b
    if not used.any():
        raise ConfigError("compare", "no pixel is finite in both images; at least one is needed")
    # Pixels left out are set to 0 in both images, so that they make no difference and no peak.
    full_a, full_b = np.where(used, a, 0.0), np.where(used, b, 0.0)
    x, y = full_a[used], full_b[used]
    difference = np.abs(full_a - full_b)
    slow, fast = np.unravel_index(int(difference.argmax()), difference.shape)
    largest = float(difference[slow, fast])
    with np.errstate(over="ignore"):  # the result is inf then
        mse = float(np.mean(np.square(x - y)))
    sum_a, sum_b = float(x.sum()), float(y.sum())
    peaks_a, peaks_b = (tuple(_moved(peak, left, top) for peak in find_peaks(
        image, fraction=peak_fraction, most=most_peaks)) for image in (full_a, full_b))
    pairs = tuple(match_peaks(peaks_a, peaks_b, radius=peak_radius))
    distances = [pair.distance for pair in pairs]
    return Metrics(
        pixels=int(used.sum()), not_finite_a=int((keep & ~finite_a).sum()), not_finite_b=int((keep & ~finite_b).sum()),
        not_finite_apart=int((keep & (finite_a != finite_b)).sum()), correlation=correlation(x, y), mse=mse,
        rmse=math.sqrt(mse), max_difference=largest, max_difference_at=(int(fast) + left, int(slow) + top),
        max_a=float(x.max()), max_b=float(y.max()), max_difference_of_max=_ratio(largest, float(np.abs(y).max()), 0.0),
        sum_a=sum_a, sum_b=sum_b, sum_ratio=_ratio(sum_a, sum_b, 1.0), ssim=ssim(full_a, full_b),
        peaks_a=peaks_a, peaks_b=peaks_b, pairs=pairs,
        mean_peak_distance=math.fsum(distances) / len(distances) if pairs else math.nan,
        max_peak_distance=max(distances) if pairs else math.nan)


def _region(a: np.ndarray, b: np.ndarray, roi: tuple[int, int, int, int] | None, mask: np.ndarray | None
            ) -> tuple[int, int, np.ndarray]:
    """First fast and slow pixel of the region, and the mask of its pixels that are compared."""
    for name, image in (("a", a), ("b", b)):
        if image.ndim != 2 or image.size == 0:
            raise ConfigError("compare", f"got image {name} of shape {image.shape}; an image is [slow, fast] "
                              "and not empty")
    if a.shape != b.shape:
        raise ShapesDiffer(f"compare: got {a.shape[1]} x {a.shape[0]} and {b.shape[1]} x {b.shape[0]} pixels; "
                           "images must have the same shape, or be resampled")
    if mask is not None and mask.shape != a.shape:
        raise ShapesDiffer(f"compare: got a mask of {mask.shape[1]} x {mask.shape[0]} pixels for images of "
                           f"{a.shape[1]} x {a.shape[0]}; they must have the same shape")
    fast_min, fast_max, slow_min, slow_max = roi or (0, a.shape[1] - 1, 0, a.shape[0] - 1)
    if not (0 <= fast_min <= fast_max < a.shape[1] and 0 <= slow_min <= slow_max < a.shape[0]):
        raise ConfigError("roi", f"got {fast_min} {fast_max} {slow_min} {slow_max}; a region lies inside "
                          f"0 {a.shape[1] - 1} 0 {a.shape[0] - 1}, minimum first")
    keep = np.ones(a.shape, dtype=bool) if mask is None else mask.astype(bool)
    return fast_min, slow_min, keep[slow_min:slow_max + 1, fast_min:fast_max + 1]


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two float64 arrays [n]; 1 for equal arrays, NaN if one is constant."""
    if np.array_equal(x, y):
        return 1.0
    scale_x, scale_y = (float(np.abs(values).max()) or 1.0 for values in (x, y))
    x, y = x / scale_x, y / scale_y
    x, y = x - x.mean(), y - y.mean()
    norm_x, norm_y = (math.sqrt(float(np.dot(values, values))) for values in (x, y))
    if min(norm_x, norm_y) <= _CONSTANT * math.sqrt(len(x)):
        return math.nan
    return max(-1.0, min(1.0, float(np.dot(x, y)) / norm_x / norm_y))


def _ratio(above: float, below: float, of_zeros: float) -> float:
    if below == 0.0:
        return of_zeros if above == 0.0 else math.nan
    return above / below


def _moved(peak: Peak, left: int, top: int) -> Peak:
    return Peak(peak.fast + left, peak.slow + top, peak.value)


def resampled(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``image`` float64 [slow, fast] resampled to ``shape`` (slow, fast) pixels over the same area, with the same sum.

    Each new pixel gets from every old one the fraction that it covers.
    """
    down, across = (_shares(old, new) for old, new in zip(image.shape, shape, strict=True))
    return down @ np.asarray(image, dtype=np.float64) @ across.T


def _shares(old: int, new: int) -> np.ndarray:
    """Fraction of each old pixel that lies in each new one [new, old]; each column sums to 1."""
    edges_old, edges_new = np.arange(old + 1) * new, np.arange(new + 1) * old  # whole numbers on a common scale
    right = np.minimum(edges_new[1:, None], edges_old[None, 1:])
    left = np.maximum(edges_new[:-1, None], edges_old[None, :-1])
    return np.maximum(right - left, 0) / new
