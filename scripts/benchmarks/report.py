"""A benchmark as Markdown tables and plots, made of its JSON and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import REFERENCE
from benchmarks.suite import Document, rows_of

Row = dict[str, Any]
_HEAD = """\
Seconds are medians; a ratio is the median of the ratios of runs of one round, least and largest in brackets: a
machine that changes its speed does not enter. Every run is a process of its own. Set-up is everything before
rendering, from the first import on: flags, files, tables, loading of kernels. Write is the float image, an SMV and a
CBF image. Of other programs the render time is the whole process less the same process on one pixel.
"""
_BAND = ("A workload marked (columns) is cut to some columns of the detector (-roi), for all programs, because the "
         "whole takes other programs minutes to hours.")
_BATCH = ("Set-up is up to the first image; then seconds for each further image. Another program starts a process for "
          "each image, and that is what is counted.")
_FACTORS = ("P 21 21 21, 80 x 86 x 94 A. Seconds are those of this machine: imports, reading, work and writing, in a "
            "process of its own.")
_COUNTS = ("Poisson deviates of an image of one mean, in turns with NumPy's generator (PCG64) in the same process: ns "
           "a pixel on one core.")
#: Ratios to other runs of cubragg: key of a row -> title.
_OWN = {"reference": f"{REFERENCE} / this", "gain_of_culling": "all terms / this"}


def spread(ratio: dict[str, float]) -> str:
    """Median, and least and largest."""
    return f"{_digits(ratio['median'])} ({_digits(ratio['min'])} to {_digits(ratio['max'])})"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    if value >= 100.0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10.0 else f"{value:.3g}" if value >= 0.001 else f"{value:.2g}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def image_table(rows: Sequence[Row]) -> str:
    """Times of images, one line a row."""
    return _timed(rows, ["workload", "backend", "threads"], ["set-up s", "render s", "write s", "process s", "peak MB"],
                  lambda row: [f"{row['workload']} (columns)" if row["band"] else row["workload"], row["variant"],
                               str(row["threads"])],
                  lambda row: [f"{row['setup_s']:.3f}", f"{row['render_s']:.4f}", f"{row['write_s']:.3f}",
                               f"{row['process_s']:.3f}", f"{row['peak_MB']:.0f}"], "render s")


def batch_table(rows: Sequence[Row]) -> str:
    """Times of batches, one line a row."""
    return _timed(rows, ["backend", "threads", "images"], ["set-up s", "s an image", "images/s", "peak MB"],
                  lambda row: [row["variant"], str(row["threads"]), str(row["images"])],
                  lambda row: [f"{row['setup_s']:.3f}", f"{row['render_s']:.5f}", f"{1.0 / row['render_s']:.1f}",
                               f"{row['peak_MB']:.0f}"], "s an image")


def _timed(rows: Sequence[Row], names: list[str], figures: list[str], name: Callable[[Row], list[str]],
           figure: Callable[[Row], list[str]], theirs: str) -> str:
    """Names and figures of each row, then the ratios that any of them has."""
    programs = list(dict.fromkeys(program for row in rows for program in row.get("programs", {})))
    own = {key: title for key, title in _OWN.items() if any(key in row for row in rows)}
    head = [*names, *figures, *own.values(),
            *(title for program in programs for title in (f"{program} {theirs}", f"{program} / cubragg"))]
    lines = []
    for row in rows:
        line = [*name(row), f"failed: {row['failed']}"] if "failed" in row else [
            *name(row), *figure(row), *(spread(row[key]) if key in row else "" for key in own), *_others(row, programs)]
        lines.append(line + [""] * (len(head) - len(line)))
    return _table(head, lines)


def _others(row: Row, programs: Sequence[str]) -> list[str]:
    cells = []
    for name in programs:
        found = row["programs"].get(name)
        if found is None:
            cells += ["", ""]
        elif "failed" in found:
            cells += ["failed", found["failed"]]
        else:
            cells += [f"{found['render_s']:.3f}", spread(found["ratio"])]
    return cells


def growth_table(row: Row) -> str:
    """A sweep of one variant, one line a point."""
    lines = [[str(point["number"]), f"{point['render_s']:.5f}", spread(point["ratio"]) if "ratio" in point else "",
              f"{point['peak_MB']:.0f}"] for point in row["points"]]
    return _table([row["what"], "render s", "ratio to the line before", "peak MB"], lines)


def rule_table(rules: Sequence[Row]) -> str:
    """Rules with what was measured."""
    lines = [[rule["rule"], rule["variant"], f"{rule['from']} to {rule['to']} {rule['what']}", spread(rule["ratio"]),
              f"{rule['limit']:g}", "yes" if rule["holds"] else "NO"] for rule in rules]
    return _table(["rule", "backend", "measured", "ratio", "limit", "holds"], lines)


def factor_table(rows: Sequence[Row]) -> str:
    """Times of structure factors, one line a row."""
    names = ["task", "to A", "number", "seconds", "limit s", "holds", "process s", "peak MB"]
    lines = []
    for row in rows:
        figures = [f"failed: {row['failed']}", *[""] * 5] if "failed" in row else [
            f"{row['count']}", spread(row["seconds"]), f"{row['limit_s']:g}", "yes" if row["holds"] else "NO",
            f"{row['process_s']:.3f}", f"{row['peak_MB']:.0f}"]
        lines.append([row["what"], f"{row['resolution_A']:g}", *figures])
    return _table(names, lines)


def count_table(rows: Sequence[Row]) -> str:
    """Times of counts, one line a row."""
    lines = [[row["workload"], row["what"], spread(row["ns"]), spread(row["numpy_ns"]), spread(row["ratio"]),
              f"{row['limit']:g}", "yes" if row["holds"] else "NO"] for row in rows]
    return _table(["mean", "instructions", "ns", "NumPy ns", "NumPy / this", "at least", "holds"], lines)


def markdown(document: Document, title: str, plots: Sequence[str] = ()) -> str:
    """The whole document; ``plots`` are paths relative to it."""
    about, rows = document["machine"], rows_of(document)
    parts = [f"# {title}", ", ".join(f"{key}: {value}" for key, value in about.items() if value is not None)
             + f". Commit {document['commit']}; {document['settings']['runs']} runs.",
             f"    {document['command']}", _HEAD.strip()]
    parts += [f"- {sentence}" for sentence in document["skipped"]]
    sections = {section: [row for row in rows if row["section"] == section] for section in
                ("images", "batches", "growth", "factors", "counts")}
    if sections["images"]:
        parts += ["## Images", _BAND, image_table(sections["images"]), _flags(sections["images"])]
    if sections["batches"]:
        parts += ["## Batch of stills", _BATCH, batch_table(sections["batches"]), _flags(sections["batches"])]
    if sections["growth"]:
        parts += ["## Growth", *(f"![cost against {Path(plot).stem.split('-')[-1]}]({plot})" for plot in plots)]
    for row in sections["growth"]:
        parts += [f"### {row['workload']}, {row['variant']}",
                  f"failed: {row['failed']}" if "failed" in row else growth_table(row)]
    if sections["factors"]:
        parts += ["## Structure factors", _FACTORS, factor_table(sections["factors"])]
    if sections["counts"]:
        parts += ["## Counts", _COUNTS, count_table(sections["counts"])]
    if document.get("rules"):
        parts += ["## Rules", rule_table(document["rules"])]
    return "\n\n".join(parts) + "\n"


def _flags(rows: Sequence[Row]) -> str:
    lines = dict.fromkeys((row["workload"], row["flags"]) for row in rows)
    return "\n".join(f"- {name}: `{flags}`" for name, flags in lines)


def plot(document: Document, folder: Path, stem: str) -> list[Path]:
    """A picture of each sweep, where Matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return []
    written = []
    rows = [row for row in rows_of(document) if row["section"] == "growth" and "failed" not in row]
    for name in dict.fromkeys(row["workload"] for row in rows):
        figure = Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = figure.add_subplot()
        for row in rows:
            if row["workload"] == name:
                numbers = [point["number"] for point in row["points"]]
                axes.loglog(numbers, [point["render_s"] for point in row["points"]], "o-", label=row["variant"])
                axes.set_xlabel(row["what"])
        axes.set_ylabel("render time [s]")
        axes.set_aspect("equal", adjustable="datalim")  # proportional cost is a diagonal
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / f"{stem}-{name}.png")
        figure.savefig(written[-1], dpi=100)
    return written
