"""Crystal shapes against published formulas, images of simtbx, and each other."""

from __future__ import annotations

import dataclasses
import math
import re
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cubragg import Beam, ConfigError, Crystal, Detector, Experiment, Sampling, StructureFactors
from cubragg.crystallography.shapes import SETTINGS, SHAPES, CoherentBlock, resolve_shape
from cubragg.crystallography.shapes.crystal_shape import FreshBuffers
from cubragg.crystallography.shapes.shape_gauss import GAUSS_WIDTH
from cubragg.crystallography.shapes.shape_gauss_star import GAUSS_STAR_FALL
from cubragg.crystallography.shapes.shape_round import PEAK
from cubragg.crystallography.shapes.shape_tophat import TOPHAT_RADIUS_SQR
from cubragg.device.kernel_source import kernel_folder
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference.numpy_engine import BLOCK_PIXELS, NumpyEngine
from cubragg.plan.make_plan import make_plan
from cubragg.plan.workspace import Workspace
from cubragg.run.render import simulate
from support.experiments import random_experiment, small_experiment
from support.messages import mentioned, refusal, states

CELLS = (8.0, 9.0, 7.0)
CELL = (50.0, 60.0, 70.0, 80.0, 95.0, 105.0)
#: Amplitudes of the reference block (cell above, 8 x 9 x 7 cells) by offset of the indices and fudge, computed by a
#: program of its own from the published formulas.
TABLE = {
    ((0.0, 0.0, 0.0), 1.0): {
        "square": 504.0, "round": 364.69503229736705, "gauss": 504.0, "tophat": 504.0, "nanobragg_gauss": 504.0,
        "nanobragg_tophat": 504.0, "gauss_star": 504.0},
    ((0.03, -0.02, 0.05), 1.0): {
        "square": 353.55268743771734, "round": 293.71971654120375, "gauss": 359.70155752890474, "tophat": 504.0,
        "nanobragg_gauss": 330.3588166600499, "nanobragg_tophat": 504.0, "gauss_star": 327.6952994628899},
    ((0.1, 0.0, 0.0), 1.0): {
        "square": 119.83312105318939, "round": 180.6382016493212, "gauss": 182.4914371505424, "tophat": 0.0,
        "nanobragg_gauss": 89.17241960640384, "nanobragg_tophat": 0.0, "gauss_star": 86.2610512607194},
    ((0.02, 0.02, -0.02), 1.0): {
        "square": 443.96810247472814, "round": 337.51698206115213, "gauss": 445.59107752154366, "tophat": 504.0,
        "nanobragg_gauss": 416.75885097878347, "nanobragg_tophat": 504.0, "gauss_star": 415.24351194483074},
    ((0.03, -0.02, 0.05), 2.0): {
        "square": 353.55268743771734, "round": 232.93933743442506, "gauss": 256.71668747761896, "tophat": 0.0,
        "nanobragg_gauss": 216.54156298616758, "nanobragg_tophat": 0.0, "gauss_star": 213.06390732157357},
}
#: Integral of the squared amplitude over index space by the number of cells; by the same program.
PHOTONS = {"square": 1.0, "round": 1.0, "gauss": 0.98444314621763, "tophat": 1.0473944243362228,
           "gauss_star": 0.7517084186919767, "nanobragg_gauss": 0.7734212018003648,
           "nanobragg_tophat": 0.8228784542221188}
#: Shapes with the formula of another one, which nanobragg semantics evaluates in another way.
PUBLISHED = {"nanobragg_round": "round"}
IMAGES = Path(__file__).resolve().parents[1] / "golden" / "data" / "simtbx_shapes.npz"


def block_of(cell=CELL, cells=CELLS, fudge=1.0) -> CoherentBlock:
    lattice = Crystal(cell=cell).lattice("physical")
    return CoherentBlock(cells, np.array((lattice.a_star, lattice.b_star, lattice.c_star)), fudge)


def amplitude(name: str, offset: np.ndarray, block: CoherentBlock) -> np.ndarray:
    return np.abs(SHAPES[name].amplitude(offset, np.zeros_like(offset), block, FreshBuffers()))


shapes = pytest.mark.parametrize("name", SHAPES)


# Amplitudes and integrals


