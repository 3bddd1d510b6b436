"""Sweeps and stills in Python: sequences of shots, what varies, and what is refused before the first shot."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.draws import Draws
from cubragg.errors import ConfigError
from support.experiments import small_experiment
from support.messages import refusal

BASE = small_experiment(semantics="physical")
VARY = {"crystal.cell": cb.normal(0.002, relative=True), "beam.wavelength_A": cb.normal(1.5, 0.002),
        "distance_mm": cb.normal(0.5), "crystal.cells": cb.uniform(3, 8)}


def stills(n=5, **settings):
    return cb.Stills(BASE, **{"n": n, "seed": 7, "vary": VARY, **settings})


def test_a_data_set_is_a_sequence():
    data = stills()
    assert len(data) == 5
    assert [shot.number for shot in data] == [0, 1, 2, 3, 4]
    assert "shot 1: 1 crystal," in repr(data[1])
    assert data[-1].number == 4
    assert [shot.number for shot in data[1:4][::2]] == [1, 3]
    assert len(data[:3]) == 3
    assert "2 shots, 1 to 3, of <cubragg.Stills" in repr(data[1:4][::2])
    assert "0 shots" in repr(data[5:])
    for shots, length in ((data, 5), (data[1:4], 3)):
        with refusal(IndexError, "shot 5", f"{length} shots"):
            shots[5]
        for wrong in ("1", 1.0, [0, 1]):
            with refusal(TypeError, repr(wrong), "", "whole"):
                shots[wrong]


def test_a_shot_has_image_counts_reflections_and_parameters():
    shot = stills()[3]
    assert shot.counts.dtype == np.int32
    assert np.array_equal(shot.counts, shot.image.counts(7))
    assert set(shot.parameters) == {"crystal.cell", "beam.wavelength_A", "detector.distance_mm", "crystal.cells",
                                    "crystal.orientation"}
    assert shot.image.experiment.crystal.cell == shot.parameters["crystal.cell"]
    assert shot.image.experiment.crystal.cells == shot.parameters["crystal.cells"]
    photons = shot.reflections_above(0.0).photons.sum()
    assert photons == pytest.approx(float(shot.image.photons.sum()), rel=1e-5)


def test_a_shot_is_the_image_of_its_parameters():
    shot = stills(seed=2**64 - 1)[2]
    experiment = dataclasses.replace(
        BASE, crystal=dataclasses.replace(BASE.crystal, cell=shot.parameters["crystal.cell"],
                                          cells=shot.parameters["crystal.cells"],
                                          misset_deg=shot.parameters["crystal.orientation"]),
        beam=dataclasses.replace(BASE.beam, wavelength_A=shot.parameters["beam.wavelength_A"]),
        detector=dataclasses.replace(BASE.detector, distance_mm=shot.parameters["detector.distance_mm"]))
    assert np.array_equal(shot.image.photons, cb.simulate(experiment, method="analytic").photons)


def test_response_beam_stop_and_wobble_vary():
    base = dataclasses.replace(BASE, response=cb.Response(gain=2.0), beamstop=cb.BeamStop(1.0, 30.0),
                               background=cb.Background(constant=100.0))
    vary = {"response.gain": cb.choice([2.0, 3.0]), "beamstop.size_mm": cb.uniform(1.0, 4.0),
            "crystal.wobble_mm[1]": cb.uniform(0.0, 0.05), "crystal.wobble_phase_deg": cb.uniform(0.0, 360.0)}
    for shot in cb.Stills(base, n=4, seed=7, vary=vary):
        experiment = shot.image.experiment
        assert experiment.response.gain == shot.parameters["response.gain"]
        assert np.all(shot.counts % round(experiment.response.gain) == 0)
        assert experiment.beamstop.size_mm == shot.parameters["beamstop.size_mm"]
        phase, wobble = (shot.parameters[f"crystal.wobble_{name}"] for name in ("phase_deg", "mm[1]"))
        assert shot.image.plan.illumination.position[1] == pytest.approx(
            1e-3 * wobble * math.cos(math.radians(phase)), abs=1e-12)
    with pytest.raises(ConfigError, match="no beamstop"):
        stills(vary={"beamstop.size_mm": cb.uniform(1.0, 3.0)})


def test_a_shot_does_not_depend_on_number_order_or_other_parameters():
    few, many = stills(3), stills(1000)
    for number in (2, 0):
        assert few[number].parameters == many[number].parameters
        assert np.array_equal(few[number].counts, many[number].counts)
    more = stills(vary={**VARY, "beam.fluence": cb.gamma(4.0, relative=True)})
    fewer = stills(vary={"crystal.cell": VARY["crystal.cell"]})
    for name, value in fewer[1].parameters.items():
        assert more[1].parameters[name] == value


def test_shots_differ_in_noise_and_seeds_in_everything():
    data = stills(vary={"orientation": cb.constant((10.0, 20.0, 30.0))})
    assert np.array_equal(data[0].image.photons, data[1].image.photons)
    assert not np.array_equal(data[0].counts, data[1].counts)
    assert stills()[0].parameters != stills(seed=8)[0].parameters


# Sweeps

def test_a_sweep_is_the_series_of_its_images():
    base = dataclasses.replace(BASE, goniometer=cb.Goniometer(phi_deg=5.0, osc_deg=0.5))
    sweep = cb.Sweep(BASE, images=3, osc_deg=0.5, start_deg=5.0)
    for shot, image in zip(sweep, cb.render_series(base, 3, method="analytic"), strict=True):
        assert np.array_equal(shot.image.photons, image.photons)
        assert np.array_equal(shot.counts, image.counts(0))
    assert cb.Sweep(base, images=3).wedges == sweep.wedges
    assert cb.Sweep(base, wedges=[cb.Wedge(5.0, 3)]).wedges == sweep.wedges


def test_a_sweep_without_a_rotation_range_is_refused():
    still = dataclasses.replace(BASE, goniometer=cb.Goniometer())
    for settings in ({"images": 3}, {"wedges": [cb.Wedge(5.0, 3)]}):
        with pytest.raises(ConfigError) as caught:
            cb.Sweep(still, **settings)
        assert caught.value.where == "osc_deg"


@pytest.mark.parametrize("data", [cb.Stills, cb.Sweep])
def test_progress_is_that_of_the_shot_that_is_rendered(data):
    import pickle

    seen = []
    shots = data(dataclasses.replace(BASE, goniometer=cb.Goniometer(osc_deg=0.5)), 2,
                 progress=lambda done, pixels: seen.append((done, pixels)))
    shots[1].image  # noqa: B018
    assert seen[-1] == (shots[1].image.photons.size,) * 2
    # A lambda cannot be pickled; workers get none.
    assert pickle.loads(pickle.dumps(shots.rendering)).progress is None


def test_decay_multiplies_the_photons_of_the_crystal_only():
    base = dataclasses.replace(BASE, background=cb.Background(constant=3.0))
    plain, half = (cb.Sweep(base, 2, 0.5, vary=vary)[1].image.photons.astype(np.float64)
                   for vary in ({}, {"decay": cb.of_shot("exp(0 - log(2) * i)")}))
    np.testing.assert_allclose(half - 3.0, (plain - 3.0) / 2.0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dose", "d", "factor"), [(10.0, 2.0, 0.707106781), (10.0, 4.0, 0.840896415),
                                                   (5.0, 2.0, 0.840896415), (30.0, 2.0, 0.353553391)])
def test_dose_fades_intensities_after_howells(dose, d, factor):
    """Published: I / I0 = exp(-ln 2 D / (10 MGy/A d))."""
    from cubragg.dataset.shot import damaged

    factors = cb.StructureFactors.from_list(np.array([[0, 0, 0], [4, 0, 0]]), np.array([5.0, 10.0]))
    experiment = dataclasses.replace(BASE, crystal=cb.Crystal(cell=(4 * d, 30.0, 40.0, 90, 90, 90)),
                                     structure_factors=factors)
    grid = damaged(experiment, dose).grid
    assert grid[0, 0, 0] == 5.0
    assert (grid[4, 0, 0] / 10.0) ** 2 == pytest.approx(factor, rel=1e-8)


# Several crystals

def test_a_shot_of_several_crystals_is_the_sum_of_their_images():
    base = dataclasses.replace(BASE, background=cb.Background(constant=2.0))
    data = cb.Stills(base, 4, seed=3, vary={"crystal.cells": cb.uniform(3, 8), "beam.wavelength_A": cb.normal(0.01)},
                     crystals=3)
    shot = data[2]
    total = np.full(shot.image.photons.shape, 2.0)
    for place in range(3):
        suffix = f"#{place}" if place else ""
        crystal = dataclasses.replace(BASE.crystal, misset_deg=shot.parameters[f"crystal.orientation{suffix}"],
                                      cells=shot.parameters[f"crystal.cells{suffix}"])
        beam = dataclasses.replace(BASE.beam, wavelength_A=shot.parameters["beam.wavelength_A"])
        total += cb.simulate(dataclasses.replace(BASE, crystal=crystal, beam=beam), method="analytic").photons
    np.testing.assert_allclose(shot.image.photons, total, rtol=1e-5)
    assert len(shot.reflections.tables) == 3
    assert set(shot.reflections.crystal.tolist()) == {0, 1, 2}
    assert len(shot.reflections.as_dict()["h"]) == len(shot.reflections) == len(shot.reflections.to_pandas())


def test_crystals_are_poisson_and_blank_shots_have_none():
    data = cb.Stills(BASE, 400, seed=3, crystals=cb.poisson(1.2))
    counts = np.array([shot.parameters["crystals"] for shot in data])
    assert abs(counts.mean() - 1.2) < 4.0 * math.sqrt(1.2 / 400)
    blank = cb.Stills(BASE, 400, seed=3, blank=0.25)
    empty = [shot for shot in blank if not shot.crystals]
    assert abs(len(empty) - 100) < 4.0 * math.sqrt(400 * 0.25 * 0.75)
    assert not empty[0].image.photons.any()
    assert len(empty[0].reflections) == 0
    shown = next(shot for shot in blank if shot.crystals).reflections.as_dict()
    columns = empty[0].reflections.as_dict()
    assert {name: column.dtype for name, column in columns.items()} == {
        name: column.dtype for name, column in shown.items()}
    assert {len(column) for column in columns.values()} == {0}
    assert empty[0].reflections.hkl.shape == (0, 3)
    assert "of 0 crystals" in repr(empty[0].reflections)


def test_the_beam_centre_moves_the_image():
    shot = cb.Stills(BASE, 1, vary={"beam_centre_mm": cb.constant((5.0, 4.0))})[0]
    placed = shot.image.experiment.placed()
    spot = placed.panels[0].spot(placed.frame.beam)
    assert (spot.fast_px * 0.5, spot.slow_px * 0.5) == pytest.approx((5.0, 4.0))


def test_a_varied_fluence_replaces_the_flux():
    base = dataclasses.replace(BASE, beam=cb.Beam(wavelength_A=1.5, flux=1e12, beamsize_mm=0.1))
    shot = cb.Stills(base, 1, vary={"beam.fluence": cb.constant(1e25)})[0]
    assert shot.image.plan.fluence == 1e25


# What is refused before the first shot

@pytest.mark.parametrize(("settings", "where"), [
    ({"n": 0}, "n"), ({"n": 2**32}, "n"), ({"seed": -1}, "seed"), ({"seed": 1.5}, "seed"), ({"blank": 1.5}, "blank"),
    ({"crystals": -1}, "crystals"), ({"crystals": cb.uniform(0, 1)}, "crystals"),
    ({"vary": {"beam.wavelenth_A": cb.normal(0.1)}}, "vary beam.wavelenth_A"),
    ({"vary": {"structure_factors.grid": cb.constant(1)}}, "vary structure_factors.grid"),
    ({"vary": {"beam.wavelength_A": 1.5}}, "vary beam.wavelength_A"),
    ({"vary": {"crystal.size_mm": cb.normal(0.1)}}, "crystal.size_mm"),
    ({"vary": {"distance_mm": cb.normal(0.1), "detector.distance_mm": cb.normal(0.1)}}, "vary detector.distance_mm"),
    ({"vary": {"crystal.misset_deg[3]": cb.normal(0.1)}}, "vary crystal.misset_deg[3]"),
    ({"vary": {"beam.wavelength_A": cb.uniform()}}, "beam.wavelength_A"),
    ({"vary": {"orientation": cb.normal(1.0, 0.1)}}, "crystal.orientation"),
    ({"vary": {"crystal.cell": cb.normal(0.01, keep="volume")}}, "crystal.cell"),
    ({"vary": {"decay": cb.constant(-1.0)}}, "vary crystal.decay, shot 0"),
    ({"vary": {"crystal.shape": cb.constant("cube")}}, "vary crystal.shape, shot 0"),
    ({"vary": {"dose_MGy": cb.constant(1.0)}}, "vary crystal.dose_MGy, shot 0"),
    ({"vary": {"beam.wavelength_A": cb.table([1.0, 1.1])}}, "beam.wavelength_A"),
    ({"vary": {"beam.wavelength_A": cb.of_shot("log(3 - i)")}}, "of_shot"),
    ({"method": "guessed"}, "method"), ({"threads": 0}, "threads")])
def test_a_wrong_specification_is_refused_at_once(settings, where):
    with pytest.raises(ConfigError) as caught:
        stills(**settings)
    assert caught.value.where == where


def test_the_shot_of_an_impossible_value_is_named():
    values = np.array(cb.normal(0.02, 0.01).values(Draws(7, np.arange(1000), "crystal.mosaic_spread_deg"), None))
    with pytest.raises(ConfigError) as caught:
        cb.Stills(BASE, 1000, seed=7, vary={"crystal.mosaic_spread_deg": cb.normal(0.02, 0.01)})
    assert caught.value.where == f"vary crystal.mosaic_spread_deg, shot {values.argmin()}"


def test_nanobragg_semantics_and_wrong_rotations_are_refused():
    with pytest.raises(ConfigError, match="nanobragg"):
        cb.Stills(small_experiment(), 1)
    for settings, where in (({"images": 0, "osc_deg": 1.0}, "images"), ({"images": 1, "osc_deg": 0.0}, "osc_deg")):
        with pytest.raises(ConfigError) as caught:
            cb.Sweep(BASE, **settings)
        assert caught.value.where == where


def test_the_response_of_a_detector_by_name_varies():
    """What does not vary is the preset's."""
    experiment = dataclasses.replace(BASE, detector=cb.Detector.named("pilatus100k", distance_mm=100.0))
    data = cb.Stills(experiment, 3, vary={"response.flicker": cb.uniform(0.1, 0.2)})
    responses = [shot.image.experiment.response for shot in data]
    assert {response.count_cutoff for response in responses} == {cb.Response.preset("pilatus100k").count_cutoff}
    assert all(0.1 <= response.flicker <= 0.2 for response in responses)
    assert len({response.flicker for response in responses}) == 3
    ideal = cb.Stills(BASE, 1, vary={"response.flicker": cb.constant(0.1)})
    assert ideal[0].image.experiment.response == cb.Response(flicker=0.1)


