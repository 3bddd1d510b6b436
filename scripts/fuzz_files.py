#!/usr/bin/env python3
"""Read mutated files through every command that reads files, each in a process with limits, and print what came of it.

    python scripts/fuzz_files.py [-n 1000] [--seed 1] [--kinds mtz cif ...] [--jobs 2] [--keep FOLDER]
    python scripts/fuzz_files.py --files F ...

The first mutates small valid files of all kinds; the second runs the commands of their kind on files as they are. No
file may cause a traceback, a signal, more than 20 s of CPU time, 2 GB of memory, a Python warning, an image with
pixels that are negative or no numbers without a warning, a file left over, or other than one line of error. Files that
do are kept, with the command line and what it printed; the exit status is then 1. Ctrl-C ends a run with its table.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# This folder last: it holds a module of the name of one in the standard library, profile.
SCRIPTS = ROOT / "scripts"
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != SCRIPTS), str(SCRIPTS)]

from fuzzing import corpus, sandbox  # noqa: E402

#: Kinds of files by suffix, for --files.
_BY_SUFFIX = {".hkl": "hkl", ".mtz": "mtz", ".fcf": "fcf", ".pdb": "pdb", ".expt": "expt", ".geom": "geom",
              ".cell": "cell", ".nxs": "nxmx", ".h5": "nxmx", ".img": "smv", ".cbf": "cbf", ".tif": "tiff",
              ".bin": "float", ".toml": "toml", ".mat": "matrix", ".txt": "sources", ".edf": "edf", ".json": "trace"}
_BY_START = {"sf_": "small-cif", "ins": "shelx"}


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1000, help="number of mutated files (default 1000)")
    parser.add_argument("--seed", type=int, help="of the mutations (default: drawn)")
    parser.add_argument("--kinds", nargs="+", choices=list(corpus.KINDS), default=list(corpus.KINDS), metavar="KIND",
                        help=f"of {', '.join(corpus.KINDS)} (default: all in turn)")
    parser.add_argument("--only", type=int, help="run one file again, by its number")
    parser.add_argument("--files", nargs="+", type=Path, metavar="F", help="run these files as they are")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default 2)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder of files that failed")
    return parser.parse_args(arguments)


def _warm() -> None:
    """Import what commands import, once for all processes."""
    import fabio
    import fabio.openimage
    import h5py  # noqa: F401
    import hdf5plugin  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import tomli_w  # noqa: F401


    fabio.openimage  # noqa: B018


Prepared = tuple[sandbox.Case, Callable[[Path], None]]


def _mutations(options: argparse.Namespace, seeds: dict[str, list[Path]], folder: Path) -> Iterator[Prepared]:
    numbers = range(options.n) if options.only is None else [options.only]
    for number in numbers:
        rng = random.Random(f"{options.seed} {number}")
        kind = options.kinds[number % len(options.kinds)]
        seed = rng.choice(seeds[kind])
        line = rng.choice(corpus.KINDS[kind].lines)
        yield _case(number, kind, line, folder, seed, rng)


def _case(number: int, kind: str, line: str, folder: Path, seed: Path, rng: random.Random | None) -> Prepared:
    name = f"in{corpus.KINDS[kind].suffix}"
    case = sandbox.Case(number, kind, corpus.line_for(line, name), folder / f"{number:06d}", corpus.OUTPUTS)

    def prepare(work: Path) -> None:
        if "good.img" in line:
            shutil.copy(folder / "seeds" / "good.img", work)
        if rng is not None:
            corpus.mutated(kind, seed, work / name, rng)
            return
        shutil.copy(seed, work / name)
        beside = corpus.KINDS[kind].beside
        if beside:
            shutil.copy(seed.with_suffix(beside), work / f"in{beside}")

    return case, prepare


def _given_files(files: list[Path], folder: Path) -> Iterator[tuple[str, Prepared]]:
    number = 0
    for path in files:
        if path.is_dir():
            path = next(path.glob("*.hkl"))
        kind = next((kind for start, kind in _BY_START.items() if path.name.startswith(start)
                     or path.parent.name.startswith(start)), _BY_SUFFIX.get(path.suffix, "sf-cif"))
        if kind == "small-cif" and path.suffix == ".pdb":
            kind = "pdb"
        for line in corpus.KINDS[kind].lines:
            yield f"{path.parent.name}/{path.name}", _case(number, kind, line, folder, path, None)
            number += 1


def _run(cases: Iterator[Prepared], jobs: int, ended: Callable[[sandbox.Case, str], None]) -> None:
    running: list[sandbox.Case] = []
    more = True
    while more or running:
        while more and len(running) < jobs:
            following = next(cases, None)
            more = following is not None
            if following is not None:
                sandbox.start(*following)
                running.append(following[0])
        for case in list(running):
            outcome = sandbox.finished(case)
            if outcome is not None:
                running.remove(case)
                ended(case, outcome)
        time.sleep(0.001)


def _table(counts: dict[str, Counter[str]]) -> str:
    columns = (*sandbox.GOOD, *sandbox.BAD)
    total: Counter[str] = sum(counts.values(), Counter())
    rows = [("reader", "files", *columns)]
    rows += [(kind, str(found.total()), *(str(found[column]) for column in columns))
             for kind, found in [*sorted(counts.items()), ("all", total)]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(
        row[1:], widths[1:], strict=True))]) for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table, and return the exit status."""
    options = options_of(arguments)
    options.seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory(prefix="cubragg-fuzz-") as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        seeds = corpus.make(folder / "seeds")
        _warm()
        started = time.monotonic()

        def ended(case: sandbox.Case, outcome: str) -> None:
            counts[case.kind][outcome] += 1
            if outcome in sandbox.BAD:
                kept = options.keep / f"{outcome.replace(' ', '-')}-{case.kind}-{options.seed}-{case.number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(case.folder, kept, symlinks=True)
                (kept / "line").write_text(f"cubragg {case.line}\n")
                print(f"{outcome}: {kept}", flush=True)
            shutil.rmtree(case.folder, ignore_errors=True)

        if options.files:
            named: dict[int, str] = {}
            prepared = []
            for label, case in _given_files(options.files, folder):
                named[case[0].number] = label
                prepared.append(case)

            def shown(case: sandbox.Case, outcome: str) -> None:
                text = (case.folder / "stderr").read_text(errors="replace").strip().split("\n")[-1]
                print(f"{named[case.number]:45} {case.line.split(' ')[0]:8} {outcome:15} {text[:150]}", flush=True)
                ended(case, outcome)

            _run(iter(prepared), options.jobs, shown)
        else:
            with contextlib.suppress(KeyboardInterrupt):  # the table of what is done
                _run(_mutations(options, seeds, folder), options.jobs, ended)
        print(f"seed {options.seed}, {time.monotonic() - started:.0f} s\n{_table(counts)}")
    return int(any(found[outcome] for found in counts.values() for outcome in sandbox.BAD))


if __name__ == "__main__":
    sys.exit(main())