@pytest.mark.requirement("AT-STR-020")
@shapes
@pytest.mark.parametrize(("offset", "fudge"), TABLE)
def test_amplitudes_of_the_published_formulas(name, offset, fudge):
    got = amplitude(name, np.array(offset)[:, None], block_of(fudge=fudge))[0]
    assert got == pytest.approx(TABLE[offset, fudge][PUBLISHED.get(name, name)], rel=1e-10)


@shapes
def test_a_node_has_the_peak(name):
    assert amplitude(name, np.zeros((3, 1)), block_of())[0] == pytest.approx(SHAPES[name].peak * 504.0, rel=1e-14)


@pytest.mark.parametrize("x", [1e-12, 1e-9, 3e-8, 1e-5, 1e-3, 0.1, 0.2499999, 0.2500001, 1.0])
def test_an_ellipsoid_is_exact_beside_its_node(x):
    """Against rational numbers; the closed form in double precision is wrong by 300 peaks at 1e-9."""
    place = Fraction(x)
    sine, cosine = (sum((-1) ** k * place ** (2 * k + odd) / math.factorial(2 * k + odd) for k in range(12))
                    for odd in (1, 0))
    exact = float(3 * (sine / place - cosine) / place**2)
    found = amplitude("round", np.array([[x / math.pi / 8.0], [0.0], [0.0]]), block_of())[0]
    assert found == pytest.approx(504.0 * PEAK * exact, rel=2e-14)


@pytest.mark.requirement("AT-STR-020")
@shapes
@pytest.mark.parametrize("fudge", [1.0, 1.7])
def test_integrals_of_the_published_formulas(name, fudge):
    growth = 1.0 if name == "square" else fudge**-1.5
    expected = PHOTONS[PUBLISHED.get(name, name)] * growth
    assert SHAPES[name].integral(block_of(fudge=fudge)) / 504.0 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [name for name in SHAPES if "round" not in name])
def test_the_integral_is_that_of_the_amplitude(name):
    """Over one reflection's cell, on a grid."""
    steps = (np.arange(80) + 0.5) / 80 - 0.5
    offset = np.array(np.meshgrid(steps, steps, steps)).reshape(3, -1)
    block = block_of(fudge=0.7)
    mean = (amplitude(name, offset, block) ** 2).mean()
    assert mean == pytest.approx(SHAPES[name].integral(block), rel=0.02 if "tophat" in name else 2e-3)


def test_the_integral_of_an_ellipsoid():
    """Along a radius r in units of 1 / N; 3 / (pi^2 r) of its rings lies beyond."""
    radius = np.arange(0.005, 1000.0, 0.01)
    block = block_of(cells=(2000.0,) * 3)
    profile = amplitude("round", np.array([radius / 2000.0, 0.0 * radius, 0.0 * radius]), block) / block.count
    assert (4.0 * math.pi * radius**2 * profile**2).sum() * 0.01 == pytest.approx(1.0, rel=4e-4)


@pytest.mark.parametrize(("name", "width"), [("gauss", 0.9345402332192718), ("square", 0.885893)])
def test_width_at_half_height_in_index(name, width):
    block = block_of(cells=(40.0, 1.0, 1.0))
    half = amplitude(name, np.array([[width / 40.0 / 2.0], [0.0], [0.0]]), block)[0] ** 2
    assert half == pytest.approx(40.0**2 / 2.0, rel=2e-3)


def test_width_at_half_height_of_spheres():
    block = block_of()
    edge = (504.0 * 199565.97874783713) ** (1.0 / 3.0)
    direction = np.array([0.6, 0.0, 0.8])
    offset = np.linalg.solve(block.stars.T, direction * 0.8541830079764711 / edge / 2.0)[:, None]
    assert amplitude("gauss_star", offset, block)[0] ** 2 == pytest.approx(504.0**2 / 2.0, rel=1e-9)


def test_spheres_do_not_depend_on_the_setting_of_the_cell():
    """A C-centred cell, and its primitive one with twice as many cells in the same block."""
    centred = block_of((60.0, 80.0, 50.0, 90.0, 100.0, 90.0), (6.0, 6.0, 6.0))
    axes = np.linalg.inv(centred.stars).T
    primitive = np.array([(axes[0] + axes[1]) / 2.0, (axes[1] - axes[0]) / 2.0, axes[2]])
    half = CoherentBlock((12.0, 6.0, 6.0), np.linalg.inv(primitive).T, 1.0)
    q = np.random.default_rng(1).uniform(-2e-3, 2e-3, (3, 50))
    both = [amplitude("gauss_star", cell @ q, block) / block.count for cell, block in
            ((axes, centred), (primitive, half))]
    np.testing.assert_allclose(*both, rtol=1e-12)
    ratio = [amplitude("gauss", cell @ q, block) / block.count for cell, block in ((axes, centred), (primitive, half))]
    assert np.abs(ratio[0] / ratio[1] - 1.0).max() > 0.01


