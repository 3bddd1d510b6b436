#!/usr/bin/env python3
"""Time the labels of shots beside their images and truth, in one run.

    python scripts/label_bench.py FOLDER ... [--shots N] [--runs N]

Prints for the first shots of sets of stills the CPU time, with one thread, of the crystals' images, of their
reflections, and of the labels (boxes, mask and heat map) by the kernels and by NumPy; the least of some runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads wait busily

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks.cpu_time import least

import cubragg as cb
from cubragg.dataset.data_set import DataSet
from cubragg.reflections.pixel_labels import Labels, labels_of

#: Least photons of a reflection with labels.
LABEL_MIN = 10.0


def milliseconds(data: DataSet, number: int, runs: int) -> tuple[list[float], Labels]:
    """CPU times [ms] of image, reflections, and labels by the kernels and by NumPy, and the labels."""
    rendering = replace(data.rendering, threads=1)

    def rendered() -> None:
        data.shot(number, rendering).render()

    rendered()  # compiles
    shot = data.shot(number, rendering)
    shot.render()

    def labels(backend: str) -> Labels:
        found = (shot.labels_of(reflections, LABEL_MIN) if backend == "auto" else
                 labels_of(reflections.tables, shot.plan.shape, LABEL_MIN, 1, backend))
        _ = found.mask, found.heat, found.boxes, found.pixels, found.overlapped
        return found

    image_s, _ = least(rendered, runs)
    truth_s, reflections = least(lambda: shot.reflections_above(1.0), runs)
    labels("auto")
    kernel_s, found = least(lambda: labels("auto"), runs)
    analytic = data.rendering.method == "analytic"  # NumPy takes minutes for the method sampled
    numpy_s = least(lambda: labels("numpy"), 1)[0] if analytic else float("nan")
    return [1e3 * seconds for seconds in (image_s, truth_s, kernel_s, numpy_s)], found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print("| set | shot | image ms | truth ms | labels ms | labels / image | by NumPy ms | reflections | pixels |\n"
          f"{'|---' * 9}|")
    for folder in given.folders:
        data = cb.Stills.read(folder)
        for number in range(min(given.shots, len(data))):
            (image, truth, kernel, numpy), found = milliseconds(data, number, given.runs)
            print(f"| {folder.name} | {number} | {image:.1f} | {truth:.1f} | {kernel:.1f} | {kernel / image:.2f} | "
                  f"{numpy:.1f} | {found.reflections} | {len(found.row)} |", flush=True)


if __name__ == "__main__":
    main()
