"""What is written of a data set, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cubragg import checks
from cubragg.errors import ConfigError
from cubragg.io.images.nxmx import COMPRESSIONS, TYPES

#: Formats of the truth, and those where none are given.
TRUTHS, DEFAULT_TRUTHS = ("refl", "h5", "parquet", "stream"), ("refl", "h5")
#: Tables of the truth in Parquet, a file each for a shard.
PARQUET_TABLES = ("reflections", "crystals", "parameters")
Label = Literal["boxes", "mask", "heat"]
LABELS: tuple[Label, ...] = ("boxes", "mask", "heat")
#: Shots of a shard where none are given: a tenth of the set, at most this many.
MOST_SHOTS = 100


class ImageFormat(NamedTuple):
    """A format of images: the ending of the file of each image, empty where a shard is one file, and types of pixels
    and compressions, the default first."""

    ending: str
    types: tuple[str, ...]
    compressions: tuple[str, ...]


FORMATS = {
    "nxmx": ImageFormat("", tuple(TYPES), COMPRESSIONS),
    "cbf": ImageFormat(".cbf", ("int32",), ("byte-offset",)),
    "smv": ImageFormat(".img", ("uint16",), ("none",)),
}
#: Endings of files of one image.
SINGLE_ENDINGS = tuple(form.ending for form in FORMATS.values() if form.ending)


@dataclass(frozen=True)
class WriteSettings:
    """What is written of a data set.

    Attributes
    ----------
    format
        ``nxmx``: a file for each shard. ``cbf`` (miniCBF), ``smv``: a file for each image.
    dtype, compression
        Pixels in NXmx: a key of `nxmx.TYPES`, and one of `nxmx.COMPRESSIONS`; empty: uint32, bslz4. Brighter pixels
        than the type holds are written as its highest value; float32: expected photons without noise. miniCBF has
        int32 with byte-offset compression, SMV uint16 without.
    shard
        Shots of a file; ``None``: a tenth of the set, at most `MOST_SHOTS`.
    truth
        Formats of the reflection tables of the shots: ``refl`` (DIALS), ``h5``, ``parquet`` (tables of reflections,
        crystals and parameters), ``stream`` (CrystFEL).
    truth_min
        Reflections with fewer expected photons are left out.
    labels, label_min
        Labels for learning, in the HDF5 of the truth: ``boxes``, ``mask``, ``heat``, of reflections with at least
        ``label_min`` expected photons.
    """

    dtype: str = ""
    compression: str = ""
    shard: int | None = None
    truth: Sequence[str] = DEFAULT_TRUTHS
    truth_min: float = 1.0
    labels: Sequence[str] = ()
    label_min: float = 10.0
    format: str = "nxmx"

    def __post_init__(self) -> None:
        checks.choice("write.format", "the format of images", self.format, tuple(FORMATS))
        _, types, compressions = FORMATS[self.format]
        object.__setattr__(self, "dtype", self.dtype or types[0])
        object.__setattr__(self, "compression", self.compression or compressions[0])
        checks.choice("write.dtype", f"the type of pixels of {self.format}", self.dtype, types)
        checks.choice("write.compression", f"the compression of {self.format}", self.compression, compressions)
        checks.integer("write.shard", "the number of shots in a file", self.shard, optional=True, at_least=1)
        for name in ("truth", "labels"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"write.{name}", f"got {getattr(self, name)!r}; a list of names is accepted")
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

    @property
    def ending(self) -> str:
        """Ending of the file of each image; empty where a shard is one file."""
        return FORMATS[self.format].ending

    @property
    def label_compression(self) -> str:
        """Compression of images of labels, a key of `nxmx.COMPRESSIONS`."""
        return "bslz4" if self.ending else self.compression

    def masters(self, series: Sequence[range]) -> list[str]:
        """Names of the master files of the images: one, or one for each `DataSet.series`; none with single images."""
        return [] if self.ending else numbered("master", ".nxs", len(series))

    def shots_in_shard(self, shots: int) -> int:
        """The number of shots in each file but perhaps the last."""
        return self.shard or min(MOST_SHOTS, max(1, -(-shots // 10)))

    def shards(self, series: Sequence[range]) -> list[range]:
        """The numbers of the shots in each shard, none of which has shots of two `DataSet.series`."""
        return shards_of(series, self.shots_in_shard(series[-1].stop))


def numbered(stem: str, ending: str, count: int) -> list[str]:
    """Names of files: one without a number, or several with numbers from 1."""
    width = len(str(count))
    return [stem + ending] if count == 1 else [f"{stem}-{number:0{width}}{ending}" for number in range(1, count + 1)]


def shards_of(series: Sequence[range], size: int) -> list[range]:
    """The numbers of the shots in shards of ``size`` shots, or fewer at the end of one of the series."""
    return [range(first, min(first + size, part.stop)) for part in series
            for first in range(part.start, part.stop, size)]
