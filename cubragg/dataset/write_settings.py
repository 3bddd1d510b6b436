"""What is written of a data set, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cubragg import checks
from cubragg.errors import ConfigError
from cubragg.io.images.nxmx import COMPRESSIONS, TYPES

TRUTHS = ("refl", "h5")
LABELS = ("boxes", "mask", "heat")
#: Shots of a shard where none are given: a tenth of the set, at most this many.
MOST_SHOTS = 100


@dataclass(frozen=True)
class WriteSettings:
    """What is written of a data set.

    Attributes
    ----------
    dtype, compression
        Pixels in NXmx: a key of `nxmx.TYPES`, and one of `nxmx.COMPRESSIONS`. Brighter pixels than the type holds are
        written as its highest value; float32: expected photons without noise.
    shard
        Shots of a file; ``None``: a tenth of the set, at most `MOST_SHOTS`.
    truth
        Formats of the reflection tables of the shots: ``refl`` (DIALS), ``h5``.
    truth_min
        Reflections with fewer expected photons are left out.
    labels, label_min
        Labels for learning, in the HDF5 of the truth: ``boxes``, ``mask``, ``heat``, of reflections with at least
        ``label_min`` expected photons.
    """

    dtype: str = "uint32"
    compression: str = "bslz4"
    shard: int | None = None
    truth: Sequence[str] = TRUTHS
    truth_min: float = 1.0
    labels: Sequence[str] = ()
    label_min: float = 10.0

    def __post_init__(self) -> None:
        checks.choice("write.dtype", "the type of pixels", self.dtype, tuple(TYPES))
        checks.choice("write.compression", "the compression", self.compression, COMPRESSIONS)
        checks.integer("write.shard", "the number of shots in a file", self.shard, optional=True, at_least=1)
        object.__setattr__(self, "truth", tuple(self.truth))
        for name in self.truth:
            checks.choice("write.truth", "the format of the truth", name, TRUTHS)
        object.__setattr__(self, "labels", tuple(self.labels))
        for name in self.labels:
            checks.choice("write.labels", "the label", name, LABELS)
        if self.labels and "h5" not in self.truth:
            raise ConfigError("write.labels", f"got {', '.join(self.labels)} without the truth h5, of which they are "
                              "part; add h5 to the truth")
        checks.number("write.label_min", "the number of photons", self.label_min, "photons", at_least=0.0)
        checks.number("write.truth_min", "the number of photons", self.truth_min, "photons", at_least=0.0)

    def shots_in_shard(self, shots: int) -> int:
        """The number of shots in each file but perhaps the last."""
        return self.shard or min(MOST_SHOTS, max(1, -(-shots // 10)))

    def shards(self, series: Sequence[range]) -> list[range]:
        """The numbers of the shots in each shard, none of which has shots of two `DataSet.series`."""
        return shards_of(series, self.shots_in_shard(series[-1].stop))


def shards_of(series: Sequence[range], size: int) -> list[range]:
    """The numbers of the shots in shards of ``size`` shots, or fewer at the end of one of the series."""
    return [range(first, min(first + size, part.stop)) for part in series
            for first in range(part.start, part.stop, size)]
