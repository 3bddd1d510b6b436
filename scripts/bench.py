#!/usr/bin/env python3
"""Time cubragg, against the programs with nanoBragg's flags that the environment names.

    python scripts/bench.py [W1 W1b W2 ...] [--backends numpy cpu:single ...] [--threads N] [--runs N] [--json FILE]
    python scripts/bench.py --suite [--quick] [--only W1 pixels ...] [--threads 1 2] [--out FOLDER] [--name NAME]

The first prints a table of named workloads. The second is the benchmark that is published: images, a
batch of stills, growth of the cost, structure factors, counts, rules; it writes JSON (after each step: started again,
it goes on), Markdown and plots. NB_C_BIN names the C program, NB_TORCH the command of the PyTorch port, NB_CUDA_BIN
that of nanoBraggCUDA.

Every run is a process of its own, the programs in turn; a ratio comes from runs of one round, so that a machine
that changes its speed does not enter.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# This folder last: it holds a module of the name of one in the standard library, profile.
SCRIPTS = ROOT / "scripts"
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != SCRIPTS), str(SCRIPTS)]

from benchmarks import machine, measure, report, suite  # noqa: E402
from benchmarks.workloads import workloads  # noqa: E402

DEFAULT = ["W1", "W1b", "W2", "start"]


def tolerance(text: str) -> float | None:
    """A number; ``None`` of the word off."""
    return None if text == "off" else float(text)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(workloads())
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(known)} (default {' '.join(DEFAULT)})")
    parser.add_argument("--backends", nargs="+", help="backend or backend:precision (default numpy; suite: all here)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="threads of all programs (default 1)")
    parser.add_argument("--runs", type=int, help="runs of each workload (default 3; suite: 5)")
    parser.add_argument("--cull", type=tolerance, nargs="+", metavar="TOL",
                        help="shares of the peak below which terms may go, or off: every term is evaluated "
                             "(default 0; suite: 0 off 1e-8)")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    parser.add_argument("--suite", action="store_true", help="the published benchmark")
    parser.add_argument("--quick", action="store_true", help="small cases, one run: tests the machinery")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(suite.names())}")
    parser.add_argument("--out", type=Path, default=ROOT / "specs" / "benchmarks", help="folder of the suite's files")
    parser.add_argument("--name", default="suite", help="the files are DATE-NAME.json and .md (default suite)")
    options = parser.parse_args(arguments)
    for given, accepted in ((options.workloads, known), (options.only, suite.names())):
        unknown = sorted(set(given) - set(accepted))
        if unknown:
            parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(accepted)}")
    if min(options.threads) < 1:
        parser.error(f"--threads: got {min(options.threads)}; at least 1 is accepted")
    return options


def run_suite(options: argparse.Namespace, command: str) -> Path:
    """Measure, and write JSON, Markdown and plots; the Markdown's path."""
    stem = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}-{options.name}"
    found, skipped = (options.backends, []) if options.backends else machine.variants()
    asked = suite.Options(tuple(found), tuple(options.threads), options.runs or (1 if options.quick else 5),
                          tuple(options.cull or (0.0, None, 1e-8)), options.quick, tuple(options.only))
    path = options.out / f"{stem}.json"
    document = suite.run(path, asked, command, machine.programs(), skipped,
                         lambda text: print(text, file=sys.stderr, flush=True))
    plots = report.plot(document, options.out / "plots", stem)
    text = report.markdown(document, f"Benchmark, {stem[:10]}", [f"plots/{plot.name}" for plot in plots])
    path.with_suffix(".md").write_text(text)
    return path.with_suffix(".md")


def run_workloads(options: argparse.Namespace) -> None:
    """Measure named workloads, and print them."""
    commands, _ = machine.programs()
    variants = [measure.Variant.of(text, cull) for cull in options.cull or [0.0]
                for text in options.backends or ["numpy"]]
    known = workloads(options.quick)
    rows = list(itertools.chain.from_iterable(
        measure.image_rows(known[name], variants, commands, threads, options.runs or 3, options.quick)
        for name in options.workloads or DEFAULT for threads in options.threads))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, other programs: "
          f"{', '.join(commands) or 'none (set NB_C_BIN)'}")
    print(report.image_table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    options = options_of(arguments)
    if options.suite:
        given = sys.argv[1:] if arguments is None else arguments
        programs = [f"{machine.PROGRAMS[name]}={Path(command[0]).name}" for name, command in
                    machine.programs()[0].items()]
        print(run_suite(options, " ".join([*programs, "python scripts/bench.py", *given])))
    else:
        run_workloads(options)


if __name__ == "__main__":
    main()