@pytest.mark.parametrize("vary", [[1], {1: cb.normal(0.1)}, "beam.flux=normal:1"])
@pytest.mark.parametrize("data", [cb.Stills, cb.Sweep])
def test_what_varies_is_a_dictionary_by_name(data, vary):
    with pytest.raises(ConfigError, match="dictionary") as caught:
        data(dataclasses.replace(BASE, goniometer=cb.Goniometer(osc_deg=0.5)), 2, vary=vary)
    assert caught.value.where == "vary"


@pytest.mark.parametrize("call", [
    cb.simulate, cb.simulate_counts, cb.predict, lambda given: cb.render_series(given, 2),
    lambda given: list(cb.render_many(given, cb.random_orientations(1))), lambda given: cb.Stills(given, 1),
    lambda given: cb.Sweep(given, 1, 0.5)],
    ids=["simulate", "simulate_counts", "predict", "render_series", "render_many", "Stills", "Sweep"])
@pytest.mark.parametrize(("given", "name", "hint"), [
    ("experiment.toml", "str", "Experiment"), (cb.ExperimentParts(), "ExperimentParts", "complete()")])
def test_what_is_no_experiment_is_refused(call, given, name, hint):
    with refusal(ConfigError, "experiment", f"got {name}", hint):
        call(given)


