"""The response of a detector: a chain of steps from expected photons to counts.

    counting     flicker, charge lost between pixels, point spread, sensitivity, Poisson, dead time, wide pixels, flat
                 field, gain and pedestal, bad pixels, cutoff
    integrating  flicker, sensitivity, Poisson, spread of single photons' signals, point spread and charge cloud of what
                 was drawn, wide pixels, read-out noise, pedestal error, flat field, gain and pedestal, bad pixels,
                 cutoff
    noisify      flicker and calibration of each pixel, Poisson, point spread, read-out noise, gain and pedestal, cutoff

A step is a class with ``applies`` and a call; a new one is a class, here or in a module of its own, and a place in
`CHAINS`. Random numbers are functions of seed, shot, effect and pixel; what is fixed for a detector has its calibration
seed and shot 0. `specs/response.md`
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cubragg.detect.charge_steps import LostCharge, PointSpread, SharedCharge, WidePixels
from cubragg.detect.counting import draw_counts
from cubragg.detect.exposure import Exposure
from cubragg.detect.kernel_factors import Factors, PixelFactor
from cubragg.detect.noisify_spread import noisify_spread
from cubragg.detect.normal_deviates import normal_image, normals
from cubragg.detect.poisson import RandomStream
from cubragg.errors import ConfigError
from cubragg.experiment.response_settings import Response
from cubragg.philox import Effect, uniforms

_MAX_INT32 = 2**31 - 1
_LEAST_SENSITIVITY = 0.1
#: With larger means counts may exceed 2^31 - 1, by 20 standard deviations.
_LARGEST_INT32_MEAN = _MAX_INT32 - 1e6


class Step(Protocol):
    """A step of the chain.

    Attributes
    ----------
    whole
        Whether it needs the whole image; otherwise a pixel depends on itself alone, and the step takes bands of rows.
    """

    whole: bool

    def applies(self, response: Response) -> bool:
        """Return whether the step changes an image."""

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        """Return the image [slow, fast] after the step."""


@runtime_checkable
class ScalingStep(Step, Protocol):
    """A step before the Poisson deviates that multiplies photons: kernels on a GPU do it without an image."""

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        """Return what the photons are multiplied by, with the bits of the call."""


def detected_counts(photons: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
    """Return the counts that a detector writes for expected photons [slow, fast]; 0 in pixels without a value.

    Returns
    -------
    int32, or float64 of whole numbers where counts may exceed 2^31 - 1.

    Raises
    ------
    ConfigError
        If the map of bad pixels has another size than the image.
    """
    image = photons
    for step in applied_steps(response):
        image = step(image, response, exposure)
    return finished(image, response, exposure)


def applied_steps(response: Response) -> list[Step]:
    """Return the steps of a response that change an image, in their order."""
    chain = CHAINS["noisify" if response.order == "noisify" else response.kind]
    return [step for step in chain if step.applies(response)]


def finished(image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
    """Return the counts after the last step: 0 in pixels without a value, and whole; the image is changed in place."""
    if exposure.live is not None:
        # In place, as the cutoff: photons are drawn into a new image.
        np.copyto(image, 0, where=~exposure.live)
    if image.dtype == np.int32:
        return image
    whole = np.trunc(image) if response.order == "noisify" else np.rint(image)
    return whole.astype(np.int32) if float(np.abs(whole).max(initial=0.0)) <= _MAX_INT32 else whole


def _first(image: np.ndarray, exposure: Exposure) -> int:
    """Return the index in the whole image of the first pixel of an image or band."""
    return exposure.first_row * image.shape[1]


def _pixels(image: np.ndarray, exposure: Exposure) -> np.ndarray:
    return np.arange(image.size, dtype=np.int64).reshape(image.shape) + _first(image, exposure)


def _fixed(image: np.ndarray, response: Response, exposure: Exposure, effect: Effect, draw: int = 0) -> np.ndarray:
    """Return a Gaussian deviate of each pixel that is fixed for the detector."""
    return normal_image(image.shape, response.calibration_seed, 0, effect, draw, first=_first(image, exposure),
                        threads=exposure.threads, backend=exposure.backend)


def _drawn(image: np.ndarray, exposure: Exposure, effect: Effect) -> np.ndarray:
    """Return a Gaussian deviate of each pixel and shot."""
    return normal_image(image.shape, exposure.seed, exposure.shot, effect, first=_first(image, exposure),
                        threads=exposure.threads, backend=exposure.backend)


class Flicker:
    """Changes of the beam from shot to shot."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.flicker > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return image * np.float64(self.factors(response, exposure).per_shot)

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        deviate = float(normals(exposure.seed, exposure.shot, Effect.FLICKER, np.zeros(1, dtype=np.int64))[0])
        return Factors(per_shot=max(0.0, 1.0 + response.flicker * deviate))


