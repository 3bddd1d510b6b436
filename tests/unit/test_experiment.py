"""Experiments as values: equality, TOML and back, and what they refuse."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cubragg
from cubragg import (
    Beam,
    Channel,
    ConfigError,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Panel,
    Sampling,
    Source,
    StructureFactors,
)
from support.experiments import random_experiment, small_experiment
from support.messages import refusal


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


@pytest.mark.parametrize(("text", "says"), [
    ("beam = 3", ("beam", "3", "table")),
    ("[beem]\n", ("beem", "", "beam")),
    ("[beam]\nwavelenght_A = 1.0\n", ("beam.wavelenght_A", "", "beam.wavelength_A")),
    ("[beam]\nwavelength_A = 'x'\n", ("beam.wavelength_A", "x", "number")),
    ("[beam]\nwavelength_A = 0\n", ("beam.wavelength_A", "0 A", "wavelength")),
    ("[beam]\npolarized = 1\n", ("beam.polarized", "1", "true", "false")),
    ("[crystal]\n", ("crystal.cell", "", "unit cell", "-cell", "-mat")),
    ("[crystal]\ncell = 5\n", ("crystal.cell", "5.0", "6")),
    ("[crystal]\ncell = [5, 5]\n", ("crystal.cell", "2", "6")),
    ("[crystal]\ncell = [5, 5, 5, 90, 90, 90]\n", ("structure_factors.default_F", "", "structure factors", "-hkl")),
    ("[beam]\nsources = [{position = [1, 2]}]\n", ("beam.sources[1]", "2", "position", "3")),
    ("[beam]\nsources = [{position = [0, 0, 0]}]\n",
     ("beam.sources[1]", "", "crystal", "direction")),
    ("semantics = 'real'\n[crystal]\ncell = [5, 5, 5, 90, 90, 90]\n[structure_factors]\ndefault_F = 1\n",
     ("semantics", "real", "nanobragg", "physical")),
])
def test_bad_toml(text, says):
    with refusal(ConfigError, *says):
        Experiment.from_toml(text)


@pytest.mark.parametrize(("text", "says"), [
    ("[background]\nwater_um = '50'", ("background.water_um", "'50'", "number")),
    ("[background]\nwater_um = true", ("background.water_um", "True", "number")),
    ("[background]\nscatterers = 5", ("background.scatterers", "5", "tables")),
    ("[background]\nscatterers = [5]", ("background.scatterers[1]", "5", "table")),
    ("[response]\npsf = 'gauss'\npsf_fwhm_um = '80'", ("response.psf_fwhm_um", "'80'", "number")),
    ("[response]\nkind = 'integrating'\ngain_stages = 5", ("response.gain_stages", "5.0", "pairs", "photons")),
    ("[response]\nkind = 'integrating'\ngain_stages = [[10, 1], [5, 2]]",
     ("response.gain_stages", "10:1, 5:2", "increasing")),
    ("[response]\nchips = 5", ("response.chips", "5", "pairs", "pixels")),
    ("[response]\nchips = [1, 2]", ("response.chips", "(1, 2)", "pairs")),
    ("[response]\nchips = [[60.5, 97], [1, 1]]", ("response.chips", "", "whole")),
    ("[response]\nflat_field_sigma = 2", ("response.flat_field_sigma", "2", "< 1")),
    ("[response]\ncalibration_seed = true", ("response.calibration_seed", "True", "whole number")),
    ("[beam]\nspectrum = 5", ("beam.spectrum", "5", "tables")),
    ("[beam]\nspectrum = [1.0, 1.1]", ("beam.spectrum[1]", "1.0", "table")),
    ("[beam]\nspectrum = [{wavelength_A = '1'}]", ("beam.spectrum[1]", "'1'", "number")),
    ("[beam]\nsources = 5", ("beam.sources", "5", "tables")),
    ("[beam]\nsources = [{position = 1}]", ("beam.sources[1]", "1", "3 numbers")),
    ("[beam]\nsources = [{position = ['x', 0, 0]}]", ("beam.sources", "'x'", "number")),
    ("[beam]\ndivergence_mrad = '1'", ("beam.divergence_mrad", "'1'", "a number, or 2 numbers")),
    ("[goniometer]\naxes = 5", ("goniometer.axes", "5", "tables")),
    ("[beamstop]\nsize_mm = '2'", ("beamstop.size_mm", "'2'", "a number, or 2 numbers")),
    ("[beamstop]\nsize_mm = true", ("beamstop.size_mm", "True", "number")),
])
def test_wrong_types_in_toml(text, says):
    with refusal(ConfigError, *says):
        Experiment.from_toml(text + "\n[crystal]\ncell = [5, 5, 5, 90, 90, 90]\n[structure_factors]\ndefault_F = 1\n")


def test_text_that_is_not_toml():
    with refusal(ConfigError, "config", "", "TOML"):
        Experiment.from_toml("[beam")


def test_a_broken_packed_array():
    with refusal(ConfigError, "sampling.mask", "", "dtype", "shape", "zlib_base64"):
        Experiment.from_toml("[crystal]\ncell=[5,5,5,90,90,90]\n[sampling]\nmask = {dtype = '|b1', shape = [2, 2]}\n")


@pytest.mark.parametrize(("roi", "says"), [
    ((5, 2, 0, 3), ("sampling.roi", "5 2 0 3", "minimum")),
    ((0, 25, 0, 3), ("sampling.roi", "0 25 0 3", "0 to 23 fast", "0 to 19 slow")),
    ((0, 3, 20, 20), ("sampling.roi", "0 3 20 20", "0 to 23 fast", "0 to 19 slow")),
    ((0, 3, 2), ("sampling.roi", "3", "4")),
])
def test_bad_regions(roi, says):
    with refusal(ConfigError, *says):
        small_experiment(sampling={"roi": roi})


@pytest.mark.parametrize("roi", [(-1, -1, -1, -1), (0, 24, 0, 20), (0, 23, 0, 19)])
def test_regions_that_mean_everything(roi):
    assert small_experiment(sampling={"roi": roi}).sampling.region((20, 24)) == (0, 23, 0, 19)


def test_a_mask_of_another_size():
    with refusal(ConfigError, "sampling.mask", "12 x 10", "24 x 20"):
        small_experiment(sampling={"mask": np.ones((10, 12), dtype=bool)})


@pytest.mark.parametrize(("section", "settings", "says"), [
    (Beam, {"fluence": -1.0}, ("beam.fluence", "-1 photons/m^2", "fluence")),
    (Beam, {"flux": 1e12, "beamsize_mm": 0.0},
     ("beam.beamsize_mm", "0 mm", "flux", "size")),
    (Beam, {"dispersion_percent": 250.0}, ("beam.dispersion_percent", "250 %", "200 %")),
    (Beam, {"kahn_factor": math.inf},
     ("beam.kahn_factor", "inf", "finite")),
    (Beam, {"sources": (Source((1.0, 0.0, 0.0), 1.0, -1e-10),)},
     ("beam.sources[1]", "-1e-10 m", "wavelength")),
    (Goniometer, {"osc_deg": 0.0, "phi_step_deg": 1.0}, ("goniometer.osc_deg", "0 deg", "step", "-phisteps")),
    (Goniometer, {"phi_steps": -2}, ("goniometer.phi_steps", "-2", "steps")),
    (Sampling, {"oversample": -1}, ("sampling.oversample", "-1", "oversampl")),
    (Sampling, {"dmin_A": math.nan}, ("sampling.dmin_A", "nan A", "finite")),
])
def test_bad_values(section, settings, says):
    with refusal(ConfigError, *says):
        section(**settings)


@pytest.mark.requirement("AT-FLU-001")
def test_flux_overrules_fluence():
    beam = Beam(fluence=1.0, flux=1e12, exposure_s=0.1, beamsize_mm=0.03)
    assert beam.photons_per_m2() == pytest.approx(1e11 / 9e-10)
    assert dataclasses.replace(beam, flux=0.0).photons_per_m2() == 1.0


def test_a_divergence_grid_whose_points_are_all_cut():
    beam = Beam(hdiv_range_mrad=1.0, hdiv_step_mrad=10.0, hdiv_steps=2, vdiv_range_mrad=1.0, vdiv_step_mrad=10.0,
                vdiv_steps=2)
    table = beam.source_table((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    assert len(table.wavelength_m) == 1


def test_arrays_and_numpy_scalars_are_taken_as_tuples_and_numbers():
    def made(array, number):
        return Experiment(
            Crystal(cell=array((50.0, 60.0, 70.0, 90.0, 90.0, 90.0)), cells=array((5, 6, 7)),
                    misset_deg=array((1.0, 2.0, 3.0))),
            StructureFactors(default_F=number(100.0)),
            Beam(wavelength_A=number(1.25), direction=array((0.0, 0.0, -1.0))),
            Detector(panels=(Panel(12, 12, array((-6.0, -6.0, -100.0)), array((1.0, 0.0, 0.0)),
                                   array((0.0, 1.0, 0.0))),), shift_mm=array((1.0, 0.0, 0.0))))
    plain, arrays = made(tuple, float), made(np.array, np.float64)
    assert arrays == plain
    assert hash(arrays.crystal) == hash(plain.crystal)
    assert Experiment.from_toml(arrays.to_toml()) == plain
    matrix = Crystal(a_matrix=np.diag([0.02, 0.02, 0.01])).a_matrix
    assert matrix == ((0.02, 0.0, 0.0), (0.0, 0.02, 0.0), (0.0, 0.0, 0.01))


@pytest.mark.parametrize(("beam", "says"), [
    ({"exposure_s": 0.0}, ("beam.exposure_s", "0 s", "flux", "> 0 s")),
    ({"exposure_s": -1.0}, ("beam.exposure_s", "-1 s", "flux", "> 0 s")),
    ({"beamsize_mm": 0.0}, ("beam.beamsize_mm", "0 mm", "flux", "> 0 mm")),
    ({"beamsize_mm": -1.0}, ("beam.beamsize_mm", "-1 mm", "flux", "> 0 mm")),
])
def test_a_flux_without_photons_is_refused(beam, says):
    """In nanobragg semantics the fluence is used then, as in C."""
    with refusal(ConfigError, *says):
        small_experiment(semantics="physical", beam={"flux": 1e12, **beam})
    if beam != {"beamsize_mm": 0.0}:
        nanobragg = small_experiment(semantics="nanobragg", beam={"flux": 1e12, **beam}).beam
        assert nanobragg.photons_per_m2() == nanobragg.fluence


@pytest.mark.parametrize(("beam", "says"), [
    ({"fluence": 1e60}, ("beam.fluence", "1e+60", "3.4e+38")),
    ({"flux": 1e42, "exposure_s": 0.1}, ("beam.flux", "1e+42", "3.4e+38")),
])
def test_more_photons_than_a_pixel_holds_are_refused(beam, says):
    """Their background would be infinite, and not a number where it is 0."""
    with refusal(ConfigError, *says):
        small_experiment(semantics="physical", beam={"beamsize_mm": 0.1, **beam})
    small_experiment(semantics="nanobragg", beam={"beamsize_mm": 0.1, **beam})


@pytest.mark.parametrize(("parts", "where", "name"), [
    ({"crystal": StructureFactors(default_F=1.0)}, "crystal", "StructureFactors"), ({"beam": 3}, "beam", "int"),
    ({"background": None}, "background", "NoneType"), ({"response": "counting"}, "response", "str")])
def test_parts_of_another_class_are_refused(parts, where, name):
    with refusal(ConfigError, where, f"got {name}", "cubragg"):
        dataclasses.replace(small_experiment(semantics="physical"), **parts)


@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_an_experiment_is_shown_as_the_call_that_makes_it(semantics):
    names = {name: getattr(cubragg, name) for name in cubragg.__all__} | {"nan": math.nan, "inf": math.inf}
    for seed in range(20):
        drawn = random_experiment(seed, semantics=semantics)
        plain = dataclasses.replace(drawn, sampling=dataclasses.replace(drawn.sampling, mask=None),
                                    structure_factors=StructureFactors(default_F=float(seed + 1)))
        assert eval(repr(plain), names) == plain
    assert repr(Goniometer(phi_deg=10.0)) == "Goniometer(phi_deg=10.0)"


def test_arrays_and_long_lists_of_settings_are_shown_by_their_size():
    grid = StructureFactors(grid=np.ones((3, 4, 5)), origin=(1, 0, 0))
    assert repr(grid) == "StructureFactors(grid=<float64 [3, 4, 5]>, origin=(1, 0, 0))"
    beam = Beam(spectrum=tuple(Channel(1.0 + 0.001 * number, 1.0) for number in range(400)))
    assert "400 in all" in repr(beam)
    assert len(repr(beam)) < 200


#: Values of other types than any setting has, or of the wrong number, sign or shape.
_HOSTILE = [None, "a", 3, 2.5, [], (1, 2), np.zeros(2), np.zeros((2, 2)), object(), math.nan, math.inf, -1, True, {},
            b"x", (None, None, None), ("a", "b", "c"), ((1, 2), (3,)), 10**30, 1 + 1j, [1, 2, 3, 4, 5, 6, 7]]
_PARTS = {
    Crystal: {"cell": (40, 50, 60, 90, 90, 90)}, Beam: {}, Detector: {}, Goniometer: {}, Sampling: {},
    StructureFactors: {"default_F": 1.0}, cubragg.Background: {}, cubragg.Response: {},
    cubragg.BeamStop: {"size_mm": 1.0}}


@pytest.mark.parametrize("part", _PARTS, ids=lambda part: part.__name__)
def test_a_setting_of_any_other_type_is_refused_as_a_setting(part):
    """What is accepted can be written to TOML."""
    base = small_experiment(semantics="physical")
    section = {StructureFactors: "structure_factors"}.get(part, part.__name__.lower())
    for field in dataclasses.fields(part):
        for value in _HOSTILE:
            with contextlib.suppress(ConfigError):
                made = part(**{**_PARTS[part], field.name: value})
                dataclasses.replace(base, **{section: made}).to_toml()


@pytest.mark.parametrize(("make", "where", "value"), [
    (lambda: Crystal(cell=(40, 50, 60, 90, 90, 90), cells=10), "crystal.cells", "got 10"),
    (lambda: Beam(polarized="no"), "beam.polarized", "'no'"),
    (lambda: Beam(spectrum=Channel(1.0)), "beam.spectrum", "cubragg.Channel"),
    (lambda: Detector(panels=("panel",)), "detector.panels", "cubragg.Panel"),
    (lambda: Sampling(mask=np.ones(3)), "sampling.mask", "[slow, fast]"),
    (lambda: Sampling(roi=5), "sampling.roi", "got 5")])
def test_settings_of_another_form_name_what_is_accepted(make, where, value):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.where == where
    assert value in caught.value.what
