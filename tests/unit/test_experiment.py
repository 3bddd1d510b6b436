"""Experiments as values: equality, TOML and back, and what they refuse."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg import Beam, ConfigError, Detector, Experiment, Goniometer, Sampling, Source, StructureFactors
from support.experiments import random_experiment, small_experiment


@given(st.integers(0, 10**6), st.sampled_from(["nanobragg", "physical"]))
def test_toml_round_trip_is_exact(seed, semantics):
    experiment = random_experiment(seed, semantics)
    again = Experiment.from_toml(experiment.to_toml())
    assert again == experiment
    assert again.to_toml() == experiment.to_toml()


def test_infinite_attenuation_survives_toml():
    experiment = small_experiment(detector={"thickness_um": 300.0, "attenuation_um": math.inf})
    assert Experiment.from_toml(experiment.to_toml()) == experiment


def test_a_hand_written_file_with_defaults():
    experiment = Experiment.from_toml("""
        [crystal]
        cell = [50, 60, 70, 90, 90, 90]
        cells = [5, 5, 5]
        [structure_factors]
        default_F = 100
        [detector]
        distance_mm = 80
    """)
    assert experiment.detector == Detector(distance_mm=80.0)
    assert experiment.beam == Beam()
    assert isinstance(experiment.detector.distance_mm, float)


def test_experiments_that_differ_in_an_array_differ():
    mask = np.ones((20, 24), dtype=bool)
    masked = small_experiment(sampling={"mask": mask})
    assert masked == small_experiment(sampling={"mask": mask.copy()})
    mask[3, 4] = False
    assert masked != small_experiment(sampling={"mask": mask})
    assert masked != small_experiment()
    grid = StructureFactors(1.0, np.ones((2, 2, 2)))
    assert grid != StructureFactors(1.0, np.zeros((2, 2, 2)))
    assert grid != StructureFactors(1.0)


def test_arrays_are_taken_over_and_sealed():
    mask = np.ones((20, 24))
    sampling = Sampling(mask=mask)
    assert sampling.mask.dtype == bool
    with pytest.raises(ValueError, match="read-only"):
        sampling.mask[0, 0] = False


@pytest.mark.parametrize(("text", "message"), [
    ("beam = 3", "beam: got 3; it must be a table of settings"),
    ("[beem]\n", "beem: no such setting; did you mean beam?"),
    ("[beam]\nwavelenght_A = 1.0\n", "beam.wavelenght_A: no such setting; did you mean beam.wavelength_A?"),
    ("[beam]\nwavelength_A = 'x'\n", "beam.wavelength_A: got 'x'; wavelength must be a number"),
    ("[beam]\nwavelength_A = 0\n", "beam.wavelength_A: got 0 A; wavelength must be > 0 A"),
    ("[beam]\npolarized = 1\n", "beam.polarized: got 1; it must be true or false"),
    ("[crystal]\n", "crystal.cell: no unit cell; give a cell (-cell) or an orientation matrix (-mat)"),
    ("[crystal]\ncell = 5\n", "crystal.cell: got 5.0; the cell needs 6 numbers"),
    ("[crystal]\ncell = [5, 5]\n", "crystal.cell: got 2 numbers; the cell needs 6"),
    ("[crystal]\ncell = [5, 5, 5, 90, 90, 90]\n", "structure_factors.default_F: no structure factors: the image "
     "would be empty; give a list (-hkl) or a default_F other than 0"),
    ("[beam]\nsources = [{position = [1, 2]}]\n", "beam.sources[1]: got 2 numbers; a source position needs 3"),
    ("[beam]\nsources = [{position = [0, 0, 0]}]\n",
     "beam.sources[1]: got a source at the crystal; its position must have a direction"),
    ("semantics = 'real'\n[crystal]\ncell = [5, 5, 5, 90, 90, 90]\n[structure_factors]\ndefault_F = 1\n",
     "semantics: got 'real'; semantics must be one of nanobragg, physical"),
])
def test_bad_toml(text, message):
    with pytest.raises(ConfigError) as caught:
        Experiment.from_toml(text)
    assert str(caught.value) == message


def test_text_that_is_not_toml():
    with pytest.raises(ConfigError, match=r"^config: not TOML: "):
        Experiment.from_toml("[beam")


def test_a_broken_packed_array():
    with pytest.raises(ConfigError, match=r"^sampling.mask: not a packed array .* dtype, shape and zlib_base64$"):
        Experiment.from_toml("[crystal]\ncell=[5,5,5,90,90,90]\n[sampling]\nmask = {dtype = '|b1', shape = [2, 2]}\n")


@pytest.mark.parametrize(("roi", "message"), [
    ((5, 2, 0, 3), "sampling.roi: got 5 2 0 3; each minimum must be <= its maximum"),
    ((0, 25, 0, 3), "sampling.roi: got 0 25 0 3; the region of interest must lie on the detector, 0 to 23 fast and 0 "
     "to 19 slow"),
    ((0, 3, 20, 20), "sampling.roi: got 0 3 20 20; the region of interest must lie on the detector, "
     "0 to 23 fast and 0 to 19 slow"),
    ((0, 3, 2), "sampling.roi: got 3 numbers; a region of interest needs 4: fast_min fast_max slow_min slow_max"),
])
def test_bad_regions(roi, message):
    with pytest.raises(ConfigError) as caught:
        small_experiment(sampling={"roi": roi})
    assert str(caught.value) == message


@pytest.mark.parametrize("roi", [(-1, -1, -1, -1), (0, 24, 0, 20), (0, 23, 0, 19)])
def test_regions_that_mean_everything(roi):
    assert small_experiment(sampling={"roi": roi}).sampling.region((20, 24)) == (0, 23, 0, 19)


def test_a_mask_of_another_size():
    with pytest.raises(ConfigError) as caught:
        small_experiment(sampling={"mask": np.ones((10, 12), dtype=bool)})
    assert str(caught.value) == "sampling.mask: got a mask of 12 x 10 pixels; the detector has 24 x 20"


@pytest.mark.parametrize(("section", "settings", "message"), [
    (Beam, {"fluence": -1.0}, "beam.fluence: got -1 photons/m^2; fluence must be >= 0 photons/m^2"),
    (Beam, {"flux": 1e12, "beamsize_mm": 0.0},
     "beam.beamsize_mm: got 0 mm; with a flux the beam size must be > 0 mm"),
    (Beam, {"dispersion_percent": 250.0}, "beam.dispersion_percent: got 250 %; dispersion must be < 200 % "
     "to keep wavelengths positive"),
    (Beam, {"kahn_factor": math.inf},
     "beam.kahn_factor: got inf; the Kahn polarization factor must be a finite number"),
    (Beam, {"sources": (Source((1.0, 0.0, 0.0), 1.0, -1e-10),)},
     "beam.sources[1]: got -1e-10 m; a source wavelength must be > 0 m"),
    (Goniometer, {"osc_deg": 0.0, "phi_step_deg": 1.0}, "goniometer.osc_deg: got 0 deg with a phi step "
     "and no number of steps, so that there is nothing to render; give -phisteps or a range > 0 deg"),
    (Goniometer, {"phi_steps": -2}, "goniometer.phi_steps: got -2; the number of phi steps must be >= 0"),
    (Sampling, {"oversample": -1}, "sampling.oversample: got -1; oversampling must be >= 0"),
    (Sampling, {"dmin_A": math.nan}, "sampling.dmin_A: got nan A; dmin must be a finite number"),
])
def test_bad_values(section, settings, message):
    with pytest.raises(ConfigError) as caught:
        section(**settings)
    assert str(caught.value) == message


def test_flux_overrules_fluence():
    beam = Beam(fluence=1.0, flux=1e12, exposure_s=0.1, beamsize_mm=0.03)
    assert beam.photons_per_m2() == pytest.approx(1e11 / 9e-10)
    assert dataclasses.replace(beam, flux=0.0).photons_per_m2() == 1.0


def test_a_divergence_grid_whose_points_are_all_cut():
    beam = Beam(hdiv_range_mrad=1.0, hdiv_step_mrad=10.0, hdiv_steps=2, vdiv_range_mrad=1.0, vdiv_step_mrad=10.0,
                vdiv_steps=2)
    table = beam.source_table((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    assert len(table.wavelength_m) == 1
