"""Culling: no term above its bound is dropped, terms that are 0 change no bit, and what a tolerance costs."""

from __future__ import annotations

import dataclasses
import math
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubragg import Beam, ConfigError, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.crystallography.shapes import SHAPES
from cubragg.engine import cull_cost_model, kernel_params
from cubragg.engine import culling as rules
from cubragg.engine.cull_cost_model import TILES, kept_fraction, select_culling
from cubragg.engine.culling import Culling
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference import lattice
from cubragg.engine.reference.factor_table import StructureFactorTable
from cubragg.engine.variant import host_variant
from cubragg.plan.make_plan import make_plan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace
from support.device_functions import call
from support.experiments import random_experiment, small_experiment
from support.golden_set import arguments, cases
from support.marks import slow_after
from support.messages import refusal, states

#: CUBRAGG_CULLING_SEEDS=300 looks at so many random experiments, in all precisions and with every tile.
SEEDS = int(os.environ.get("CUBRAGG_CULLING_SEEDS", "0"))
#: Shapes whose spots are (Na Nb Nc)^2 times as sharp.
SHARP = ("nanobragg_gauss", "nanobragg_tophat")


# The bound


def random_cell(rng: random.Random) -> tuple[float, ...]:
    """Cubic to strongly triclinic."""
    kind = rng.choice(["cubic", "orthorhombic", "oblique", "strongly oblique"])
    edges = [rng.uniform(15, 150) for _ in range(3)]
    if kind == "cubic":
        return (edges[0],) * 3 + (90.0,) * 3
    spread = {"orthorhombic": 0.0, "oblique": 20.0, "strongly oblique": 50.0}[kind]
    while True:
        angles = [90.0 + rng.uniform(-spread, spread) for _ in range(3)]
        cosines = [math.cos(math.radians(angle)) for angle in angles]
        if 1.0 + 2.0 * math.prod(cosines) - sum(c * c for c in cosines) > 0.02:
            return (*edges, *angles)


