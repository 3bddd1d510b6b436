"""Units that a geometry file of CrystFEL or an experiment list leaves out, or gets wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cubragg.io.geometry.sniff import read_models
from support.messages import states

DATA = Path(__file__).parents[1] / "data/geometry"


@pytest.mark.requirement("AT-FROM-073")
@pytest.mark.parametrize(("before", "after", "line", "assumed"), [
    ("clen = 0.0986", "clen = 98.6", 2, "98.6 mm"), ("photon_energy = 9060", "photon_energy = 9.06", 1, "9.06 keV"),
    ("photon_energy = 9060", "wavelength = 1.3685e-10", 1, "1.3685 A")])
def test_numbers_of_a_geom_file_in_another_unit(tmp_path, before, after, line, assumed):
    text = (DATA / "touch.geom").read_text()
    usual = read_models(DATA / "touch.geom")
    assert not usual.warnings
    (tmp_path / "a.geom").write_text(text.replace(before, after))
    models = read_models(tmp_path / "a.geom")
    warning, = models.warnings
    states(warning, f"{tmp_path}/a.geom:{line}", assumed, "implausible", "assumed")
    assert models.panels[0].origin_mm == pytest.approx(usual.panels[0].origin_mm)
    assert models.beam.wavelength_A == pytest.approx(usual.beam.wavelength_A, rel=1e-4)


@pytest.mark.requirement("AT-FROM-073")
def test_a_unit_that_is_written_is_taken(tmp_path):
    (tmp_path / "a.geom").write_text((DATA / "touch.geom").read_text().replace("9060", "9.06 eV"))
    models = read_models(tmp_path / "a.geom")
    assert (models.beam.wavelength_A, models.warnings) == (pytest.approx(1368.48, rel=1e-4), ())


@pytest.mark.requirement("AT-FROM-073")
def test_a_wavelength_in_metres_in_an_experiment_list(tmp_path):
    """As after a calibration of an electron microscope in the data files of DIALS."""
    document = json.loads((DATA / "still_scan0.expt").read_text())
    document["beam"][0]["wavelength"] = 2.5e-12
    (tmp_path / "a.expt").write_text(json.dumps(document))
    models = read_models(tmp_path / "a.expt")
    assert models.beam.wavelength_A == pytest.approx(0.025)
    states(models.warnings[0], f"{tmp_path}/a.expt.beam[0].wavelength", "0.025 A", "assumed")
