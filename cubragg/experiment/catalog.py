"""The detector catalog: detectors by name, from data of their makers (sources in `specs/panels.md`).

A detector whose pixels form one regular grid is one panel with masked gaps; other detectors have a panel for each
module.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg.errors import ConfigError

#: (fast, slow) positions of modules in the image [pixel].
Positions = tuple[tuple[int, int], ...]


class Module(NamedTuple):
    """A module: size [pixel], edge of a pixel [mm], sensor, and highest count (``None``: no limit)."""

    fast_pixels: int
    slow_pixels: int
    pixel_mm: float
    material: str
    sensor_um: float | None
    highest: int | None


class Cut(NamedTuple):
    """Settings of a panel of a catalog detector: pixels, position in the image, material, mask and trusted range.
    Thickness and attenuation of the sensor are settings of the detector."""

    fast_pixels: int
    slow_pixels: int
    offset: tuple[int, int]
    name: str
    material: str
    mask: np.ndarray | None
    trusted: tuple[float, float] | None


@dataclass(frozen=True)
class CatalogDetector:
    """A detector of the catalog.

    Attributes
    ----------
    name, title
        The name on command lines, and the one that the maker uses.
    module, positions
        Its module, and the position of each in the image.
    separate
        One panel for each module, in place of one panel with masked gaps.
    unbinned
        Name of the same detector without binning; empty: the pixels are not binned.
    """

    name: str
    title: str
    module: Module
    positions: Positions
    separate: bool = False
    unbinned: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """(slow, fast) size of the image [pixel]."""
        return (max(slow for _, slow in self.positions) + self.module.slow_pixels,
                max(fast for fast, _ in self.positions) + self.module.fast_pixels)

    def modules(self) -> tuple[Cut, ...]:
        """Return its panels, as parts of one flat detector."""
        module = self.module
        trusted = None if module.highest is None else (0.0, float(module.highest))
        if self.separate:
            size = module.fast_pixels, module.slow_pixels
            return tuple(Cut(*size, position, f"m{number}", module.material, None, trusted)
                         for number, position in enumerate(self.positions))
        live = np.zeros(self.shape, dtype=bool)
        for fast, slow in self.positions:
            live[slow:slow + module.slow_pixels, fast:fast + module.fast_pixels] = True
        slow_pixels, fast_pixels = self.shape
        mask = None if live.all() else live
        return (Cut(fast_pixels, slow_pixels, (0, 0), self.name, module.material, mask, trusted),)


def _grid(module: Module, fast_gap: int, slow_gap: int, columns: int, rows: int) -> Positions:
    return tuple((column * (module.fast_pixels + fast_gap), row * (module.slow_pixels + slow_gap))
                 for row in range(rows) for column in range(columns))


_SI_320, _SI_450 = ("Si", 320.0), ("Si", 450.0)
#: Counters of 20 bits; and pixels between modules along fast and slow.
PILATUS = Module(487, 195, 0.172, *_SI_320, 2**20 - 1)
PILATUS_GAPS = (7, 17)
#: Frames summed to 32 bits; the highest number marks pixels without a count.
_EIGER = Module(1030, 514, 0.075, *_SI_450, 2**32 - 2)
_EIGER2 = Module(1028, 512, 0.075, *_SI_450, 2**32 - 2)
#: 4 x 2 chips of 256 x 256 pixels, those along inner edges twice as wide and counted as two. It integrates charge.
_JUNGFRAU = Module(1030, 514, 0.075, *_SI_320, None)

#: Name, title, columns and rows of modules.
_PILATUS_GRIDS = (("pilatus100k", "PILATUS 100K", 1, 1), ("pilatus300k", "PILATUS 300K", 1, 3),
                  ("pilatus300k-w", "PILATUS 300K-W", 3, 1), ("pilatus1m", "PILATUS 1M", 2, 5),
                  ("pilatus2m", "PILATUS 2M", 3, 8), ("pilatus6m", "PILATUS 6M", 5, 12))
_EIGER_GRIDS = (("500k", "500K", 1, 1), ("1m", "1M", 1, 2), ("4m", "4M", 2, 4), ("9m", "9M", 3, 6),
                ("16m", "16M", 4, 8))

#: A 16M at SwissFEL, row by row: its upper half is shifted along fast, its right half along slow, by 68 pixels.
_JUNGFRAU_16M = tuple((column * 1039 + (68 if row < 4 else 0), row * 550 + (68 if column >= 2 else 0))
                      for row in range(8) for column in range(4))

#: CCD detectors with a phosphor of unpublished thickness: name, title, pixels along an edge and their size [mm]
#: without binning, and binnings. Counts are 16 bits.
_CCDS = (
    ("rayonix-mx225hs", "Rayonix MX225-HS", 5760, 225.0 / 5760, (2, 3, 4, 5, 6, 8, 10)),
    ("rayonix-mx300hs", "Rayonix MX300-HS", 7680, 300.0 / 7680, (2, 3, 4, 5, 6, 8, 10)),
    ("rayonix-mx340hs", "Rayonix MX340-HS", 7680, 340.0 / 7680, (2, 3, 4, 5, 6, 8, 10)),
    ("adsc-q210", "ADSC Quantum 210", 4096, 0.0512, (2,)),
    ("adsc-q315", "ADSC Quantum 315", 6144, 0.0513, (2,)),
)


def _detectors() -> Iterator[CatalogDetector]:
    for name, title, columns, rows in _PILATUS_GRIDS:
        yield CatalogDetector(name, title, PILATUS, _grid(PILATUS, *PILATUS_GAPS, columns, rows))
    for prefix, family, module, gaps in (("eiger", "EIGER", _EIGER, (10, 37)),
                                         ("eiger2-", "EIGER2", _EIGER2, (12, 38))):
        for name, title, columns, rows in _EIGER_GRIDS:
            yield CatalogDetector(prefix + name, f"{family} {title}", module, _grid(module, *gaps, columns, rows))
    yield CatalogDetector("jungfrau4m", "JUNGFRAU 4M", _JUNGFRAU, _grid(_JUNGFRAU, 8, 36, 2, 4), separate=True)
    yield CatalogDetector("jungfrau16m", "JUNGFRAU 16M", _JUNGFRAU, _JUNGFRAU_16M, separate=True)
    for name, title, pixels, edge, binnings in _CCDS:
        for binning in (1, *binnings):
            whole = Module(pixels // binning, pixels // binning, edge * binning, "Gd2O2S", None, 2**16 - 1)
            if binning == 1:
                yield CatalogDetector(name, title, whole, ((0, 0),))
            else:
                yield CatalogDetector(f"{name}-{binning}x{binning}", f"{title}, {binning} x {binning} pixels binned",
                                      whole, ((0, 0),), unbinned=name)


#: All detectors by name, in the order in which they are listed.
CATALOG: dict[str, CatalogDetector] = {detector.name: detector for detector in _detectors()}


def find(where: str, name: str) -> CatalogDetector:
    """Return the detector of a name; case, blanks and punctuation do not matter.

    Parameters
    ----------
    where
        The setting or flag, for the message.

    Raises
    ------
    ConfigError
        If there is none; the message has the nearest names.
    """
    if not isinstance(name, str):
        raise ConfigError(where, f"got {name!r:.60}; it must be the name of a detector")
    found = CATALOG.get(name) or _BY_PLAIN_NAME.get(_plain(name))
    if found is not None:
        return found
    near = [_BY_PLAIN_NAME[match].name for match in difflib.get_close_matches(_plain(name), _BY_PLAIN_NAME, n=3)]
    hint = f"the nearest are {', '.join(near)}" if near else f"it has {', '.join(CATALOG)}"
    raise ConfigError(where, f"got {name!r}, which is not in the detector catalog; {hint}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_PLAIN_NAME = {_plain(title): detector for title, detector in CATALOG.items()}
