"""Reflections near the sphere that are found once for the images of a rotation series."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import pickle
import weakref

import numpy as np
import pytest

from cubragg import Crystal, Detector, Experiment, Goniometer, StructureFactors, Sweep, render_series, simulate, uniform
from cubragg.dataset.wedges import Wedge
from cubragg.engine.analytic import passages, rotation_segments
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.passages import Passages, passage_of, passages_of, stretch_degrees, stretch_of
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.experiment.beam import Beam, Channel
from cubragg.experiment.goniometer_axes import GoniometerAxis
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan


def experiment(osc_deg: float = 0.1, phi_deg: float = 0.63, beam: dict | None = None, **crystal) -> Experiment:
    """A primitive triclinic crystal on 120 x 110 pixels, with images that are no divisors of a degree."""
    values = {"cell": (71.0, 64.0, 83.0, 95.0, 101.0, 88.0), "misset_deg": (12.0, 34.0, 56.0), "cells": (30, 25, 20),
              "shape": "gauss", "mosaicity_deg": 0.2}
    return Experiment(Crystal(**{**values, **crystal}), StructureFactors(100.0), Beam(wavelength_A=1.0, **(beam or {})),
                      Detector(distance_mm=80.0, pixel_size_mm=0.5, fast_pixels=120, slow_pixels=110),
                      Goniometer(phi_deg, osc_deg), semantics="physical")


def at(whole: Experiment, phi_deg: float) -> Experiment:
    return dataclasses.replace(whole, goniometer=dataclasses.replace(whole.goniometer, phi_deg=phi_deg))


SERIES = {
    "narrow images": (experiment(), 6), "across degrees": (experiment(0.37, -0.9), 5),
    "parts of a degree": (experiment(1.3, 2.6), 4), "strongly mosaic": (experiment(mosaicity_deg=(0.2, 2.0, 1.0)), 4),
    "a spectrum": (experiment(beam={"spectrum": (Channel(0.98, 2.0, 0.003), Channel(1.02, 1.0, 0.0))}), 4),
    "a divergent beam": (experiment(beam={"divergence_mrad": (1.0, 3.0), "bandwidth": 0.004}, strain=0.002), 4),
    "a crystal of a size": (experiment(size_mm=(0.3, 0.1, 0.2), offset_mm=(0.02, -0.01, 0.03)), 4),
}


def same_spots(one: Plan, other: Plan) -> bool:
    """Whether two plans have the same spots to the bit, of which their images are functions."""
    pairs = zip(SpotList(one).panels, SpotList(other).panels, strict=True)
    return all(first.records.tobytes() == second.records.tobytes() and np.array_equal(first.hkl, second.hkl)
               for first, second in pairs)


@pytest.mark.requirement("AT-ANA-010")
@pytest.mark.parametrize("name", SERIES)
def test_images_of_a_series_have_the_spots_of_single_ones(name):
    first, count = SERIES[name]
    start, step = first.goniometer.phi_deg, first.goniometer.osc_deg
    series = ImageSeries()
    for number in range(count):
        alone = make_plan(at(first, start + number * step), "analytic")
        assert same_spots(dataclasses.replace(alone, series=series), alone)
        assert len(SpotList(alone).panels[0]) > 20
    assert len(passages_of(series).stretches) > 0


@pytest.mark.requirement("AT-ANA-010")
def test_images_of_a_rendered_series_have_the_bits_of_single_ones():
    for number, image in enumerate(render_series(experiment(), 4, method="analytic", backend="numpy")):
        alone = simulate(at(experiment(), 0.63 + number * 0.1), method="analytic", backend="numpy")
        assert alone.plan.series is None
        assert image.photons.max() > 0.0
        assert np.array_equal(image.photons, alone.photons)
    assert len(passages_of(image.plan.series).stretches) == 2


@pytest.mark.requirement("AT-ANA-010")
def test_the_order_of_images_and_copies_of_a_data_set_change_no_bit():
    axes = GoniometerAxis("omega", (0.0, 0.0, -1.0)), GoniometerAxis("kappa", (-0.9, 0.2, 0.3))
    start = experiment()
    start = dataclasses.replace(start, goniometer=dataclasses.replace(start.goniometer, axes=axes, scan_axis="omega"))
    wedges = [Wedge(0.4, 4, 0.2), Wedge(10.0, 4, 0.2, angles_deg={"kappa": 40.0})]
    alone = [dataclasses.replace(shot.plan, series=None) for shot in Sweep(start, wedges=wedges)]
    assert not same_spots(alone[0], alone[4])
    data = Sweep(start, wedges=wedges)
    other = pickle.loads(pickle.dumps(data))
    assert other.rendering.series is not data.rendering.series
    assert copy.deepcopy(data).rendering.series is not data.rendering.series
    for number in (7, 0, 5, 2, 6, 1, 4, 3):
        assert same_spots(data[number].plan, alone[number])
        assert same_spots(other[number].plan, alone[number])
    assert len(passages_of(data.rendering.series).stretches) == 2
    assert len(passages_of(other.rendering.series).stretches) == 2


def spots_of(images: int, osc_deg: float) -> ImageSeries:
    """The series of images from phi = 0 on, whose spots have been found."""
    series = ImageSeries()
    for number in range(images):
        plan = make_plan(experiment(osc_deg, osc_deg * number), "analytic")
        assert SpotList(dataclasses.replace(plan, series=series)).panels
    return series


def searches(monkeypatch) -> list[tuple[float, float]]:
    """The ranges in which reflections are searched."""
    found: list[tuple[float, float]] = []

    def search(model, channel, longest, cell):
        found.append(cell)
        return rotation_segments.nodes_in_range(model, channel, longest, cell)

    monkeypatch.setattr(passages, "nodes_in_range", search)
    return found


@pytest.mark.requirement("AT-ANA-010")
def test_a_series_searches_once_for_many_images(monkeypatch):
    searched = searches(monkeypatch)
    spots_of(30, 0.05)
    degree = math.radians(1.0)
    # The first image by itself, then a whole degree, then the next.
    assert np.array(searched) / degree == pytest.approx(np.array([(0.0, 0.05), (0.0, 1.0), (1.0, 2.0)]))
    searched.clear()
    spots_of(6, 2.0)
    assert len(searched) == 2 + 2  # an image of two degrees, and stretches of ten


@pytest.mark.requirement("AT-ANA-010")
def test_stills_and_crystals_that_vary_are_searched_by_themselves(monkeypatch):
    searched = searches(monkeypatch)
    data = Sweep(experiment(0.1, 0.2), 4, 0.1, vary={"crystal.mosaicity_deg": uniform(0.1, 0.3)})
    for shot in data:
        assert SpotList(shot.plan).panels
    assert len(searched) == 4
    assert not passages_of(data.rendering.series).stretches
    model = dataclasses.replace(model_of(make_plan(experiment(), "analytic")), width=0.0)
    assert stretch_degrees(model, model.channels[0], 0.5) == 0


@pytest.mark.requirement("AT-ANA-010")
def test_what_is_kept_is_bounded_and_goes_with_the_series(monkeypatch):
    plan = make_plan(experiment(0.2, 0.0), "analytic")
    model = model_of(plan)
    count = len(stretch_of(model, model.channels[0], 0.45, 2, 0).hkl)
    monkeypatch.setattr(passages, "_MOST_KEPT", int(2.5 * count))
    series = spots_of(50, 0.2)
    kept = passages_of(series).stretches
    assert [number for _, _, number in kept] == [3, 4]  # of two degrees, the last ones
    list_of = weakref.ref(passages_of(series))
    del kept, plan, series
    gc.collect()
    assert list_of() is None
    monkeypatch.setattr(passages, "_MOST_NODES", 10)
    assert stretch_degrees(model, model.channels[0], 0.45) == 0


def test_crystals_that_are_remembered_are_few():
    known = Passages()
    model = model_of(make_plan(experiment(), "analytic"))
    for number in range(200):
        other = dataclasses.replace(model, strain=1e-5 * number)
        known.nodes(other, other.channels[0], 0.1, (0.0, 0.001))
    assert known.crystals <= 64


@pytest.mark.requirement("AT-ANA-010")
@pytest.mark.parametrize("seed", range(3))
def test_reflections_are_near_the_sphere_between_their_angles_only(seed):
    rng = np.random.default_rng(seed)
    spindle = rng.normal(size=3)
    spindle /= np.linalg.norm(spindle)
    model = dataclasses.replace(model_of(make_plan(experiment(mosaicity_deg=1.0), "analytic")), spindle=spindle)
    channel, = model.channels
    g = rng.normal(size=(300, 3))
    g *= rng.uniform(0.05, 0.6, (300, 1)) / np.linalg.norm(g, axis=1)[:, None]
    g[0] = 0.3 * spindle
    low, high = -0.4, 2.9
    enters, leaves = passage_of(model, channel, g, low, high)
    phi = np.linspace(low, high, 2001)
    s = np.array([rotation_segments.excitation(model, channel, g, np.full(300, angle)) for angle in phi])
    near = np.abs(s) < rotation_segments.reach_of(model, channel, np.linalg.norm(g, axis=1))
    passing = near.any(axis=0)
    assert 50 < passing.sum() < 300
    assert np.array_equal(passing, enters <= leaves)
    step = phi[1] - phi[0]
    assert np.all(np.abs(enters - phi[near.argmax(axis=0)])[passing] <= step)
    assert np.all(np.abs(leaves - phi[::-1][near[::-1].argmax(axis=0)])[passing] <= step)