def test_metrics_agree_for_a_cube():
    """Index space and reciprocal space differ by 1.9 x 0.63 in the exponent then."""
    block = block_of((50.0,) * 3 + (90.0,) * 3, (7.0,) * 3)
    offset = np.random.default_rng(2).uniform(-0.1, 0.1, (3, 50))
    index, star = (np.log(amplitude(name, offset, block) / 343.0) for name in ("gauss", "gauss_star"))
    np.testing.assert_allclose(star / index, 1.9 * 0.63, rtol=1e-10)


@shapes
def test_profiles_end_where_they_say(name):
    """Far outside the width the amplitude is below the share asked for; well inside it is not."""
    shape, block, share = SHAPES[name], block_of(cells=(12.0, 9.0, 10.0)), 1e-3
    directions = np.random.default_rng(3).normal(size=(3, 200))
    size = np.einsum("in,ij,jn->n", directions, shape.metric(block), directions)
    edge = directions * np.sqrt(shape.width_sqr(block, share) / size)
    edge = edge[:, np.abs(edge).max(axis=0) < 0.3]
    peak = (shape.peak * block.count) ** 2
    assert (amplitude(name, 1.3 * edge, block) ** 2 < 0.2 * peak).all()
    assert (amplitude(name, 0.2 * edge, block) ** 2 > share * peak).all()


# Names, semantics, kernels


def test_what_settings_mean_in_each_semantics():
    meaning = {(setting, semantics): resolve_shape(setting, semantics).name
               for setting in ("square", "round", "gauss", "tophat") for semantics in ("nanobragg", "physical")}
    assert meaning == {
        ("square", "nanobragg"): "square", ("square", "physical"): "square", ("round", "nanobragg"): "nanobragg_round",
        ("round", "physical"): "round", ("gauss", "nanobragg"): "nanobragg_gauss", ("gauss", "physical"): "gauss",
        ("tophat", "nanobragg"): "nanobragg_tophat", ("tophat", "physical"): "tophat"}
    assert set(SETTINGS) == {"square", "round", "gauss", "tophat", "gauss_star"}


def test_a_setting_means_one_shape():
    pairs = [(shape.setting, semantics) for shape in SHAPES.values() for semantics in shape.semantics]
    assert len(pairs) == len(set(pairs))


@pytest.mark.requirement("AT-STR-021")
def test_spheres_are_refused_in_nanobragg_semantics():
    with refusal(ConfigError, "crystal.shape", "gauss_star", "nanobragg", "physical"):
        small_experiment(crystal={"shape": "gauss_star"})
    plan = make_plan(small_experiment(crystal={"shape": "gauss_star"}, semantics="physical"))
    assert plan.crystal_shape == "gauss_star"


def test_every_shape_has_its_kernel():
    headers = {path.name for path in kernel_folder().iterdir() if re.match(r"shape_\w+\.cuh", path.name)}
    assert headers - {"shape_bounds.cuh"} == {f"shape_{name}.cuh" for name in SHAPES}


@pytest.mark.parametrize(("constant", "value"), [
    ("GAUSS_WIDTH", GAUSS_WIDTH), ("TOPHAT_RADIUS_SQR", TOPHAT_RADIUS_SQR), ("ROUND_PEAK", PEAK),
    ("GAUSS_STAR_FALL", GAUSS_STAR_FALL)])
def test_constants_of_the_kernels_are_numpys(constant, value):
    text = "\n".join(path.read_text() for path in kernel_folder().iterdir() if path.suffix == ".cuh")
    assert [float(found) for found in re.findall(rf"#define {constant} (\S+)", text)] == [value]


def test_no_shape_repeats_a_constant():
    root = Path(__file__).resolve().parents[2]
    files = [*(root / "kernels").glob("*.cu*"), *(root / "cubragg").rglob("*.py")]
    for number in (r"0\.63\b", r"0\.3969\b", r"0\.7236\d+"):
        code = [line for path in files for line in path.read_text().splitlines()
                if re.search(rf"(?:=|#define \w+) {number}", line)]
        assert len(code) == 2, code