def random_crystal(seed: int, shape: str) -> Plan:
    """Anything that matters to the bound."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    thick = rng.random() < 0.3
    small, compact = shape in SHARP, SHAPES[shape].compact
    cells = [rng.choice([1, 2, 5, 20, 100, 400]) for _ in range(3)]
    if not small and rng.random() < 0.4:  # then one index alone decides, and its bound is reached
        cells = [count if axis == seed % 3 else 1 for axis, count in enumerate(cells)]
    crystal = Crystal(
        cell=random_cell(rng), misset_deg=tuple(rng.uniform(-180, 180) for _ in range(3)),
        cells=tuple(min(count, 5) for count in cells) if small else tuple(cells), shape=SHAPES[shape].setting,
        fudge=rng.choice([1.0, 1e-3, 0.1, 0.0] if small else [1.0, 0.5, 0.01, 0.0] if compact else [1.0, 0.5, 2.0]),
        mosaic_spread_deg=rng.uniform(0.1, 3.0), mosaic_domains=4, mosaic_seed=seed + 1)
    beam = Beam(wavelength_A=rng.uniform(0.5, 3.0), hdiv_range_mrad=rng.choice([None, 5.0]), hdiv_steps=2,
                dispersion_percent=rng.choice([0.0, 2.0]), dispersion_steps=2)
    detector = Detector(
        convention=rng.choice(["mosflm", "xds", "dials"]), pixel_size_mm=10 ** rng.uniform(-1.5, 0.7), fast_pixels=64,
        slow_pixels=64, distance_mm=10 ** rng.uniform(1, 2.7), rotx_deg=rng.uniform(-40, 40),
        roty_deg=rng.uniform(-40, 40), twotheta_deg=rng.choice([0.0, rng.uniform(-60, 60)]),
        curved=rng.random() < 0.25, thickness_um=400.0 if thick else 0.0, attenuation_um=300.0 if thick else None,
        thick_steps=3 if thick else None)
    factors = StructureFactors(rng.choice([10.0, 100.0]))
    if rng.random() < 0.7:
        reach = rng.choice([2, 6, 25])
        side = 2 * reach + 1
        values = 10.0 ** numbers.uniform(-3, 3, (side,) * 3) * (numbers.random((side,) * 3) < rng.choice([0.05, 0.9]))
        factors = StructureFactors(rng.choice([0.0, 1.0]), values, (-reach,) * 3)
    sampling = Sampling(oversample=rng.choice([1, 2, 3]), interpolate=rng.random() < 0.3)
    return make_plan(Experiment(crystal, factors, beam, detector, Goniometer(5.0, 3.0, phi_steps=2), sampling,
                                rng.choice(SHAPES[shape].semantics)))


def contributions(plan: Plan, precision: str, tile: tuple[int, int], tolerance: float, first: tuple[int, int],
                  source: int) -> np.ndarray:
    """bool [orientation]: what the kernel would evaluate."""
    culling = Culling(True, tile, tolerance)
    params = kernel_params.params_of(plan, plan.panels[0], precision)
    for name, value in rules.struct_values(plan, precision, culling).items():
        params[name] = value
    variant = dataclasses.replace(host_variant(plan, precision), tile=tile, culled=True)
    count = plan.cell_axes.shape[0] * plan.cell_axes.shape[1]
    return call(variant, "contributions", 1, count, params, np.array(first, dtype=float),
                np.ascontiguousarray(kernel_params.sources_of(plan)[source]), kernel_params.f2_grid_of(plan, precision),
                rules.f2_bounds_of(plan), rules.cull_axes_of(plan))[0] != 0.0


def envelope(plan: Plan, index: np.ndarray, whole: np.ndarray, work: Workspace) -> np.ndarray:
    """The lattice amplitude [n], with every sine of a fringe at its largest: an error in an interval shows."""
    shape, cells, fraction = plan.crystal_shape, np.array(plan.cells)[:, None], index - whole
    if shape == "square":
        return (cells / np.maximum(cells * np.abs(np.sin(np.pi * fraction)), 1.0)).prod(axis=0)
    if "round" in shape:
        x = np.maximum(np.pi * np.sqrt(plan.fudge * ((fraction * cells) ** 2).sum(axis=0)), 1e-3)
        return math.prod(plan.cells) * 0.723601254558268 * np.minimum(3.0 * np.sqrt(1.0 + x * x) / x**3, 1.0)
    return SHAPES[shape].amplitude(index, whole, plan.block, work)


def largest_terms(plan: Plan, tile: tuple[int, int], first: tuple[int, int], source: int) -> np.ndarray:
    """The largest term of each orientation over all samples of a tile, in NumPy's double precision."""
    fast, slow = (axis.ravel().astype(float) for axis in np.meshgrid(
        np.arange(tile[0]) + first[0], np.arange(tile[1]) + first[1]))
    work, table, n = Workspace(len(fast)), plan.sources, plan.oversample
    incident, wavelength = tuple(table.incident[source].tolist()), float(table.wavelength_m[source])
    q = np.concatenate([
        SubPixels(plan, plan.panels[0], fast, slow, layer, i, j, work).scattering(incident, wavelength).copy()
        for layer in range(plan.panels[0].layers.count) for i in range(n) for j in range(n)], axis=1)
    factors = StructureFactorTable(plan.factors)
    work = Workspace(q.shape[1])
    largest = []
    for vectors in plan.cell_axes.reshape(-1, 3, 3):
        index = lattice.miller_indices(vectors, q, work)
        whole = lattice.nearest(index, work)
        amplitude = envelope(plan, index, whole, work)
        squares = np.full(q.shape[1], factors.constant) if factors.constant is not None else None
        if squares is None:
            squares = factors.nearest_f2(whole.copy(), work).copy()
            inside = ~factors.leaves_grid(index)
            if plan.interpolate:
                squares[inside] = np.maximum(squares[inside], factors.interpolated(index[:, inside]) ** 2)
        largest.append((squares * amplitude * amplitude).max())
    return np.array(largest)


