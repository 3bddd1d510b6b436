"""Steps of the response in which light or charge reaches other pixels, or none. `specs/response.md`"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cubragg import units
from cubragg.detect.exposure import Exposure
from cubragg.detect.kernel_factors import Factors
from cubragg.detect.normal_deviates import normals
from cubragg.detect.point_spread import spread
from cubragg.detect.wide_pixels import divide_wide_pixels
from cubragg.experiment.response_settings import Response
from cubragg.philox import Effect, random_words

#: Returns a panel [slow, fast] after a point spread of a kind and a full width at half maximum (fast, slow) [pixel].
Spreading = Callable[[np.ndarray, str, tuple[float, float]], np.ndarray]
#: Number of bits of a byte that are set.
_BITS = np.array([bin(byte).count("1") for byte in range(256)])


class LostCharge:
    """Photons of a counting detector whose charge is shared so that no pixel gets the threshold."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.charge_cloud_um > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        result = np.array(image, dtype=np.float64)
        for panel, counted in zip(exposure.panels, self.factors(response, exposure).per_panel, strict=True):
            result[panel.window] *= counted
        return result

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        """Return the counts per photon of each panel."""
        return Factors(per_panel=tuple(
            counted_fraction(tuple(response.charge_cloud_um / edge for edge in panel.pixel_um), response.threshold)
            for panel in exposure.panels))


def counted_fraction(sigma_px: tuple[float, ...], threshold: float, points: int = 400) -> float:
    """Return the counts per photon of a counting pixel for a Gaussian charge cloud.

    It is the integral over a pixel of the number of pixels whose share of the charge exceeds the threshold: with a
    threshold of 1/2 at most one does, and none for photons at the corners.

    Parameters
    ----------
    sigma_px
        Standard deviation of the cloud along fast and slow [pixel].
    threshold
        Fraction of the charge.
    """
    x = (np.arange(points) + 0.5) / points
    fast, slow = ([_normal_integral((k + 1.0 - x) / sigma) - _normal_integral((k - x) / sigma) for k in (-1, 0, 1)]
                  for sigma in sigma_px)
    counted = sum(np.count_nonzero(np.outer(one, other) > threshold) for one in fast for other in slow)
    return float(counted) / points**2


def _normal_integral(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x])


class PointSpread:
    """Point spread: of expected photons in counting detectors, of drawn ones in integrating detectors.

    ``spreading`` is `spread`, or `noisify_spread` for noisify's.
    """

    whole = True

    def __init__(self, spreading: Spreading = spread) -> None:
        self._spreading = spreading

    def applies(self, response: Response) -> bool:
        return response.psf is not None

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        assert response.psf is not None
        return _spread_panels(image, response.psf, response.psf_fwhm_um, exposure, self._spreading)


class SharedCharge:
    """The charge cloud of an integrating detector."""

    whole = True

    def applies(self, response: Response) -> bool:
        return response.charge_cloud_um > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return _spread_panels(image, "gauss", response.charge_cloud_um * units.FWHM_PER_SIGMA, exposure)


def _spread_panels(image: np.ndarray, psf: str, fwhm_um: float, exposure: Exposure, spreading: Spreading = spread
                   ) -> np.ndarray:
    result = np.array(image, dtype=np.float64)
    for panel in exposure.panels:
        fast, slow = (fwhm_um / edge for edge in panel.pixel_um)
        result[panel.window] = spreading(image[panel.window], psf, (fast, slow))
    return result


class WidePixels:
    """Edge pixels of chips, whose counts are divided among the virtual pixels of the image that they cover."""

    whole = True

    def applies(self, response: Response) -> bool:
        return response.chips is not None

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        assert response.chips is not None
        windows = [panel.window for panel in exposure.panels]
        return divide_wide_pixels(image, response.chips, windows, exposure.live,
                                  lambda counts, index: _heads(counts, index, exposure))


def _heads(counts: np.ndarray, index: np.ndarray, exposure: Exposure) -> np.ndarray:
    """Return binomial deviates (p = 1/2) of counts: exact up to 32, beyond that rounded Gaussian ones."""
    words = random_words(exposure.seed, exposure.shot, Effect.CHARGE_SHARING, index, 0)
    chosen = words & ((np.uint64(1) << np.minimum(counts, 32.0).astype(np.uint64)) - np.uint64(1)).astype(np.uint32)
    few = _BITS[chosen.view(np.uint8).reshape(*chosen.shape, 4)].sum(axis=-1)
    result = few.astype(np.float64)
    bright = counts > 32.0
    if bright.any():
        many = counts[bright]
        deviates = normals(exposure.seed, exposure.shot, Effect.CHARGE_SHARING, index[bright])
        result[bright] = np.clip(np.rint(0.5 * many + 0.5 * np.sqrt(many) * deviates), 0.0, many)
    return result