def test_keywords_of_write_are_the_settings_of_a_folder():
    import inspect

    from cubragg.dataset.write_settings import WriteSettings

    given = {name: one.default for name, one in inspect.signature(cb.Stills.write).parameters.items()}
    made = WriteSettings()
    for one in dataclasses.fields(WriteSettings):
        assert WriteSettings(**{one.name: given[one.name]}) == made
    with pytest.raises(TypeError, match="label"):
        stills().write("nowhere", label=("mask",))


def test_a_shot_is_described_in_a_line():
    shot = cb.Stills(BASE, 1, vary={"beam.spectrum": cb.sase(0.002, spikes=15)})[0]
    assert "beam.spectrum 15 x 3 numbers, crystal.orientation (" in repr(shot)
    assert len(repr(shot)) < 150


@pytest.mark.parametrize("change", [{"n": 6}, {"seed": 8}, {"vary": {}}, {"crystals": 2}, {"blank": 0.5}])
def test_data_sets_of_the_same_shots_are_equal(change, tmp_path):
    import pickle

    data = stills(2)
    data.write(tmp_path, workers=1, truth=())
    assert data == stills(2) == pickle.loads(pickle.dumps(data)) == cb.Stills.read(tmp_path)
    assert data != stills(**{"n": 2, **change})
    assert data != cb.Sweep(dataclasses.replace(BASE, goniometer=cb.Goniometer(osc_deg=0.5)), 2)
    assert stills(2, method="sampled") == data
