"""A sweep of one command, which DIALS indexes without a cell, integrates and scales: cell, orientation, intensities."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import cubragg
from support.command import invoke
from support.dials import dials_python
from support.scripts import script

pytestmark = [pytest.mark.dials, pytest.mark.slow]

MODEL = Path(cubragg.__file__).parent / "examples" / "helix_bundle.pdb"


def test_dials_indexes_integrates_and_scales_a_sweep_of_one_command(tmp_path):
    dials_python()
    report = script("dials_report")
    folder, processed = tmp_path / "run", tmp_path / "dials"
    line = f"sweep {MODEL} --detector eiger2-1m --distance 100 --images 40 --osc 0.25 -o {folder} --quiet"
    assert invoke(line).exit_code == 0
    processed.mkdir()
    report.dials_route.process_sweep(folder / "master.nxs", processed, scale=True)
    result = report.sweep_report.sweep_result(folder, processed)

    assert result.lattice.same
    assert np.abs(result.lattice.cell_errors).max() < 5e-4  # 10 deg of a rotation
    assert result.lattice.orientation_deg < 0.02
    summed = result.integrated["sum"]
    assert len(summed.photons) > 1500
    # Absolute: integrated counts are the photons of the truth, but for what is outside DIALS's shoeboxes.
    assert summed.scale == pytest.approx(1.0, abs=0.01)
    # As the variances of DIALS, which count photons and background, in every shell: 1 within 4 / sqrt(n / 2).
    edges = report.sweep_report.edges_of_equal_counts(summed.d, 4)
    for low, high in itertools.pairwise(edges):
        shell = summed.of((summed.d >= low) & (summed.d < high))
        assert 0.75 < shell.chi2 < 1.27, (low, high)
        assert shell.counts.sum() / shell.photons.sum() == pytest.approx(summed.scale, abs=0.01)
    strong = result.merged.strong
    assert strong.sum() > 100
    assert result.merged.r_of_f(strong) < 0.025
