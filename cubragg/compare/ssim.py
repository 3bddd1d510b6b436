"""Structural similarity of two images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_SIGMA = 1.5
_RADIUS = 5  #: 11 x 11 pixels
_K1, _K2 = 0.01, 0.03
_STRIP_ROWS = 256  #: limits the memory for the five filtered maps of a large image


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of float64 images [slow, fast], finite and of one shape; 1 for equal ones.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004) 600, eq. 13: a Gaussian window of
    11 x 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, population variances, and the mean over all windows inside
    the image. The dynamic range is that of both images together, so that the result does not depend on their
    order. For images of less than 11 pixels along an edge the window is smaller.
    """
    low = min(a.min(), b.min())
    span = max(a.max(), b.max()) - low
    if span == 0.0:
        return 1.0
    total = count = 0.0
    for similarity in _maps((a - low) / span, (b - low) / span, float(low / span)):
        total += float(similarity.sum())
        count += similarity.size
    return total / count


def _maps(a: np.ndarray, b: np.ndarray, offset: float) -> Iterator[np.ndarray]:
    """SSIM of every window, strip by strip, of images that are ``offset`` plus values from 0 to 1.

    The offset is separate, because variances computed from large values are lost in rounding.
    """
    windows = [_window(size) for size in a.shape]
    margin = len(windows[0]) - 1
    for start in range(0, a.shape[0] - margin, _STRIP_ROWS):
        x, y = (image[start:start + _STRIP_ROWS + margin] for image in (a, b))
        mean_x, mean_y, xx, yy, xy = (_filtered(image, windows) for image in (x, y, x * x, y * y, x * y))
        var_x, var_y, covariance = xx - mean_x * mean_x, yy - mean_y * mean_y, xy - mean_x * mean_y
        mean_x, mean_y = mean_x + offset, mean_y + offset
        c1, c2 = _K1 * _K1, _K2 * _K2
        yield ((2.0 * mean_x * mean_y + c1) * (2.0 * covariance + c2)
               / ((mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2)))


def _window(size: int) -> np.ndarray:
    radius = min(_RADIUS, (size - 1) // 2)
    weight = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SIGMA) ** 2)
    return weight / weight.sum()


def _filtered(image: np.ndarray, windows: list[np.ndarray]) -> np.ndarray:
    """Separable convolution, with windows inside the image only."""
    for axis, window in enumerate(windows):
        size = image.shape[axis] - len(window) + 1
        parts = (weight * np.take(image, range(i, i + size), axis=axis) for i, weight in enumerate(window.tolist()))
        image = sum(parts, np.zeros(1))
    return image
