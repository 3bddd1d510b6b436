"""``--detector list``: print the detector catalog."""

from __future__ import annotations

from collections.abc import Sequence

from cubragg.cli.parser import Given
from cubragg.experiment.catalog import CATALOG, CatalogDetector

LIST = "list"


def wants_list(line: Sequence[Given]) -> bool:
    """Return whether ``--detector list`` is on the line."""
    return any("detector.model" in given.flag.fields and given.values == (LIST,) for given in line)


def table() -> str:
    """Return the detector catalog as a table; binned versions share the row of the unbinned detector."""
    rows: list[tuple[str, ...]] = [("name", "detector", "pixels", "mm", "panels", "sensor", "binned: name and")]
    rows += [_row(detector, [name.removeprefix(detector.name) for name, other in CATALOG.items()
                             if other.unbinned == detector.name])
             for detector in CATALOG.values() if not detector.unbinned]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def _row(detector: CatalogDetector, binnings: Sequence[str]) -> tuple[str, ...]:
    module, (slow, fast) = detector.module, detector.shape
    sensor = module.material if module.sensor_um is None else f"{module.material} {module.sensor_um:g} um"
    return (detector.name, detector.title, f"{fast} x {slow}", f"{module.pixel_mm:g}",
            str(len(detector.positions) if detector.separate else 1), sensor, " ".join(binnings))
