"""Writes the report of a comparison: a folder with figures, previews and a self-contained HTML page."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from cubragg.compare import page, pictures
from cubragg.compare.comparison import Comparison
from cubragg.compare.metrics import Metrics
from cubragg.io.files.atomic import write_bytes
from cubragg.io.images.raw import write_float
from cubragg.view.png import png_bytes


def rows(metrics: Metrics) -> list[tuple[str, str]]:
    """The figures as (name, text), for a terminal and for the page."""
    fast, slow = metrics.max_difference_at
    found = [
        ("pixels compared", f"{metrics.pixels}"),
        ("correlation", f"{metrics.correlation:.12f}"),
        ("MSE", f"{metrics.mse:.6g}"),
        ("RMSE", f"{metrics.rmse:.6g}"),
        ("max difference", f"{metrics.max_difference:.6g} at {fast} {slow} (fast slow), "
                           f"{metrics.max_difference_of_max:.3g} of the maximum of B"),
        ("maximum A, B", f"{metrics.max_a:.9g}, {metrics.max_b:.9g}"),
        ("sum A, B", f"{metrics.sum_a:.9g}, {metrics.sum_b:.9g}"),
        ("sum ratio A/B", f"{metrics.sum_ratio:.10g}"),
        ("SSIM", f"{metrics.ssim:.10f}"),
        ("peaks A, B", f"{len(metrics.peaks_a)}, {len(metrics.peaks_b)}; {len(metrics.pairs)} matched"),
    ]
    if metrics.pairs:
        found.append(("peak distance", f"mean {metrics.mean_peak_distance:.3g}, "
                                       f"max {metrics.max_peak_distance:.3g} pixels"))
    if metrics.not_finite_a or metrics.not_finite_b:
        found.append(("not finite A, B", f"{metrics.not_finite_a}, {metrics.not_finite_b}; "
                                         f"{metrics.not_finite_apart} in one only"))
    return found


def folder_name(arguments: Sequence[str], when: datetime) -> str:
    """Name of the report folder: ``<date>-<time>-<hash of the command line>``."""
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()
    return f"{when:%Y%m%d-%H%M%S}-{digest[:10]}"


def write_report(out: Path | str, comparison: Comparison, *, when: datetime, version: str,
                 black: float | None = None, save_diff: bool = False) -> Path:
    """Write the report folder of a comparison into ``out`` and return its path.

    It contains ``summary.json``, ``report.html``, the previews ``a.png``, ``b.png`` and ``difference.png``, for
    images rendered by programs also ``a.bin`` and ``b.bin``, and ``difference.bin`` (A - B, floats) if
    ``save_diff``. It is written under a temporary name and renamed when it is complete.

    Parameters
    ----------
    out
        Parent folder, created if it does not exist.
    comparison
        The comparison.
    when
        Date in the name of the folder.
    version
        Version of cubragg, for the summary.
    black
        Value that is black in the previews; ``None``: chosen for both images as `cubragg view` does for one.
    save_diff
        Write the difference.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left behind.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=".cubragg-", dir=out))
    try:
        folder.chmod(0o755)
        _fill(folder, comparison, when, version, black, save_diff)
        return _renamed(folder, out / folder_name(comparison.arguments, when))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fill(folder: Path, comparison: Comparison, when: datetime, version: str, black: float | None,
          save_diff: bool) -> None:
    sides = {"a": comparison.a, "b": comparison.b}
    drawn = pictures.previews(comparison.pair, black)
    for name in (*sides, "difference"):
        write_bytes(folder / f"{name}.png", png_bytes(getattr(drawn, name)))
    floats = {name: side.pixels for name, side in sides.items() if side.command}
    if save_diff:
        with np.errstate(invalid="ignore"):  # inf - inf
            floats["difference"] = comparison.a.pixels - comparison.b.pixels
    for name, pixels in floats.items():
        with np.errstate(over="ignore"):  # large numbers become inf in single precision
            write_float(folder / f"{name}.bin", pixels.astype(np.float32))
    summary = {
        "cubragg": version, "date": when.isoformat(timespec="seconds"), "arguments": list(comparison.arguments),
        "a": comparison.a.to_dict(), "b": comparison.b.to_dict(), "roi": comparison.roi,
        "threshold": comparison.threshold, "passed": comparison.passed, "verdict": comparison.verdict,
        "notes": list(comparison.notes), "metrics": comparison.metrics.to_dict(),
    }
    write_bytes(folder / "summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    html = page.html(comparison, rows(comparison.metrics), drawn, when)
    write_bytes(folder / "report.html", html.encode())


def _renamed(folder: Path, final: Path) -> Path:
    """Rename ``folder`` to ``final``, or to the first of ``final-2``, ``final-3``, ... that does not exist."""
    number = 1
    while True:
        target = final if number == 1 else final.with_name(f"{final.name}-{number}")
        if not target.exists():
            os.rename(folder, target)
            return target
        number += 1
