"""Each device function, compiled for the CPU: values known by hand, and its NumPy twin."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cubragg.crystallography.shapes import SHAPES
from cubragg.engine import kernel_params
from cubragg.engine.reference.factor_table import StructureFactorTable
from cubragg.engine.variant import Variant
from cubragg.plan.make_plan import make_plan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.workspace import Workspace
from support.device_functions import call
from support.experiments import random_grid, small_experiment

#: Units of the last place: polynomials of 8 (double) and 5 (single) terms, 4.5e-16 and 1.7e-7, and NumPy's own.
DOUBLE, SINGLE = 6 * 2.0**-53, 6 * 2.0**-24
REAL = {"double": DOUBLE, "mixed": SINGLE, "single": SINGLE}
precisions = pytest.mark.parametrize("precision", REAL)
shapes = pytest.mark.parametrize("shape", SHAPES)


def variant(precision="double", shape="square", factors="constant") -> Variant:
    return Variant(precision, shape, factors)


def close(got, expected, relative, absolute=0.0):
    assert (np.abs(got - expected) <= np.maximum(relative * np.abs(expected), absolute)).all()


# Elementary functions


@precisions
def test_sinpi_at_known_places(precision):
    x = np.array([0.0, 0.5, -0.5, 0.25, 1 / 6, 1e-100])
    got = call(variant(precision), "mathematics", 4, len(x), x)[0]
    tiny = math.pi * 1e-100 if precision == "double" else 0.0  # below single precision
    close(got, np.array([0.0, 1.0, -1.0, math.sqrt(0.5), 0.5, tiny]), REAL[precision])


@precisions
def test_sinpi_is_numpys(precision):
    x = np.random.default_rng(1).uniform(-0.5, 0.5, 5000)
    single = x.astype(np.float32).astype(float) if precision != "double" else x
    close(call(variant(precision), "mathematics", 4, len(x), single)[0], np.sin(np.pi * single), REAL[precision])


def test_sine_and_cosine():
    x = np.concatenate([np.random.default_rng(2).uniform(-1e4, 1e4, 5000), np.arange(-20, 20) * math.pi / 4, [1e-9]])
    _, sine, cosine, _ = call(variant(), "mathematics", 4, len(x), x)
    # Reduction of 1e4 radians leaves 1e-16 of the quarter turns.
    close(sine, np.sin(x), DOUBLE, 1e-15)
    close(cosine, np.cos(x), DOUBLE, 1e-15)


@precisions
def test_exponential(precision):
    low, high = (-745.2, 709.7) if precision == "double" else (-104.0, 88.7)
    x = np.concatenate([np.random.default_rng(3).uniform(low, high, 5000), [0.0, -1.0, 1.0, -1e9, low, high]])
    if precision != "double":
        x = x.astype(np.float32).astype(float)
    smallest = 5e-324 if precision == "double" else 1.5e-45  # below the normal numbers: half a step
    close(call(variant(precision), "mathematics", 4, len(x), x)[3], np.exp(x), REAL[precision], smallest)


def test_exponential_beyond_its_range():
    x = np.array([-745.1332191019412, -745.13321910194122, -746.0, 710.0, -math.inf, math.inf])
    got = call(variant(), "mathematics", 4, len(x), x)[3]
    assert got.tolist() == [*np.exp(x[:3]).tolist(), math.inf, 0.0, math.inf]


# Lattice amplitude


def crystal_plan(shape, cells=(5, 4, 3), fudge=1.0):
    crystal = {"shape": SHAPES[shape].setting, "cells": cells, "fudge": fudge}
    return make_plan(small_experiment(crystal=crystal, semantics=SHAPES[shape].semantics[0]))


def amplitudes(plan, precision, fractions):
    params = kernel_params.params_of(plan, plan.panels[0], precision)
    chosen = variant(precision, plan.crystal_shape)
    value, alive = call(chosen, "amplitudes", 2, fractions.shape[1], params, np.ascontiguousarray(fractions))
    if precision != "double" and not SHAPES[plan.crystal_shape].separable:
        value = value * math.prod(plan.cells)
    return value, alive != 0.0


@precisions
@shapes
def test_amplitude_at_a_node_is_the_number_of_cells(precision, shape):
    value, alive = amplitudes(crystal_plan(shape), precision, np.zeros((3, 1)))
    close(value, np.array([60.0 * (0.723601254558268 if "round" in shape else 1.0)]), REAL[precision])
    assert alive.all()


def test_square_amplitude_by_hand():
    # sin(3 pi / 4) / sin(pi / 4) = 1 along c (3 cells); 5 and 4 along a and b
    value, _ = amplitudes(crystal_plan("square"), "double", np.array([[0.0], [0.0], [0.25]]))
    close(np.abs(value), np.array([20.0]), DOUBLE)  # its sign is left out


def test_round_amplitude_by_hand():
    # pi x 5 x 0.1: 3 (sin x / x - cos x) / x^2 at x = pi / 2 is 24 / pi^3
    value, _ = amplitudes(crystal_plan("round"), "double", np.array([[0.1], [0.0], [0.0]]))
    close(value, np.array([60.0 * 0.723601254558268 * 24.0 / math.pi**3]), DOUBLE)


@precisions
@pytest.mark.parametrize("fudge", [1.0, 0.6])
@shapes
def test_amplitude_is_numpys(precision, shape, fudge):
    plan = crystal_plan(shape, fudge=fudge)
    fractions = np.random.default_rng(4).uniform(-0.5, 0.5, (3, 4000))
    if shape in ("nanobragg_gauss", "nanobragg_tophat"):
        fractions *= 0.1  # these spots are (Na Nb Nc)^2 times as sharp
    if precision != "double":
        fractions = fractions.astype(np.float32).astype(float)
    value, alive = amplitudes(plan, precision, fractions)
    expected = SHAPES[shape].amplitude(fractions, np.zeros_like(fractions), plan.block, Workspace(fractions.shape[1]))
    # Absolute errors are of the largest amplitude; a phase of N / 2 turns is known to N / 2 roundings.
    close(value, expected, 0.0, 60.0 * (1e-14 if precision == "double" else 4e-6))
    assert (alive == (expected != 0.0)).all()


# Geometry


GEOMETRIES = {
    "plain": {}, "tilted": {"rotx_deg": 12.0, "roty_deg": -7.0, "twotheta_deg": 20.0}, "point": {"point_pixel": True},
    "curved": {"curved": True}, "thick": {"thickness_um": 300.0, "attenuation_um": 200.0, "thick_steps": 4},
}


@precisions
@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometry_is_numpys(precision, name):
    plan = make_plan(small_experiment(detector=GEOMETRIES[name], beam={"kahn_factor": 0.8},
                                      sampling={"oversample": 3}))
    fast, slow = (places.ravel() for places in np.meshgrid(np.arange(24), np.arange(20)))
    layer, sub_fast, sub_slow = plan.panels[0].layers.count - 1, 1, 2
    places = np.array([fast, slow, *(np.full(len(fast), value) for value in (layer, sub_fast, sub_slow))], dtype=float)
    sources = kernel_params.sources_of(plan)
    params = kernel_params.params_of(plan, plan.panels[0], precision)
    path, x, y, z, omega, capture, polar = call(variant(precision), "geometry", 7, len(fast), params, places, sources)
    sub = SubPixels(plan, plan.panels[0], fast, slow, layer, sub_slow, sub_fast, Workspace(len(fast)))
    exact = precision != "single" and name != "curved"
    relative = 0.0 if exact else DOUBLE if precision != "single" else SINGLE
    close(path, sub.path, relative)
    close(np.array([x, y, z]), sub.direction, 0.0, relative)
    factor = 4 * REAL[precision]
    close(omega, sub.solid_angle(), factor)
    if name == "thick":
        close(capture, sub.capture_fraction(), 0.0, factor)
    close(polar, sub.polarization(tuple(plan.sources.incident[0].tolist())), factor)


def test_direct_beam_of_the_curved_detector():
    plan = make_plan(small_experiment(detector={"curved": True}))
    places = np.array([[0.0], [0.0], [0.0], [0.0], [0.0]])
    path = call(variant(), "geometry", 7, 1, kernel_params.params_of(plan, plan.panels[0], "double"), places,
                kernel_params.sources_of(plan))[0]
    close(path, np.array([plan.geometry.distance]), DOUBLE)  # every pixel of a cylinder is as far


# Structure factors


def test_structure_factors_are_numpys():
    factors = random_grid(np.random.default_rng(5), 4)
    experiment = small_experiment(sampling={"interpolate": True})
    plan = make_plan(dataclasses.replace(experiment, structure_factors=factors))
    numpys = StructureFactorTable(factors)
    hkl = np.random.default_rng(6).uniform(-7.0, 7.0, (3, 4000))
    hkl[:, :3] = [[0.5, -4.0, 2.0], [-0.5, 4.0, -2.0], [1.5, 0.0, 0.0]]
    params = kernel_params.params_of(plan, plan.panels[0], "double")
    entry, value, leaves = call(variant("double", "square", "tricubic"), "factors", 3, hkl.shape[1], params, hkl,
                                kernel_params.f2_grid_of(plan, "double"))
    whole = np.ceil(hkl - 0.5)
    assert (entry * entry == numpys.nearest_f2(whole, Workspace(hkl.shape[1]))).all()
    assert (leaves == numpys.leaves_grid(hkl)).all()
    inside = leaves == 0.0
    close(value[inside], numpys.interpolated(hkl[:, inside]), 0.0, 300.0 * 1e-14)


@precisions
def test_interpolation_meets_the_grid(precision):
    factors = random_grid(np.random.default_rng(7), 4)
    plan = make_plan(dataclasses.replace(small_experiment(sampling={"interpolate": True}), structure_factors=factors))
    params = kernel_params.params_of(plan, plan.panels[0], precision)
    scale = 60.0 if precision != "double" else 1.0  # what tables of square crystals are divided by
    hkl = np.array([[-2.0], [1.0], [0.0]])
    entry, value, leaves = call(variant(precision, "square", "tricubic"), "factors", 3, 1, params, hkl,
                                kernel_params.f2_grid_of(plan, precision))
    expected = factors.grid[2, 5, 4]
    close(scale * entry, expected, REAL[precision])
    close(scale * value, expected, REAL[precision])
    assert leaves[0] == 0.0
