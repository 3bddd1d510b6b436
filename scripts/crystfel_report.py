#!/usr/bin/env python3
"""Index a data set of stills with CrystFEL and print what it makes of it beside the truth.

    python scripts/crystfel_report.py FOLDER [--out FOLDER] [--processes N] [--again]

FOLDER is what ``cubragg stills`` wrote. indexamajig of CrystFEL (0.11 and later) reads ``master.nxs`` by
``models.geom``, finds peaks (peakfinder8) and indexes them (asdf) with the true cell, ``models.cell``, in
FOLDER.crystfel or ``--out``. A stream that is there is used again, unless ``--again`` is given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:
    sys.path.append(str(SCRIPTS))

from processing import crystfel_route, stills_report  # noqa: E402


def report(folder: Path, out: Path, *, processes: int = 1, again: bool = False) -> str:
    """Index a data set where that has not been done, and return the tables."""
    out.mkdir(parents=True, exist_ok=True)
    stream = out / crystfel_route.STREAM
    if again or not stream.exists():
        crystfel_route.index_stills(folder, out, processes=processes)
    return stills_report.stills_tables(crystfel_route.stills_result(folder, stream))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    out = given.out or given.folder.with_name(given.folder.name + ".crystfel")
    try:
        print(report(given.folder, out, processes=given.processes, again=given.again))
    except crystfel_route.CrystfelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
