"""A page of HTML about a data set, in one file without scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.dataset.run_folder import REPORT, SPEC, RunFolder
from cubragg.dataset.shot_tables import read_shot_tables, tables_file
from cubragg.errors import CubraggError
from cubragg.io.files.atomic import write_bytes
from cubragg.view.bar_charts import bars, histogram
from cubragg.view.html_page import page, png_address, table

#: Bins of the resolution, of equal widths in 1/d^2.
_SHELLS = 20
#: Charts of parameters.
_MOST_CHARTS = 60
_STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 1rem; }
.charts svg { width: 100%; height: auto; font: 10px system-ui, sans-serif; }
"""


def write_report(folder: Path | str) -> Path:
    """Write ``report.html`` into the folder of a data set, and return its path.

    It has the contact sheet, statistics, where the time went, photons by resolution, the distribution of each
    parameter, and the specification. All of it is in the file.

    Raises
    ------
    CubraggError
        If the folder holds no finished data set.
    OSError
        If the file cannot be written.
    """
    run = RunFolder(Path(folder))
    run.read()
    summary = run.path / "summary.json"
    if not run.records or not summary.is_file():
        raise CubraggError(f"{folder}: got a folder without a finished data set; the command that began it "
                           "continues it")
    figures = json.loads(summary.read_text(encoding="utf-8"))
    title = f"cubragg {figures['kind']}: {figures['complete_shots']:,} shots"
    write_bytes(run.path / REPORT, page(title, _parts(run, title, figures), _STYLE).encode())
    return run.path / REPORT


def _parts(run: RunFolder, title: str, summary: Mapping[str, Any]) -> Iterator[str]:
    records = [run.records[number] for number in sorted(run.records)]
    yield f"<h1>{escape(title)}</h1>\n<p class='note'>{escape(str(run.path.resolve()))}</p>"
    sheet = png_address((run.path / "contact.png").read_bytes())
    yield f'<img alt="16 shots of the set, side by side" src="{sheet}">'
    yield "<h2>Statistics</h2>"
    yield table([(name.replace("_", " "), _text(value)) for name, value in summary.items()])
    yield "<h2>Time of the workers</h2>"
    yield table(_stages(records))
    yield "<h2>Reflections by resolution</h2>"
    yield from _resolution(run, records)
    yield "<h2>Parameters</h2>"
    yield from _parameters(run, records)
    yield f"<h2>Specification</h2>\n<pre>{escape((run.path / SPEC).read_text(encoding='utf-8'))}</pre>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _stages(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Time of each stage for a shot, and its part of all; stages overlap."""
    shots = sum(record["count"] for record in records)
    stages: Counter[str] = Counter()
    for record in records:
        stages.update(record["stages"])
    total = sum(stages.values()) or 1.0
    rows = [(name, f"{1e3 * seconds / shots:.3g} ms a shot, {seconds / total:.0%}") for name, seconds in stages.items()]
    wall, cpu = (sum(record[name] for record in records) for name in ("seconds", "cpu_seconds"))
    return [*rows, ("wall time of shards", f"{1e3 * wall / shots:.3g} ms a shot"),
            ("CPU time of shards", f"{1e3 * cpu / shots:.3g} ms a shot"),
            ("workers", f"{len({record['worker'] for record in records})}")]


def _resolution(run: RunFolder, records: list[dict[str, Any]]) -> Iterator[str]:
    """Charts of photons and number of the reflections in shells."""
    found = [run.path / name for record in records for name in record["files"]
             if name.startswith("truth-") and name.endswith(".h5")]
    highest = max((float(per_d2.max(initial=0.0)) for per_d2, _ in map(_reflections, found)), default=0.0)
    if not highest > 0.0:
        yield "<p class='note'>The set has no reflections in HDF5 (--truth h5).</p>"
        return
    edges = np.linspace(0.0, highest * (1.0 + 1e-9), _SHELLS + 1)
    number, photons = np.zeros(_SHELLS), np.zeros(_SHELLS)
    for per_d2, one in map(_reflections, found):
        number += np.histogram(per_d2, edges)[0]
        photons += np.histogram(per_d2, edges, weights=one)[0]
    ends = (f"{edges[1] ** -0.5:.3g} A and beyond", f"{highest ** -0.5:.3g} A")
    shells = "shells of equal width in 1/d^2"
    yield "<div class='charts'>"
    yield bars("Photons of a reflection, mean", photons / np.maximum(number, 1.0), ends, shells)
    yield bars("Number of reflections", number, ends, shells)
    yield "</div>"


def _reflections(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """1/d^2 [1/A^2] and photons of the reflections in the truth of a shard, [n] each."""
    import h5py

    with h5py.File(path, "r") as file:
        columns = file["reflections"]
        if "d" not in columns:
            return np.zeros(0), np.zeros(0)
        return columns["d"][()] ** -2.0, columns["photons"][()]


def _parameters(run: RunFolder, records: list[dict[str, Any]]) -> Iterator[str]:
    """A chart for each number that varies."""
    parts = [(tables_file(record), record["count"]) for record in records]
    charts = []
    for name, values in sorted(read_shot_tables(run.path, parts).parameters.items()):
        if values.dtype.kind in "OUT":
            counts = Counter(str(value) for value in values if value)
            text = ", ".join(f"{value}: {count}" for value, count in counts.most_common())
            charts.append(bars(name, list(counts.values()), ("", ""), text))
            continue
        columns = values.reshape(len(values), -1).T
        for place, column in enumerate(columns):
            if len(given := column[~np.isnan(column)]):
                charts.append(histogram(name if len(columns) == 1 else f"{name}[{place}]", given))
    if not charts:
        yield "<p class='note'>Nothing varies.</p>"
        return
    yield f"<div class='charts'>{''.join(charts[:_MOST_CHARTS])}</div>"
    if len(charts) > _MOST_CHARTS:
        yield f"<p class='note'>{len(charts) - _MOST_CHARTS} more are in /entry/parameters of the images.</p>"