def check_bound(seed: int, shape: str, precision: str, tile: tuple[int, int], tolerance: float) -> tuple[int, int]:
    """Dropped orientations, and all; every dropped term must be below the tolerance, or 0."""
    try:
        plan = random_crystal(seed, shape)
    except ConfigError:
        return 0, 0
    rng = random.Random(seed)
    peak = rules.largest_factor(plan) ** 2 * math.prod(plan.cells) ** 2
    dropped = total = 0
    for _ in range(6):
        first = rng.randrange(0, 60), rng.randrange(0, 60)
        source = rng.randrange(len(plan.sources.wavelength_m))
        kept = contributions(plan, precision, tile, tolerance, first, source)
        largest = largest_terms(plan, tile, first, source)
        if precision != "double" and SHAPES[shape].compact:  # terms without (Na Nb Nc)^2 that single precision makes 0
            largest[largest / math.prod(plan.cells) ** 2 < 2.0**-150] = 0.0
        assert (largest[~kept] <= tolerance * peak).all(), (seed, first, source)
        dropped, total = dropped + int((~kept).sum()), total + len(kept)
    return dropped, total


@pytest.mark.requirement("AT-CULL-002")
@pytest.mark.slow
@settings(max_examples=100)
@given(st.integers(0, 2**31), st.sampled_from(list(SHAPES)),
       st.sampled_from([0.0, 1e-30, 1e-12, 1e-8, 1e-5, 1e-2, 0.9]))
def test_no_dropped_term_is_above_its_bound(seed, shape, tolerance):
    check_bound(seed, shape, "double", (4, 4), tolerance)


@pytest.mark.requirement("AT-CULL-002")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("chunk", slow_after(1, range(4)))
def test_bound_on_random_crystals(shape, precision, chunk):
    tolerances = {seed: 0.0 if seed % 5 == 0 else 0.9 * 10.0 ** (-8.0 * (seed * 0.618 % 1.0))
                  for seed in range(chunk, SEEDS or 100, 4)}
    counts = [check_bound(seed, shape, precision, (4, 4), tolerance) for seed, tolerance in tolerances.items()]
    dropped, total = (sum(column) for column in zip(*counts, strict=True))
    assert dropped > 0.1 * total  # a bound that drops nothing holds always


@pytest.mark.requirement("AT-CULL-002")
def test_limits_are_the_largest_factors_around():
    plan = next(plan for seed in range(50) if (plan := random_crystal(seed, "square")).interpolate is False
                and plan.factors.grid is not None)
    factors, limits = plan.factors, rules.f2_bounds_of(plan)
    padded = np.pad(factors.grid, 3, constant_values=factors.default_F) ** 2 / rules.largest_factor(plan) ** 2
    expected = np.max([padded[i:i + limits.shape[0], j:j + limits.shape[1], k:k + limits.shape[2]]
                       for i in range(3) for j in range(3) for k in range(3)], axis=0)
    assert (limits >= expected).all()
    normal = expected > 1e-37
    assert (limits[normal] <= expected[normal] * (1 + 1e-5)).all()
    assert ((limits == 0.0) == (expected == 0.0)).all()


# Terms that are 0 change no bit


def renders_the_same(plan: Plan, precision: str, tile: tuple[int, int], name: object) -> None:
    if rules.obstacle(plan):
        return
    every, culled = (HostEngine(plan, precision, culling=Culling(True, tile, exact=exact)).render(2)
                     for exact in (False, True))
    assert every.tobytes() == culled.tobytes(), name
    if precision != "single":  # where tiles do not enter into the sum
        assert every.tobytes() == HostEngine(plan, precision, culling=Culling()).render(2).tobytes(), name


def precisions_and_tiles(number: int) -> list[tuple[str, tuple[int, int]]]:
    """All of them in a long run, else one in turn."""
    if SEEDS:
        return [(precision, tile) for precision in ("double", "mixed", "single") for tile in TILES["cpu"][::2]]
    return [(("double", "single")[number % 2], (4, 4))]


