"""Distributions of data sets against SciPy's, their independence, and the parser of functions of the shot."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

import cubragg as cb
from cubragg.crystallography.orientations import misset_angles, rotation_matrices
from cubragg.dataset.cell_draws import cells_of, tied, with_cell
from cubragg.dataset.draws import Draws, name_index
from cubragg.dataset.orientation_draws import orientations_of
from cubragg.dataset.shot_formula import parse_formula
from cubragg.errors import ConfigError
from cubragg.philox import Effect, uniforms

N = 20_000
SHOTS = np.arange(N)
#: A test of 1 in 1000 fails for a correct distribution; the seeds are fixed.
SIGNIFICANCE = 1e-3


def drawn(distribution, base=None, name="beam.flux", seed=7):
    return np.array(distribution.values(Draws(seed, SHOTS, name), base))


CONTINUOUS = [
    (cb.uniform(-2.0, 5.0), stats.uniform(-2.0, 7.0)),
    (cb.normal(1.3, 0.02), stats.norm(1.3, 0.02)),
    (cb.lognormal(0.005, 0.5), stats.lognorm(0.5, scale=0.005)),
    (cb.gamma(4.0, 1e24), stats.gamma(4.0, scale=1e24 / 4.0)),
    (cb.gamma(1.0), stats.expon()),
    (cb.gamma(0.3, 2.0), stats.gamma(0.3, scale=2.0 / 0.3)),
    (cb.gamma(300.0), stats.gamma(300.0, scale=1.0 / 300.0)),
]


@pytest.mark.parametrize(("distribution", "expected"), CONTINUOUS, ids=lambda one: getattr(one, "name", ""))
def test_continuous_distributions_are_scipys(distribution, expected):
    assert stats.kstest(drawn(distribution), expected.cdf).pvalue > SIGNIFICANCE


def test_relative_ones_are_factors_on_the_experiments_value():
    values = drawn(cb.normal(0.002, relative=True), base=79.0)
    assert stats.kstest(values, stats.norm(79.0, 0.002 * 79.0).cdf).pvalue > SIGNIFICANCE
    assert stats.kstest(drawn(cb.normal(0.5), base=79.0), stats.norm(79.0, 0.5).cdf).pvalue > SIGNIFICANCE
    assert stats.kstest(drawn(cb.gamma(4.0, relative=True), base=5.0), stats.gamma(4.0, scale=5 / 4).cdf
                        ).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("mean", [0.05, 1.2, 7.0, 40.0])
def test_poisson_is_scipys(mean):
    counts = np.array(cb.poisson(mean).values(Draws(3, SHOTS[:4000], "crystals"), None))
    bins = stats.poisson(mean).ppf(np.linspace(0.0, 1.0, 12)[1:-1])
    edges = np.array([-1.0, *np.unique(bins), np.inf])
    observed, _ = np.histogram(counts, np.concatenate([edges[:-1] + 0.5, [np.inf]]))
    expected = 4000 * np.diff([0.0, *stats.poisson(mean).cdf(edges[1:-1]), 1.0])
    assert stats.chisquare(observed, expected).pvalue > SIGNIFICANCE


def test_choice_has_its_weights():
    values = drawn(cb.choice([1.0, 2.0, 5.0], [1.0, 0.0, 3.0]))
    observed = [int((values == one).sum()) for one in (1.0, 2.0, 5.0)]
    assert observed[1] == 0
    assert stats.chisquare([observed[0], observed[2]], [N / 4, 3 * N / 4]).pvalue > SIGNIFICANCE


def test_a_draw_is_philoxs_of_seed_shot_and_name():
    draws = Draws(2**63 + 5, np.array([0, 3, 2**32 - 1]), "beam.wavelength_A")
    for place, shot in enumerate(draws.shots.tolist()):
        expected = uniforms(draws.seed, shot, Effect.PARAMETERS, [name_index(draws.name)], 2)[0]
        assert draws.uniforms(2)[place] == expected


@pytest.mark.parametrize("distribution", [one for one, _ in CONTINUOUS] + [cb.poisson(3.0), cb.choice(["a", "b"])])
def test_the_value_of_a_shot_depends_on_no_other(distribution):
    every = distribution.values(Draws(7, SHOTS[:200], "beam.flux"), None)
    backwards = distribution.values(Draws(7, SHOTS[:200][::-1], "beam.flux"), None)
    alone = [distribution.values(Draws(7, np.array([shot]), "beam.flux"), None)[0] for shot in range(200)]
    assert every == backwards[::-1] == alone


def test_shots_parameters_and_seeds_are_independent():
    one = drawn(cb.normal(0.0, 1.0))
    for other in (drawn(cb.normal(0.0, 1.0), name="beam.fluence"), drawn(cb.normal(0.0, 1.0), seed=8),
                  np.roll(one, 1), np.roll(one, 2)):
        assert stats.pearsonr(one, other).pvalue > SIGNIFICANCE
        table, _, _ = np.histogram2d(stats.norm.cdf(one), stats.norm.cdf(other), bins=8, range=[[0, 1], [0, 1]])
        assert stats.chi2_contingency(table).pvalue > SIGNIFICANCE


# Orientations

def orientations(distribution, misset=None, count=N):
    return rotation_matrices(orientations_of(distribution, Draws(11, SHOTS[:count], "crystal.orientation",
                                                                 Effect.ORIENTATION), misset))


def test_orientations_are_uniform_on_so3():
    """The rotation angle has the density (1 - cos a) / pi, and images of each axis are uniform on the sphere."""
    matrices = orientations(cb.uniform())
    angles = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0))
    assert stats.kstest(angles, lambda a: (a - np.sin(a)) / math.pi).pvalue > SIGNIFICANCE
    for axis in range(3):
        x, y, z = matrices[:, :, axis].T
        assert stats.kstest(z, stats.uniform(-1.0, 2.0).cdf).pvalue > SIGNIFICANCE
        assert stats.kstest(np.arctan2(y, x), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > SIGNIFICANCE
    left = rotation_matrices([(10.0, 20.0, 30.0)])[0]  # uniform, so the same after any rotation
    x, y, z = (left @ matrices)[:, :, 0].T
    assert stats.kstest(x, stats.uniform(-1.0, 2.0).cdf).pvalue > SIGNIFICANCE


def test_orientations_near_one_have_a_normal_rotation_vector():
    centre = (10.0, -40.0, 70.0)
    turns = orientations(cb.near(centre, sigma_deg=2.0)) @ rotation_matrices([centre])[0].T
    sine = np.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0],
                     turns[:, 1, 0] - turns[:, 0, 1]], axis=1) / 2.0
    length = np.linalg.norm(sine, axis=1)
    vector = sine / length[:, None] * np.degrees(np.arcsin(length))[:, None]
    for component in vector.T:
        assert stats.kstest(component, stats.norm(0.0, 2.0).cdf).pvalue > SIGNIFICANCE


def test_a_list_of_orientations_is_taken_in_order():
    matrices = cb.random_orientations(5, seed=3)
    listed = orientations(cb.table(matrices.reshape(5, 9)), count=5)
    np.testing.assert_allclose(listed, matrices, atol=1e-12)


def test_misset_angles_and_their_matrices_are_inverse():
    angles = np.array(misset_angles(cb.random_orientations(50, seed=1)))
    np.testing.assert_allclose(rotation_matrices(angles), cb.random_orientations(50, seed=1), atol=1e-12)


# Cells

@pytest.mark.parametrize(("cell", "same"), [
    ((79.0, 79.0, 38.0, 90.0, 90.0, 90.0), [0, 0, 2, None, None, None]),
    ((50.0, 50.0, 50.0, 90.0, 90.0, 90.0), [0, 0, 0, None, None, None]),
    ((50.0, 60.0, 70.0, 90.0, 95.0, 90.0), [0, 1, 2, None, 4, None]),
    ((50.0, 50.0, 90.0, 90.0, 90.0, 120.0), [0, 0, 2, None, None, None]),
    ((50.0, 50.0, 50.0, 70.0, 70.0, 70.0), [0, 0, 0, 3, 3, 3]),
    ((50.0, 60.0, 70.0, 80.0, 95.0, 105.0), [0, 1, 2, 3, 4, 5])])
def test_a_varied_cell_keeps_its_lattice(cell, same):
    assert tied(cell) == same
    cells = np.array(cells_of(cb.normal(0.002, relative=True), Draws(5, SHOTS[:2000], "crystal.cell"), cell))
    free = [place for place, tie in enumerate(same) if tie == place]
    for place, tie in enumerate(same):
        assert np.all(cells[:, place] == (cell[place] if tie is None else cells[:, tie]))
    for place in free:
        assert stats.kstest(cells[:, place] / cell[place], stats.norm(1.0, 0.002).cdf).pvalue > SIGNIFICANCE


def test_a_cell_varies_with_the_orientation_of_an_a_matrix():
    lattice = cb.Crystal(cell=(50, 60, 70, 80, 95, 105), misset_deg=(10, 20, 30)).lattice()
    matrix = np.array((lattice.a_star, lattice.b_star, lattice.c_star)).T
    turned = with_cell(cb.Crystal(a_matrix=matrix), (51, 60, 70, 80, 96, 105)).lattice()
    expected = cb.Crystal(cell=(51, 60, 70, 80, 96, 105), misset_deg=(10, 20, 30)).lattice()
    np.testing.assert_allclose(turned[:3], expected[:3], atol=1e-10)


# Functions of the shot

@pytest.mark.parametrize("text", [
    "exp(-0.001 * i)", "-i**2", "2**3**2", "(1 + i) * 2 - 3 / (4 - i)", "sqrt(i) + log(1 + i) - sin(i) * cos(i)",
    "1e-3*i", "-(-i)", "2 ** -i", "+i - - 1", ".5*i"])
def test_functions_of_the_shot_are_pythons(text):
    for i in (0.0, 1.0, 7.0):
        assert parse_formula(text)(i) == pytest.approx(eval(text, {**vars(math), "i": i}), rel=1e-15)


@pytest.mark.parametrize("text", [
    "", "i +", "(i", "i)", "import os", "__import__('os')", "i.real", "open('x')", "exp i", "j", "2 i", "1;2", "i // 2",
    "lambda: 1", "[i]", "exp(exp)", "(" * 60 + "i" + ")" * 60, "-" * 3000 + "i"])
def test_other_text_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        cb.of_shot(text)
    assert caught.value.where == "of_shot"


@pytest.mark.parametrize("text", ["log(i)", "1 / i", "sqrt(0 - 1 - i)", "exp(exp(exp(exp(9))))", "(0-1-i)**0.5"])
def test_a_function_without_a_value_is_refused(text):
    with pytest.raises(ConfigError, match="shot 0"):
        cb.of_shot(text).values(Draws(0, SHOTS[:3], "x"), None)


def test_distributions_travel_to_other_processes():
    draws = Draws(1, SHOTS[:3], "x")
    for one in (cb.of_shot("2*i"), cb.gamma(2.0), cb.table([1.0, 2.0, 3.0]), cb.normal(1.0, 2.0)):
        one.values(draws, None)
        assert pickle.loads(pickle.dumps(one)).values(draws, None) == one.values(draws, None)


# Tables of files

def test_columns_of_files(tmp_path):
    (tmp_path / "t.csv").write_text("# shots\nshot,distance\n0,100.5\n1,101\n")
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "b.npz", x=np.array([1.0, 2.0]))
    draws = Draws(0, np.array([0, 1]), "detector.distance_mm")
    assert cb.table(f"{tmp_path}/t.csv").values(draws, None) == [(0.0, 100.5), (1.0, 101.0)]
    for name in ("distance", "1"):
        assert cb.table(f"{tmp_path}/t.csv:{name}").values(draws, None) == [100.5, 101.0]
    assert cb.table(f"{tmp_path}/a.npy").values(draws, None) == [(0.0, 1.0, 2.0), (3.0, 4.0, 5.0)]
    assert cb.table(f"{tmp_path}/b.npz:x").values(draws, None) == [1.0, 2.0]
    with pytest.raises(ConfigError, match="shot 2"):
        cb.table(f"{tmp_path}/b.npz:x").values(Draws(0, np.array([2]), "x"), None)


@pytest.mark.parametrize(("named", "text", "where"), [
    ("t.csv:angle", "shot,distance\n0,1\n", "t.csv"), ("t.csv:distance", "shot,distance\n0,far\n", "t.csv, row 2"),
    ("t.csv:distance", "shot,distance\n0\n", "t.csv, row 2"), ("none.csv:x", "", "none.csv:x"),
    ("t.npy", "no array", "t.npy")])
def test_bad_columns_are_refused(tmp_path, named, text, where):
    path = tmp_path / named.partition(":")[0]
    if text:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        cb.table(f"{tmp_path}/{named}")
    assert caught.value.where == f"{tmp_path}/{where}"


@pytest.mark.parametrize("make", [
    lambda: cb.normal(), lambda: cb.normal(1.0, -1.0), lambda: cb.uniform(2.0, 1.0), lambda: cb.uniform(2.0),
    lambda: cb.lognormal(0.0, 1.0), lambda: cb.gamma(0.0), lambda: cb.choice([]), lambda: cb.choice([1, 2], [1]),
    lambda: cb.choice([1, 2], [0, 0]), lambda: cb.poisson(-1.0), lambda: cb.table([]), lambda: cb.table([np.nan]),
    lambda: cb.table(["a"]), lambda: cb.table([[1], [1, 2]]), lambda: cb.near(sigma_deg=-1.0)])
def test_distributions_that_are_none(make):
    with pytest.raises(ConfigError):
        make()


def test_a_table_has_orientations_in_any_form():
    matrices = cb.random_orientations(3, seed=2)
    scipy = pytest.importorskip("scipy.spatial.transform")
    for given in (matrices, matrices.reshape(3, 9), scipy.Rotation.from_matrix(matrices)):
        np.testing.assert_allclose(orientations(cb.table(given), count=3), matrices, atol=1e-12)
