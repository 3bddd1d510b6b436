"""The published benchmark: which rows it has, and the file that grows row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import counts, factors, machine, measure
from benchmarks.measure import Variant
from benchmarks.workloads import Sweep, stills, sweeps, workloads

#: In the order of the tables.
IMAGES = ("W1", "W2", "W2-gauss", "W3", "W3-whole", "R16", "R16-whole")
#: Too long for NumPy: hours.
NOT_FOR_NUMPY = ("W3-whole", "R16-whole")
GROWTH_PRECISION = {"numpy": "auto", "cpu": "double", "cuda": "mixed"}
#: Rule -> sweep, which ratio of its last point, and the largest that is accepted.
RULES = {
    "twice the pixels cost at most 2.1 times": ("pixels", "ratio", 2.1),
    "twice the mosaic domains cost at most 2.1 times": ("domains", "ratio", 2.1),
    "twice the mosaic domains of a Gaussian crystal cost at most 2.1 times": ("domains-gauss", "ratio", 2.1),
    "memory does not depend on the samples per pixel": ("samples", "memory_ratio", 1.05),
}

Document = dict[str, Any]


class Options(NamedTuple):
    """Options of the suite; ``only`` lists names of workloads and sweeps, all if empty."""

    variants: tuple[str, ...]
    threads: tuple[int, ...] = (1,)
    runs: int = 5
    culls: tuple[float | None, ...] = (0.0,)
    quick: bool = False
    only: tuple[str, ...] = ()


class Job(NamedTuple):
    """Rows that are measured together, and the name by which a later run knows that it has them."""

    name: str
    rows: Callable[[], list[dict[str, Any]]]


def names() -> list[str]:
    """Everything that ``only`` may name."""
    return [*IMAGES, "stills", *(sweep.name for sweep in sweeps()), "factors", "counts"]


def jobs(options: Options, programs: dict[str, list[str]]) -> Iterator[Job]:
    """What is to be measured, in order."""
    wanted = options.only or names()
    known, batch = workloads(options.quick), stills(options.quick)
    for threads in options.threads:
        for name in IMAGES:
            if name in wanted:
                variants = [variant for variant in _variants(options)
                            if variant.backend != "numpy" or name not in NOT_FOR_NUMPY]
                if variants:
                    yield Job(f"{name}, {threads} threads", partial(
                        measure.image_rows, known[name], variants, programs, threads, options.runs, options.quick))
        if "stills" in wanted:
            yield Job(f"stills, {threads} threads", partial(
                measure.batch_rows, batch, _variants(options), programs, threads, options.runs, options.quick))
    for sweep in sweeps(options.quick):
        for variant in _growth_variants(options):
            if sweep.name in wanted:
                yield Job(f"{sweep.name}, {variant.name}", partial(_sweep, sweep, variant, options))
    if "factors" in wanted:
        yield Job("factors", partial(factors.rows, options.runs, options.quick))
    if "counts" in wanted:
        yield Job("counts", partial(counts.rows, options.runs, options.quick))


def _variants(options: Options) -> list[Variant]:
    """Every backend and precision; the kernels' with each tolerance."""
    return [Variant.of(text, cull) for cull in options.culls for text in options.variants
            if cull == 0.0 or text != "numpy"]


def _growth_variants(options: Options) -> list[Variant]:
    """One precision of each backend; the kernels' with each tolerance."""
    chosen = {variant.backend: variant for variant in map(Variant.of, options.variants)
              if variant.precision in ("auto", GROWTH_PRECISION.get(variant.backend))}
    return [*chosen.values(), *(variant._replace(cull=cull) for cull in options.culls for variant in chosen.values()
                                if cull != 0.0 and variant.backend != "numpy")]


def _sweep(sweep: Sweep, variant: Variant, options: Options) -> list[dict[str, Any]]:
    lines = [(number, sweep.line(point)) for point, (number, _) in enumerate(sweep.points)]
    return [measure.sweep_row(sweep.name, sweep.what, lines, variant, options.threads[0], options.runs)]


def run(path: Path, options: Options, command: str, programs: tuple[dict[str, list[str]], list[str]],
        skipped: Sequence[str], say: Callable[[str], None]) -> Document:
    """Measure what the file at ``path`` lacks, and write it after every job.

    Jobs of a file are kept if it is of this machine, commit and options; else it begins anew.
    """
    commands, absent = programs
    settings = {**options._asdict(), "programs": sorted(commands)}
    document: Document = {
        "command": command, "commit": machine.commit(), "machine": machine.describe(),
        "settings": json.loads(json.dumps(settings)), "skipped": [*skipped, *absent], "jobs": {}}
    document["jobs"] = kept = _kept(path, document)
    for job in jobs(options, commands):
        if job.name in kept:
            say(f"{job.name}: kept")
            continue
        say(job.name)
        kept[job.name] = job.rows()
        _write(path, document)
    document["rules"] = rules(rows_of(document))
    _write(path, document)
    return document


def _kept(path: Path, document: Document) -> dict[str, list[dict[str, Any]]]:
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    same = all(before.get(key) == document[key] for key in ("commit", "machine", "settings"))
    # Jobs that failed are run again.
    return {name: rows for name, rows in before["jobs"].items()
            if not any("failed" in row for row in rows)} if same else {}


def _write(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(temporary, path)


def rows_of(document: Document) -> list[dict[str, Any]]:
    """All rows, in the order of measuring."""
    return [row for rows in document["jobs"].values() for row in rows]


def rules(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the growth of cost must obey, with the ratio that was measured of the last point of the sweep."""
    found = []
    for rule, (sweep, key, limit) in RULES.items():
        for row in rows:
            if row["section"] == "growth" and row["workload"] == sweep and "failed" not in row:
                before, last = row["points"][-2:]
                ratio = last[key]
                found.append({"rule": rule, "variant": row["variant"], "threads": row["threads"],
                              "from": (row["points"][0] if key == "memory_ratio" else before)["number"],
                              "to": last["number"], "what": row["what"], "ratio": ratio, "limit": limit,
                              "holds": ratio["median"] <= limit})
    return found