@pytest.mark.requirement("AT-CULL-001")
@pytest.mark.parametrize("case_id", cases())
def test_golden_images_keep_their_bits(case_id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a dump file left in the current one would be read
    plan = make_plan(build(parse(arguments(cases()[case_id]))).experiment)
    for precision, tile in precisions_and_tiles(list(cases()).index(case_id)):
        renders_the_same(plan, precision, tile, case_id)


@pytest.mark.requirement("AT-CULL-001")
@pytest.mark.parametrize("chunk", slow_after(1, range(10)))
def test_random_images_keep_their_bits(chunk):
    for seed in range(chunk, SEEDS or 50, 10):
        try:
            plan = make_plan(random_experiment(seed, ("nanobragg", "physical")[seed % 2]))
        except ConfigError:
            continue
        for precision, tile in precisions_and_tiles(seed // 2):
            renders_the_same(plan, precision, tile, seed)


@pytest.mark.requirement("AT-CULL-001")
@pytest.mark.parametrize(("domains", "steps"), [(700, 26), (1, 74)], ids=["domains", "sources"])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_more_words_than_a_tile_remembers(precision, domains, steps):
    """Then every sub-pixel asks again. Many sources alone do it with a hundredth of the terms."""
    crystal = Crystal(cell=(40.0, 50.0, 60.0, 90.0, 90.0, 90.0), cells=(6, 5, 4), shape="gauss", fudge=0.01,
                      mosaic_spread_deg=1.0, mosaic_domains=domains)
    beam = Beam(wavelength_A=1.0, hdiv_range_mrad=10.0, hdiv_steps=steps, vdiv_range_mrad=10.0, vdiv_steps=steps)
    detector = Detector(pixel_size_mm=0.5, fast_pixels=5, slow_pixels=6, distance_mm=80.0)
    plan = make_plan(Experiment(crystal, StructureFactors(100.0), beam, detector, sampling=Sampling(oversample=2),
                                semantics="nanobragg"))
    assert len(plan.sources.wavelength_m) * 2 * math.ceil(domains / 64) > 8192
    renders_the_same(plan, precision, (4, 4), precision)


def test_numpy_leaves_out_exponentials_of_0_only():
    fraction = np.random.default_rng(1).uniform(-0.5, 0.5, (3, 3000)) ** 3
    plan = make_plan(small_experiment(crystal={"shape": "gauss", "cells": (50, 40, 30)}))
    radius = ((plan.block.stars.T @ fraction) ** 2).sum(axis=0) * 3.6e9
    got = SHAPES["nanobragg_gauss"].amplitude(fraction, np.zeros_like(fraction), plan.block, Workspace(3000))
    assert 100 < np.count_nonzero(got) < 2900
    np.testing.assert_allclose(got, 6e4 * np.exp(-radius / 0.63), rtol=1e-11, atol=1e-318)


# What a tolerance costs


CELLS = {"cubic": (78.0, 78.0, 78.0, 90.0, 90.0, 90.0), "tetragonal": (79.0, 79.0, 38.0, 90.0, 90.0, 90.0),
         "hexagonal": (70.0, 70.0, 105.0, 90.0, 90.0, 120.0), "monoclinic": (45.0, 62.0, 81.0, 90.0, 112.0, 90.0),
         "triclinic": (58.0, 67.0, 74.0, 71.0, 82.0, 64.0)}


def reflections(rng: np.random.Generator, kind: str) -> StructureFactors:
    """Uniform amplitudes inside an ellipsoid, or those of random atoms: acentric, and weaker at high resolution."""
    reach = np.array((40, 40, 22))
    h, k, l = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")  # noqa: E741
    radius = (h / reach[0]) ** 2 + (k / reach[1]) ** 2 + (l / reach[2]) ** 2
    amplitude = rng.uniform(1.0, 300.0, h.shape) if kind == "uniform" else (
        rng.rayleigh(100.0, h.shape) * np.exp(-1.5 * radius))
    return StructureFactors(0.0, np.where(radius <= 1.0, amplitude, 0.0), tuple(int(-n) for n in reach))


def strong_spots(image: np.ndarray) -> list[tuple[int, int]]:
    """Largest pixels of 7 x 7 boxes, above 1e-3 of the maximum."""
    slow, fast = np.nonzero(image > 1e-3 * image.max())
    return [(s, f) for s, f in zip(slow.tolist(), fast.tolist(), strict=True)
            if image[s, f] >= image[max(s - 3, 0):s + 4, max(f - 3, 0):f + 4].max()]


def boxes(image: np.ndarray, spots: list[tuple[int, int]]) -> np.ndarray:
    return np.array([image[max(s - 3, 0):s + 4, max(f - 3, 0):f + 4].sum() for s, f in spots])


@pytest.mark.requirement("AT-CULL-003")
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("kind", ["uniform", "wilson"])
@pytest.mark.parametrize("name", CELLS)
def test_tolerance_keeps_totals_and_strong_spots(name, kind, tilted):
    """On W3 with a smaller detector: 1e-8 keeps totals to 1e-4 and strong spots to 2e-5, 1e-10 to 1e-5 and 2e-6."""
    crystal = Crystal(cell=CELLS[name], cells=(100, 100, 100), misset_deg=(10.0, 25.0, 40.0), mosaic_spread_deg=0.1,
                      mosaic_domains=10)
    tilts = {"rotx_deg": 12.0, "roty_deg": -8.0, "twotheta_deg": 15.0} if tilted else {}
    detector = Detector(pixel_size_mm=0.172, fast_pixels=400, slow_pixels=240, distance_mm=200.0, **tilts)
    plan = make_plan(Experiment(crystal, reflections(np.random.default_rng(5), kind), Beam(wavelength_A=1.0), detector,
                                Goniometer(0.1, 0.1, phi_steps=3), Sampling(oversample=2)))
    every, *culled = (HostEngine(plan, "double", culling=how).render(2).astype(float)
                      for how in (Culling(), Culling(True, (4, 4), 1e-8), Culling(True, (4, 4), 1e-10)))
    spots = strong_spots(every)
    assert len(spots) > 10
    for image, total, spot in zip(culled, (1e-4, 1e-5), (2e-5, 2e-6), strict=True):
        assert (image <= every * (1.0 + 1e-6)).all()  # nothing is added
        assert abs(image.sum() / every.sum() - 1.0) <= total
        assert np.abs(boxes(image, spots) / boxes(every, spots) - 1.0).max() <= spot


@pytest.mark.requirement("AT-CULL-005")
@pytest.mark.parametrize("value", [-1e-9, 1.0, math.nan, math.inf])
def test_tolerances_out_of_range(value):
    from cubragg import simulate

    with refusal(ConfigError, "cull", f"{value:g}", "tolerance"):
        simulate(random_experiment(1), cull=value)


# The choice


def workload_experiment(shape="square", grid=False, size=512, semantics="nanobragg", **sections) -> Experiment:
    crystal = Crystal(cell=(79.0, 79.0, 38.0, 90.0, 90.0, 90.0), cells=(100, 100, 100) if shape == "square" else
                      (20, 20, 20), shape=shape, mosaic_spread_deg=0.5, mosaic_domains=sections.pop("domains", 50))
    factors = reflections(np.random.default_rng(1), "uniform") if grid else StructureFactors(100.0)
    if semantics == "physical":
        # 0 0 0 as bright as the others: without it the middle of the detector would be left out.
        factors = dataclasses.replace(factors, F000=float(factors.at(np.zeros((1, 3), dtype=np.int64))[0]))
    return Experiment(
        crystal, factors, Beam(wavelength_A=1.0), Detector(pixel_size_mm=0.172, fast_pixels=size, slow_pixels=size,
                                                           distance_mm=200.0),
        Goniometer(0.1, 0.1, phi_steps=4), Sampling(oversample=sections.pop("oversample", 2), **sections), semantics)


def workload(*args, **kwargs) -> Plan:
    return make_plan(workload_experiment(*args, **kwargs))


@pytest.mark.requirement("AT-CULL-004")
def test_small_work_is_not_asked_about():
    states(select_culling(workload(domains=1, oversample=1), "cpu", "double", 1e-8).why, "", "", "term")
    assert not select_culling(workload(size=16), "cpu", "double", 1e-8).culled
    states(select_culling(workload(), "cpu", "double").why, "", "", "constant structure factor")
    states(select_culling(workload(grid=True, oversample_omega=True), "cpu", "double").why, "", "", "multipl", "sum")


@pytest.mark.requirement("AT-CULL-004")
def test_a_few_terms_are_asked_about_where_most_may_go():
    few = {"domains": 2, "oversample": 1, "size": 1024}
    compact, listed = workload("gauss", **few), workload(grid=True, **few)
    assert select_culling(compact, "cpu", "double").culled
    for why in (select_culling(compact, "cuda", "double").why, select_culling(listed, "cpu", "double", 1e-8).why):
        states(why, "8 terms", "", "pixel")
    few_terms = select_culling(workload("gauss", domains=1, size=512, oversample=1), "cpu", "double")
    states(few_terms.why, "1.05e+06 terms", "", "few")


def test_larger_tiles_are_not_looked_at_where_small_ones_keep_all(monkeypatch):
    looked = []
    monkeypatch.setattr(cull_cost_model, "kept_fraction",
                        lambda plan, panel, tile, *tables: looked.append(tile) or 0.95)
    chosen = select_culling(workload(grid=True), "cpu", "double")
    assert (chosen.culled, looked) == (False, [(4, 4)])
    states(chosen.why, "4 x 4 pixels", "95 %", "terms")


COMPACT = [name for name, shape in SHAPES.items() if shape.compact]


@pytest.mark.requirement("AT-CULL-004")
@pytest.mark.parametrize("shape", COMPACT)
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_compact_shapes_are_culled(backend, shape):
    """Without a tolerance those whose terms are mostly 0: a Gaussian of 20 cells is 0 nowhere."""
    plan = workload(SHAPES[shape].setting, semantics=SHAPES[shape].semantics[0])
    chosen = select_culling(plan, backend, "double", 1e-8 if shape in ("gauss", "gauss_star") else 0.0)
    assert chosen.culled
    assert chosen.tile in TILES[backend]
    assert 0.0 < chosen.kept_fraction < 0.3


@pytest.mark.requirement("AT-CULL-004")
@pytest.mark.parametrize("shape", slow_after(2, ["square", *COMPACT]))
def test_the_estimate_is_near_what_the_kernel_keeps(shape):
    plan = workload(SHAPES[shape].setting, grid=True, semantics=SHAPES[shape].semantics[0])
    for tile in ((4, 4), (8, 8)):
        values = rules.struct_values(plan, "double", Culling(tolerance=1e-8))
        estimate = kept_fraction(plan, plan.panels[0], tile, rules.f2_bounds_of(plan), rules.cull_axes_of(plan), values)
        rng = random.Random(1)
        kept = np.mean([contributions(plan, "double", tile, 1e-8, (rng.randrange(500), rng.randrange(500)), 0).mean()
                        for _ in range(300)])
        # Few of the terms looked at are kept: 1 % is their scatter.
        assert estimate == pytest.approx(kept, rel=0.4, abs=0.01)


def test_the_estimate_of_a_shape_with_neither_radius_nor_weakening(monkeypatch):
    """Nothing but the F2 upper bound is known then, one number for a constant structure factor."""
    monkeypatch.setattr(type(SHAPES["gauss"]), "cutoff", lambda self, decay: math.inf)
    plan = workload("gauss", semantics="physical")
    values = rules.struct_values(plan, "double", Culling(tolerance=1e-8))
    estimate = kept_fraction(plan, plan.panels[0], (4, 4), rules.f2_bounds_of(plan), rules.cull_axes_of(plan), values)
    assert estimate == 1.0


@pytest.mark.requirement("AT-CULL-004")
def test_the_choice_is_reported_and_made_again_with_the_plan():
    experiment = workload_experiment("gauss", size=200)
    plan = make_plan(experiment)
    renderer = HostEngine(plan)
    assert renderer.culling == select_culling(plan, "cpu", "double")
    renderer.set_plan(make_plan(dataclasses.replace(experiment, crystal=dataclasses.replace(
        experiment.crystal, misset_deg=(30.0, 20.0, 10.0)))))
    assert renderer.culling.culled
    assert renderer.render().tobytes() == HostEngine(renderer._plan).render().tobytes()
