"""Plot how sampled images come closer to the analytic one: ``python scripts/analytic_convergence.py [FILE.png]``.

Images of 60 x 50 pixels of a Gaussian block with Gaussian mosaicity are sampled with 25 to 3,200 domains, each at a
spindle angle of its own, four times each. The difference is the root of the sum of squares over pixels, relative to
that of the image. Prints differences and fitted slopes; 1 / sqrt(domains) is a slope of -0.5. Needs matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from cubragg import (  # noqa: E402
    Beam,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    StructureFactors,
    simulate,
)
from cubragg.engine.host.host_engine import HostEngine  # noqa: E402
from support.analytic_model import gaussian_domains  # noqa: E402

COUNTS, RUNS = (25, 50, 100, 200, 400, 800, 1600, 3200), 4
PLOT = ROOT / "specs/benchmarks/plots/analytic-convergence.png"
CASES = {
    "still, 0.3 deg": (0.3, None, (20, 18, 15)), "0.5 deg image, 0.3 deg": (0.3, 0.5, (20, 18, 15)),
    "3 deg image, 0.2 x 1 x 0.5 deg, flat block": ((0.2, 1.0, 0.5), 3.0, (60, 40, 6)),
}


def experiment(mosaicity: float | tuple[float, float, float], osc: float | None, cells: tuple[int, int, int]
               ) -> Experiment:
    """The experiment of a case; F is 0 at 0 0 0, which the method analytic leaves out."""
    grid = np.full((3, 3, 3), 100.0)
    grid[1, 1, 1] = 0.0
    return Experiment(
        Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0), cells=cells, shape="gauss",
                mosaicity_deg=mosaicity), StructureFactors(100.0, grid, (-1, -1, -1)),
        Beam(wavelength_A=1.0, fluence=1e24, kahn_factor=0.9),
        Detector(distance_mm=120.0, pixel_size_mm=0.1, fast_pixels=60, slow_pixels=50), Goniometer(0.0, osc),
        Sampling(oversample=4), "physical")


def differences(case: Experiment) -> list[float]:
    """Differences for each of `COUNTS`."""
    analytic = np.asarray(simulate(case, method="analytic", backend="cpu"), dtype=np.float64)
    found = []
    for count in COUNTS:
        squares = [np.square(HostEngine(gaussian_domains(case, count, seed)).render(2) - analytic).sum()
                   for seed in range(RUNS)]
        found.append(float(np.sqrt(np.mean(squares) / np.square(analytic).sum())))
    return found


def main(arguments: list[str]) -> None:
    """Print the slopes, and write the plot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, case in CASES.items():
        found = differences(experiment(*case))
        slope = np.polyfit(np.log(COUNTS), np.log(found), 1)[0]
        print(f"{name:46s} slope {slope:+.3f}  " + "  ".join(f"{value:.4f}" for value in found), flush=True)
        axes.loglog(COUNTS, found, "o-", label=f"{name}: slope {slope:.2f}")
    axes.loglog(COUNTS, found[0] * np.sqrt(COUNTS[0] / np.array(COUNTS)), "k:", label="1 / sqrt(domains)")
    axes.set_xlabel("domains")
    axes.set_ylabel("sampled less analytic, relative")
    axes.legend(fontsize=8)
    path = Path(arguments[0]) if arguments else PLOT
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main(sys.argv[1:])
