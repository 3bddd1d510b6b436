#!/usr/bin/env python3
"""Process a data set with DIALS and print what it makes of it beside the truth.

    python scripts/dials_report.py FOLDER [--out FOLDER] [--shells N] [--no-scaling] [--known] [--processes N] [--again]

FOLDER is what ``cubragg sweep`` or ``cubragg stills`` wrote, with the truth in HDF5; without, lattice and widths of a
sweep are printed. DIALS's programs run with their defaults, without a cell, on ``master.nxs``, in FOLDER.dials or
``--out``: a sweep is imported, indexed, refined, integrated, scaled and merged; stills are indexed one by one, in the
shards of the set, with ``--known`` given its cell and space group. What is there is used again, unless ``--again`` is
given.
Tables are Markdown: lattice and orientation; for whole reflections (partiality > 0.99, zeta > 0.05) intensities, by
summation and by profile, against the photons of the truth with one scale for all, chi^2 with DIALS's variances; merged
intensities against F^2.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:
    sys.path.append(str(SCRIPTS))

from processing import dials_route, stills_report, sweep_report  # noqa: E402


def report(folder: Path, out: Path, *, shells: int = 10, scaling: bool = True, known: bool = False, processes: int = 1
           ) -> str:
    """Process a data set where that has not been done, and return the tables."""
    stills = json.loads((folder / "summary.json").read_text())["kind"] == "stills"
    images = (folder / "master.nxs").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if stills:
        settings = dials_route.known_crystal(folder) if known else ()
        dials_route.process_stills(sorted(folder.resolve().glob("shard-*.nxs")), out, settings, processes=processes)
        return stills_report.stills_tables(stills_report.stills_result(folder, out),
                                           stills_report.distances_px(folder, out))
    if not (out / ("merged.mtz" if scaling else "integrated.refl")).exists():
        dials_route.process_sweep(images, out, scale=scaling, processes=processes)
    return sweep_report.result_of(folder, out, shells)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shells", type=int, default=10)
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    out = given.out or given.folder.with_name(given.folder.name + ".dials")
    if given.again:
        shutil.rmtree(out, ignore_errors=True)
    try:
        print(report(given.folder, out, shells=given.shells, scaling=not given.no_scaling, known=given.known,
                     processes=given.processes))
    except dials_route.DialsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