class PixelFlicker:
    """noisify's flicker, which is drawn for each pixel."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.flicker > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return image * (1.0 + response.flicker * _drawn(image, exposure, Effect.FLICKER))

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        stream = RandomStream(exposure.seed, exposure.shot, Effect.FLICKER)
        return Factors(per_pixel=(PixelFactor(stream, 0, response.flicker, -math.inf),))


class Sensitivity:
    """Sensitivity of pixels: raw counts are those of photons times the sensitivity, which the flat field corrects."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.efficiency_sigma > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return image * sensitivity(image, response, exposure)

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        stream = RandomStream(response.calibration_seed, 0, Effect.CALIBRATION)
        return Factors(per_pixel=(PixelFactor(stream, 0, response.efficiency_sigma, _LEAST_SENSITIVITY),))


class FlatField:
    """Division by the sensitivity as the detector's flat field has it, with its errors."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.efficiency_sigma > 0.0 or response.flat_field_sigma > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        drawn = _fixed(image, response, exposure, Effect.CALIBRATION, draw=1)
        error = np.maximum(0.1, 1.0 + response.flat_field_sigma * drawn)
        return image / (error * sensitivity(image, response, exposure) if response.efficiency_sigma else error)


def sensitivity(image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
    """Return the sensitivity of each pixel, at least 0.1."""
    deviates = _fixed(image, response, exposure, Effect.CALIBRATION)
    return np.maximum(_LEAST_SENSITIVITY, 1.0 + response.efficiency_sigma * deviates)


class Calibration:
    """noisify's calibration error, a factor on expected photons."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.flat_field_sigma > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return image * (1.0 + response.flat_field_sigma * _fixed(image, response, exposure, Effect.CALIBRATION))

    def factors(self, response: Response, exposure: Exposure) -> Factors:
        stream = RandomStream(response.calibration_seed, 0, Effect.CALIBRATION)
        return Factors(per_pixel=(PixelFactor(stream, 0, response.flat_field_sigma, -math.inf),))


class Counting:
    """Poisson deviates."""

    whole = False

    def applies(self, response: Response) -> bool:
        return True

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        small = float(image.max(initial=0.0)) <= _LARGEST_INT32_MEAN
        drawn = draw_counts(image, seed=exposure.seed, shot=exposure.shot, dtype=np.int32 if small else np.float64,
                            backend=exposure.backend, threads=exposure.threads, first_row=exposure.first_row,
                            out=exposure.counts if small else None)
        counts: np.ndarray = drawn if isinstance(drawn, np.ndarray) else drawn.get()
        return counts


class DeadPeriod:
    """Dead time: n counts in the exposure T become n exp(-n tau / T), or n / (1 + n tau / T).

    The rate is the mean over the exposure. A rotating crystal diffracts for a part of it only, so that its losses are
    larger.
    """

    whole = False

    def applies(self, response: Response) -> bool:
        return response.dead_time_ns > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        busy = image * (1e-9 * response.dead_time_ns / exposure.exposure_s)
        kept = image * np.exp(-busy) if response.dead_time == "paralyzable" else image / (1.0 + busy)
        return _rounded_at_random(kept, exposure, Effect.DEAD_TIME)


def _rounded_at_random(values: np.ndarray, exposure: Exposure, effect: Effect) -> np.ndarray:
    """Return whole numbers whose mean is the value."""
    low = np.floor(values)
    return low + (uniforms(exposure.seed, exposure.shot, effect, _pixels(values, exposure)) <= values - low)


