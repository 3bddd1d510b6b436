"""Random numbers of the shots of a data set: functions of the seed, the shot's number and the parameter's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from cubragg.philox import Effect, key_of, philox, uniform_of


def name_index(name: str) -> int:
    """The index of `cubragg.philox` of a parameter: the first 32 bits of its name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


@dataclass(frozen=True)
class Draws:
    """The random numbers of one parameter in a number of shots.

    Attributes
    ----------
    seed
        Seed of the data set.
    shots
        Numbers of the shots, int [n].
    name
        Name of the parameter.
    effect
        Which random numbers; those of an orientation differ from those of other parameters.
    """

    seed: int
    shots: np.ndarray
    name: str
    effect: Effect = Effect.PARAMETERS

    def __len__(self) -> int:
        return len(self.shots)

    def of(self, component: str) -> Draws:
        """The random numbers of a component of the parameter."""
        return replace(self, name=f"{self.name}{component}")

    def some(self, chosen: np.ndarray) -> Draws:
        """The random numbers of the shots at ``chosen``: bool [n], or places."""
        return replace(self, shots=self.shots[chosen])

    def uniforms(self, draw: int) -> np.ndarray:
        """Uniform deviates number ``draw``, float64 [n] in (0, 1]: those of `cubragg.philox.uniforms`."""
        return uniform_of(self._words(2 * draw), self._words(2 * draw + 1))

    def _words(self, draw: int) -> np.ndarray:
        index = name_index(self.name)
        counter = np.empty((4, len(self.shots)), dtype=np.uint32)
        for place, word in enumerate((index // 4, draw, int(self.effect))):
            counter[place] = word
        counter[3] = self.shots
        return philox(counter, key_of(self.seed))[index % 4]
