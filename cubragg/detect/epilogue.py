"""What a kernel on a GPU does with the photons of a pixel in place of storing them: it draws the count.

The steps of a response up to the Poisson deviates are factors of pixels, unless they spread photons. A kernel that has
the photons of a pixel in a register multiplies them, adds background and direct beam before, and stores the count: no
image of photons passes through memory. Steps after the deviates take the image of counts, as always; a cutoff that is
the only one of them is applied by the kernel. Decision 0006 has the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from cubragg.detect.exposure import Exposure
from cubragg.detect.kernel_factors import Factors
from cubragg.detect.poisson import RandomStream
from cubragg.detect.response_chain import Counting, Cutoff, ScalingStep, applied_steps, finished
from cubragg.experiment.response_settings import Response
from cubragg.philox import key_of

#: Most factors of each pixel.
_MOST_FACTORS = 2
_MAX_INT32 = 2**31 - 1
_STREAM = [("key", np.uint32, 2), ("effect", np.uint32), ("shot", np.uint32)]
_FACTOR = np.dtype([*_STREAM, ("sigma", np.float64), ("least", np.float64), ("draw", np.uint32)], align=True)
#: dtype of `struct Epilogue` of `kernels/epilogue.cuh`.
EPILOGUE = np.dtype([
    ("per_shot", np.float64), ("per_panel", np.float64), ("factors", _FACTOR, _MOST_FACTORS), *_STREAM,
    ("scale", np.float32), ("width", np.int32), ("origin", np.uint32), ("has_background", np.int32),
    ("has_direct", np.int32), ("has_passed", np.int32), ("cutoff", np.int32)], align=True)


class PhotonMaps(NamedTuple):
    """What is added to the photons of crystals, float32 [slow, fast] of the whole image; ``None``: nothing.

    Attributes
    ----------
    background, scale
        Background, and the factor on it.
    direct
        The direct beam.
    passed
        The part that passes the beam stop, by which all photons are multiplied.
    """

    background: np.ndarray | None = None
    scale: float = 1.0
    direct: np.ndarray | None = None
    passed: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Epilogue:
    """From the photons of a pixel to its count.

    Attributes
    ----------
    stream
        Random numbers of the Poisson deviates.
    factors
        Factors on the photons.
    cutoff
        The largest count.
    maps
        What is added to the photons before.
    """

    stream: RandomStream
    factors: Factors
    cutoff: int
    maps: PhotonMaps

    def struct(self, panel: int, window: tuple[slice, slice], width: int) -> np.ndarray:
        """Return the 0-dimensional struct of a panel of the detector, by its number and place in the image.

        ``width`` is that of the image [pixel].
        """
        struct, factors = np.zeros((), dtype=EPILOGUE), self.factors
        values: dict[str, Any] = {
            **_words(self.stream), "per_shot": factors.per_shot,
            "per_panel": factors.per_panel[panel] if factors.per_panel else 1.0, "scale": self.maps.scale,
            "width": width, "origin": window[0].start * width + window[1].start, "cutoff": self.cutoff,
            **{f"has_{name}": getattr(self.maps, name) is not None for name in ("background", "direct", "passed")}}
        for name, value in values.items():
            struct[name] = value
        for place, factor in enumerate(factors.per_pixel):
            for name, value in (*_words(factor.stream).items(), ("sigma", factor.sigma), ("least", factor.least),
                                ("draw", factor.draw)):
                struct["factors"][place][name] = value
        return struct


def _words(stream: RandomStream) -> dict[str, Any]:
    return {"key": key_of(stream.seed), "effect": stream.effect, "shot": stream.shot}


class CountsInKernels:
    """Counts that kernels draw; they are those of `detected_counts`, to the bit.

    Parameters
    ----------
    response, exposure
        The response, and the exposure of the image.
    maps
        What is added to the photons of the crystals.

    Attributes
    ----------
    epilogue
        What the kernels do.
    """

    def __init__(self, response: Response, exposure: Exposure, maps: PhotonMaps) -> None:
        steps = applied_steps(response)
        place = next(place for place, step in enumerate(steps) if isinstance(step, Counting))
        factors = [step.factors(response, exposure) for step in steps[:place] if isinstance(step, ScalingStep)]
        self._response, self._exposure, self._after = response, exposure, steps[place + 1:]
        cutoff = _MAX_INT32
        if all(isinstance(step, Cutoff) for step in self._after):
            self._after = []
            cutoff = min(response.count_cutoff or cutoff, cutoff)
        self.epilogue = Epilogue(RandomStream(exposure.seed, exposure.shot), reduce(Factors.then, factors, Factors()),
                                 cutoff, maps)

    @staticmethod
    def suits(response: Response) -> bool:
        """Return whether the steps before the Poisson deviates are factors."""
        steps = applied_steps(response)
        place = next(place for place, step in enumerate(steps) if isinstance(step, Counting))
        return all(isinstance(step, ScalingStep) for step in steps[:place])

    def finished(self, counts: np.ndarray) -> np.ndarray:
        """Return the counts after the steps that follow: int32, or float64 of whole numbers above 2^31 - 1.

        ``counts`` are those of the kernels, int32 [slow, fast], 0 in pixels without a value.
        """
        if not self._after:
            return counts
        for step in self._after:
            counts = step(counts, self._response, self._exposure)
        return finished(counts, self._response, self._exposure)
