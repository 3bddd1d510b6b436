"""Point spread of a detector: light or charge that reaches other pixels than the one it arrived at.

Weights are integrals over pixels. With the full width at half maximum w, in pixels:

    gauss   1/4 [erf(2 sqrt(ln 2) (x + 1/2) / w) - erf(2 sqrt(ln 2) (x - 1/2) / w)] [the same of y]
    fiber   differences of atan(x y / (g sqrt(g^2 + x^2 + y^2))) / (2 pi) at the corners, g = 0.652383013252053 w: the
            integral of g / (2 pi) (g^2 + r^2)^(-3/2), for fibre-optic tapers (J. M. Holton, C. Nielsen and
            K. A. Frankel, J. Synchrotron Rad. 19 (2012) 1006)

What leaves a panel over its edge is lost. Of a fiber, what goes further than `_FIBER_REACH` pixels is spread evenly
over the panel.
"""

from __future__ import annotations

import math

import numpy as np

from cubragg import units

#: Height of the point of light of a fiber, in full widths at half maximum.
FIBER_SCALE = 0.652383013252053
#: Reach of the weights: standard deviations of a Gaussian, pixels of a fiber.
_GAUSS_REACH = 6.5
_FIBER_REACH = 200
#: Kernels with more weights along an axis are applied by Fourier transforms.
_MOST_TAPS = 41
_FFT_EDGE = 1024


def spread(image: np.ndarray, psf: str, fwhm_px: tuple[float, float]) -> np.ndarray:
    """Return an image of a panel [slow, fast], float64, after the point spread.

    Parameters
    ----------
    psf
        ``gauss`` or ``fiber``.
    fwhm_px
        Full width at half maximum along fast and slow [pixel].
    """
    image = np.asarray(image, dtype=np.float64)
    if psf == "gauss":
        fast, slow = (_gauss_weights(width) for width in fwhm_px)
        if max(len(fast), len(slow)) <= _MOST_TAPS:
            return _along(_along(image, fast, 1), slow, 0)
        return convolved(image, slow[:, None] * fast[None, :])
    reach = min(_FIBER_REACH, max(image.shape))
    weights = fiber_weights(fwhm_px, reach)
    rest = 1.0 - weights.sum()
    return convolved(image, weights) + rest * image.mean()


def _gauss_weights(fwhm: float) -> np.ndarray:
    """Return the weights of a row of pixels, the middle one in the middle; their sum is 1."""
    weights = gauss_weights(fwhm, math.ceil(_GAUSS_REACH * fwhm / units.FWHM_PER_SIGMA + 0.5))
    return weights / weights.sum()


def gauss_weights(fwhm: float, reach: int) -> np.ndarray:
    """Return the weights of the pixels of a row within a reach on both sides of the middle one."""
    scale = 2.0 * math.sqrt(math.log(2.0)) / fwhm
    edges = np.array([math.erf(scale * (x - 0.5)) for x in range(-reach, reach + 2)])
    return np.diff(edges) / 2.0


def fiber_weights(fwhm: tuple[float, float], reach: int) -> np.ndarray:
    """Return the weights [slow, fast] of the pixels within a circle."""
    edges = np.arange(-reach, reach + 2) - 0.5
    # In units of the parameter g along each axis, so that pixels need not be square.
    x, y = np.meshgrid(edges / (FIBER_SCALE * fwhm[0]), edges / (FIBER_SCALE * fwhm[1]))
    corner = np.arctan(x * y / np.sqrt(1.0 + x * x + y * y)) / (2.0 * math.pi)
    weights = np.diff(np.diff(corner, axis=0), axis=1)
    slow, fast = np.mgrid[-reach:reach + 1, -reach:reach + 1]
    weights[slow * slow + fast * fast > reach * reach] = 0.0
    return weights


def _along(image: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Return the convolution along an axis."""
    reach, size = len(weights) // 2, image.shape[axis]
    result = image * weights[reach]
    source, target = np.moveaxis(image, axis, 0), np.moveaxis(result, axis, 0)
    for shift in range(1, min(reach, size - 1) + 1):
        target[shift:] += weights[reach + shift] * source[:-shift]
        target[:-shift] += weights[reach - shift] * source[shift:]
    return result


def convolved(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the convolution, by adding those of blocks (overlap-add)."""
    reach = [size // 2 for size in weights.shape]
    edge = [min(_FFT_EDGE, _fast_length(pixels + 2 * far)) for pixels, far in zip(image.shape, reach, strict=True)]
    edge = [max(size, _fast_length(4 * far)) for size, far in zip(edge, reach, strict=True)]
    block = [size - 2 * far for size, far in zip(edge, reach, strict=True)]
    transform = np.fft.rfft2(weights, edge)
    padded = np.zeros([pixels + 2 * far for pixels, far in zip(image.shape, reach, strict=True)])
    for slow in range(0, image.shape[0], block[0]):
        for fast in range(0, image.shape[1], block[1]):
            part = image[slow:slow + block[0], fast:fast + block[1]]
            if not part.any():
                continue
            found = np.fft.irfft2(np.fft.rfft2(part, edge) * transform, edge)
            target = padded[slow:slow + part.shape[0] + 2 * reach[0], fast:fast + part.shape[1] + 2 * reach[1]]
            target += found[:target.shape[0], :target.shape[1]]
    result = padded[reach[0]:reach[0] + image.shape[0], reach[1]:reach[1] + image.shape[1]]
    # Rounding of the transforms; counts are not negative.
    if float(image.min(initial=0.0)) >= 0.0:
        result[result < 1e-12 * float(image.max(initial=0.0))] = 0.0
    return result


def _fast_length(least: int) -> int:
    """Return the smallest product of powers of 2, 3 and 5 that is at least a number."""
    best = 2 ** math.ceil(math.log2(max(least, 1)))
    for five in range(8):
        for three in range(8):
            part = 5**five * 3**three
            if part >= 2 * best:
                break
            best = min(best, part * 2 ** max(0, math.ceil(math.log2(least / part))))
    return best