class SignalSpread:
    """Spread of the signals of single photons: n photons give n with a variance of n sigma^2."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.gain_sigma > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        deviates = _drawn(image, exposure, Effect.GAIN)
        return image + response.gain_sigma * np.sqrt(image) * deviates


class ReadOut:
    """Read-out noise, of the gain stage that a signal reaches, and the largest signal of the last stage."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.readout_sigma > 0.0 or bool(response.gain_stages)

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        deviates = _drawn(image, exposure, Effect.READOUT)
        if not response.gain_stages:
            return image + response.readout_sigma * deviates
        limits = np.array([limit for limit, _ in response.gain_stages])
        noise = np.array([sigma for _, sigma in response.gain_stages])
        stage = np.minimum(np.searchsorted(limits, image), len(limits) - 1)
        return np.minimum(image, limits[-1]) + noise[stage] * deviates


class PedestalError:
    """Errors of the pedestal that was subtracted, fixed for each pixel."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.pedestal_sigma > 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return image + response.pedestal_sigma * _fixed(image, response, exposure, Effect.PEDESTAL)


class Scale:
    """Counts per photon, and the pedestal."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.gain != 1.0 or response.pedestal != 0.0

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        return response.gain * image + response.pedestal


class BadPixels:
    """Dead, hot and noisy pixels."""

    whole = True

    def applies(self, response: Response) -> bool:
        return (response.bad_pixels is not None or response.dead_fraction > 0.0 or response.hot_fraction > 0.0
                or response.noisy_fraction > 0.0)

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        bad = bad_pixels(image.shape, response)
        sigma = response.noisy_sigma * response.gain
        noise = sigma * _drawn(image, exposure, Effect.NOISY)
        hot = float(response.count_cutoff or _MAX_INT32)
        return np.select([bad == 1, bad == 2, bad == 3], [0.0, hot, np.maximum(image + noise, 0.0)], image)


def bad_pixels(shape: tuple[int, ...], response: Response) -> np.ndarray:
    """Return the map of bad pixels, uint8 [slow, fast]: 0 good, 1 dead, 2 hot, 3 noisy.

    Raises
    ------
    ConfigError
        If the map of the response has another shape.
    """
    if response.bad_pixels is not None:
        if response.bad_pixels.shape != shape:
            raise ConfigError("response.bad_pixels", f"got a map of {response.bad_pixels.shape[1]} x "
                              f"{response.bad_pixels.shape[0]} pixels; the detector has {shape[1]} x {shape[0]}")
        return response.bad_pixels
    drawn = uniforms(response.calibration_seed, 0, Effect.DEAD, np.arange(math.prod(shape)).reshape(shape))
    edges = np.cumsum([response.dead_fraction, response.hot_fraction, response.noisy_fraction])
    return np.select([drawn <= edge for edge in edges], [1, 2, 3], 0).astype(np.uint8)


class Cutoff:
    """The largest count."""

    whole = False

    def applies(self, response: Response) -> bool:
        return response.count_cutoff is not None

    def __call__(self, image: np.ndarray, response: Response, exposure: Exposure) -> np.ndarray:
        # Frames summed to 32 bits have a larger cutoff than an int32 image can reach.
        if image.dtype == np.int32 and response.count_cutoff is not None and response.count_cutoff > _MAX_INT32:
            return image
        return np.minimum(image, np.asarray(response.count_cutoff, dtype=image.dtype), out=image)


#: The steps of each chain, in their order.
CHAINS: dict[str, tuple[Any, ...]] = {
    "counting": (Flicker(), LostCharge(), PointSpread(), Sensitivity(), Counting(), DeadPeriod(), WidePixels(),
                 FlatField(), Scale(), BadPixels(), Cutoff()),
    "integrating": (Flicker(), Sensitivity(), Counting(), SignalSpread(), PointSpread(), SharedCharge(), WidePixels(),
                    ReadOut(), PedestalError(), FlatField(), Scale(), BadPixels(), Cutoff()),
    "noisify": (PixelFlicker(), Calibration(), Counting(), PointSpread(noisify_spread), ReadOut(), Scale(), Cutoff()),
}
