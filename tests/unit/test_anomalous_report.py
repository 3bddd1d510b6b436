"""Anomalous differences: the report's statistics of known data, and rendered ones against the model's."""

from __future__ import annotations

import re
from pathlib import Path

import gemmi
import numpy as np
import pytest

import cubragg as cb
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.io.atoms import read_model
from cubragg.reflections.reflection_table import Flags
from support.scripts import script

REPORT = script("anomalous_report")
CELL = gemmi.UnitCell(42.0, 47.0, 58.0, 90.0, 90.0, 90.0)
#: The mates of h k l > 0 in 222: three rotations change two signs each.
ROTATIONS = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])


def write_mtz(path: Path, rows: np.ndarray) -> None:
    """Write H, K, L and the columns that dials.merge writes of both mates, float32 [n, 9]."""
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup, mtz.cell = gemmi.SpaceGroup("P 1"), CELL
    mtz.add_dataset("merged")
    for name, kind in (("I(+)", "K"), ("SIGI(+)", "M"), ("N(+)", "I"), ("I(-)", "K"), ("SIGI(-)", "M"), ("N(-)", "I")):
        mtz.add_column(name, kind)
    mtz.set_data(rows.astype(np.float32))
    mtz.write_to_file(str(path))


@pytest.fixture
def measured(tmp_path):
    """``measured(noise)``: folder and merged file of amplitudes with random differences, each mate measured in two of
    four equivalent indices of 222, with errors of ``noise`` standard deviations of the differences."""

    def make(noise: float):
        random = np.random.default_rng(5)
        grid = random.gamma(2.0, 50.0, (25, 25, 25))
        np.savez(tmp_path / "structure_factors.npz", grid=grid, origin=np.array((-12, -12, -12)))
        hkl = np.array([index for index in np.ndindex(12, 12, 12) if all(index)])
        plus, minus = (grid[tuple((sign * hkl + 12).T)] ** 2 for sign in (1, -1))
        error = noise * np.std(plus - minus) * random.standard_normal(len(hkl))
        rows = []
        for number, (index, i_plus, i_minus) in enumerate(zip(hkl, plus + error, minus, strict=True)):
            # Weighted means of two values about the right one; the second is listed as a mate of negative indices.
            for rotation, shift, sigma in ((1, 2.0, 2.0), (2, -1.0, np.sqrt(2.0))):
                one = index * ROTATIONS[(number + rotation) % 4]
                pair = ((i_plus + shift, sigma, 2), (i_minus + shift, sigma, 1))
                rows.append((*(one if rotation == 1 else -one), *(pair if rotation == 1 else pair[::-1])))
        rows.append((0, 1, 2, (1.0, 1.0, 1), (5.0, 1.0, 1)))  # centric
        flat = np.array([[*row[:3], *row[3], *row[4]] for row in rows], dtype=np.float64)
        flat[0, 6:] = np.nan  # a mate that was not measured there
        write_mtz(tmp_path / "merged.mtz", flat)
        return tmp_path, tmp_path / "merged.mtz"

    return make


def test_mates_are_those_of_222_with_means_by_weight(measured):
    folder, merged = measured(0.0)
    cell, hkl, intensities, numbers = REPORT.mates(merged)
    assert cell.parameters == pytest.approx(CELL.parameters)
    assert len(hkl) == 11**3
    np.testing.assert_allclose(intensities[1:, 0], REPORT.amplitudes(folder, hkl[1:]) ** 2, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(intensities[1:, 1], REPORT.amplitudes(folder, -hkl[1:]) ** 2, rtol=1e-5, atol=1e-3)
    assert numbers[1:].tolist() == [[4.0, 2.0]] * (11**3 - 1)
    assert numbers[0].tolist() == [4.0, 1.0]


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_correlations_are_those_of_signal_and_noise(measured, noise):
    """CC = 1 / sqrt(1 + (noise / signal)^2), within what a sample of this size allows."""
    folder, merged = measured(noise)
    table = REPORT.report(folder, merged, 2)
    assert table.startswith("acentric reflections with both mates: 1331, each mate measured 3.0 times")
    rows = [[float(number) for number in re.findall(r"[\d.]+", line)] for line in table.splitlines()[3:]]
    assert [row[2] for row in rows] == [1331, 666, 666] or [row[2] for row in rows] == [1331, 666, 665]
    expected = 1.0 / np.sqrt(1.0 + noise**2)
    assert rows[0][3] == pytest.approx(expected, abs=1e-3 if noise == 0.0 else 0.04)


def test_rendered_pairs_have_the_differences_of_the_model(tmp_path):
    """Photons of h k l, and of -h -k -l half a turn later, are as the squares of the model's amplitudes."""
    text = (Path(cb.__file__).parent / "examples" / "helix_bundle.pdb").read_text()
    text = re.sub(r"^(ATOM.*) SD  MET(.*) S  $", r"\1SE   MSE\2SE  ", text, flags=re.MULTILINE)
    assert text.count("SE   MSE") > 1
    (tmp_path / "semet.pdb").write_text(text)
    model = read_model(tmp_path / "semet.pdb")
    hkl, amplitudes = structure_factors(model, 4.0, wavelength_A=0.97).expanded().rows()
    bragg = hkl.any(axis=1)
    of_index = dict(zip(map(tuple, hkl[bragg].tolist()), amplitudes[bragg].tolist(), strict=True))
    experiment = cb.Experiment(
        cb.Crystal(cell=model.cell, misset_deg=(10.0, 20.0, 30.0), block_size_um=0.5, size_mm=0.05, mosaicity_deg=0.1,
                   shape="gauss"),
        cb.StructureFactors.from_list(hkl[bragg], amplitudes[bragg]),
        cb.Beam(wavelength_A=0.97, flux=1e12, exposure_s=0.1, beamsize_mm=0.1),
        cb.Detector(distance_mm=120.0, pixel_size_mm=0.3, fast_pixels=200, slow_pixels=200))
    passages: dict[tuple[int, ...], np.ndarray] = {}
    for shot in cb.Sweep(experiment, images=10, osc_deg=0.5, inverse_beam_deg=5.0):
        (table,) = shot.reflections_above(1e-6).tables
        for index, flags, *sums in zip(table.hkl.tolist(), table.flags.tolist(), table.photons, table.partiality,
                                       strict=True):
            key = (*index, flags & Flags.ENTERING, flags & Flags.CUT)
            passages[key] = passages.get(key, np.zeros(2)) + sums
    pairs = []
    for (h, k, l, entering, cut), (photons, part) in passages.items():  # noqa: E741
        mate = passages.get((-h, -k, -l, entering, 0))
        if (h, k, l) > (0, 0, 0) and not cut and part > 0.999 and mate is not None and mate[1] > 0.999:
            pairs.append((photons / mate[0], of_index[h, k, l] ** 2 / of_index[-h, -k, -l] ** 2))
    found, true = np.array(pairs).T
    assert len(found) > 50
    assert np.std(true) > 0.03
    np.testing.assert_allclose(found, true, rtol=2e-3)