# Images


@pytest.mark.requirement("AT-STR-020")
@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_images_of_simtbx(shape):
    """The nanoBragg class of simtbx (cctbx_project 8a8adcb6), in single precision; its detector is turned by half a
    turn about x."""
    a_matrix = np.linalg.inv([[39.08195869535125, -27.505861535217914, 14.697893921929026],
                              [-40.12661834994844, -39.677914687099374, -20.384248474762217],
                              [17.128683797544713, -0.8373452472301794, -67.86683316835015]])
    grid = np.full((25, 25, 25), 100.0)
    grid[12, 12, 12] = 0.0
    experiment = Experiment(
        Crystal(a_matrix=tuple(map(tuple, a_matrix.tolist())), cells=(8, 9, 7), shape=shape),
        StructureFactors(100.0, grid, (-12,) * 3), Beam(wavelength_A=1.0, fluence=1e20, polarized=False),
        Detector(convention="xds", pixel_size_mm=0.1, fast_pixels=64, slow_pixels=64, distance_mm=40.0, orgx=33.5,
                 orgy=33.5), sampling=Sampling(oversample=1, interpolate=False), semantics="physical")
    expected = np.load(IMAGES)[shape].astype(float)
    assert expected.max() > 5e-6
    for backend in ("numpy", "cpu"):
        np.testing.assert_allclose(simulate(experiment, backend=backend).photons, expected, rtol=2e-6,
                                   atol=1e-10 * expected.max())


@pytest.mark.requirement("AT-STR-020")
@pytest.mark.parametrize(("name", "semantics"), [
    (name, semantics) for name, shape in SHAPES.items() for semantics in shape.semantics])
def test_kernels_have_numpys_bits(name, semantics):
    """In double precision, on whatever can be rendered."""
    compared = 0
    for seed in range(30):
        experiment = random_experiment(seed, semantics)
        crystal = dataclasses.replace(experiment.crystal, shape=SHAPES[name].setting)
        try:
            plan = make_plan(dataclasses.replace(experiment, crystal=crystal))
        except ConfigError:
            continue
        assert plan.crystal_shape == name
        assert NumpyEngine(plan).render(1).tobytes() == HostEngine(plan, "double").render(1).tobytes(), seed
        compared += 1
    assert compared > 20


@pytest.mark.requirement("AT-PERF-013")
@shapes
@pytest.mark.parametrize("cells", [(8.0, 9.0, 7.0), (1.0, 1.0, 1.0)])
def test_amplitudes_are_computed_in_the_workspace(name, cells):
    """At most one new row: more are pages that glibc takes from the system at each orientation."""
    index = np.random.default_rng(1).uniform(-9.0, 9.0, (3, BLOCK_PIXELS))
    whole, block, work = np.rint(index), block_of(cells=cells), Workspace(BLOCK_PIXELS)
    SHAPES[name].amplitude(index, whole, block, work)
    tracemalloc.start()
    try:
        SHAPES[name].amplitude(index, whole, block, work)
        assert tracemalloc.get_traced_memory()[1] < 1.2 * index[0].nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.requirement("AT-STR-021")
@pytest.mark.parametrize("shape", ["gauss", "tophat"])
def test_nanobraggs_narrow_spots_are_warned_of(shape):
    """For lysozyme and 20 cells an edge a reflection keeps 0.00365 of its photons."""
    crystal = {"cell": (79.0, 79.0, 38.0, 90.0, 90.0, 90.0), "cells": (20, 20, 20), "shape": shape}
    warnings = make_plan(small_experiment(crystal=crystal)).warnings
    found, = (warning for warning in warnings if "narrow" in warning)
    states(found, shape, "", "spot", "--semantics physical")
    assert "0.003" in found
    for quiet in ({"semantics": "physical", "crystal": crystal}, {"crystal": {**crystal, "cells": (10, 10, 10)}},
                  {"crystal": {**crystal, "shape": "round"}}):
        assert not mentioned(make_plan(small_experiment(**quiet)).warnings, shape)
    assert math.prod((10, 10, 10)) ** 2 / (79.0 * 79.0 * 38.0) < 10.0
