"""Per-reflection sums by the kernels: those of NumPy, for any experiment and any number of threads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import Experiment
from cubragg.engine.culling import Culling
from cubragg.engine.host import panel_launches
from cubragg.plan.make_plan import make_plan
from cubragg.reflections import predict
from cubragg.reflections.host_sums import HostSums
from cubragg.reflections.reflection_sums import NumpySums, ReflectionSums
from cubragg.run.render import simulate
from support.experiments import Hung, hang, random_experiment, random_grid, small_experiment
from support.marks import slow_after

#: Sums run in another order, by sub-pixel and tile; on curved detectors NumPy's sine and the kernels' differ in their
#: last bits, which a sample beside a zero of its profile magnifies.
SUMS_REL, CURVED_REL = 1e-13, 1e-10
COLUMNS = ("photons", "fast_px", "slow_px", "pixel_fast", "pixel_slow", "phi_deg", "partiality", "beam")
RUNNING = {f"oversample_{name}": False for name in ("thick", "polar", "omega")}


def with_sampling(experiment: Experiment, **sampling) -> Experiment:
    return dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, **sampling))


def panel_sums(experiment: Experiment, threads: int = 2) -> list[tuple[ReflectionSums, ReflectionSums]]:
    """Of each panel, by NumPy and by the kernels."""
    plan = make_plan(experiment)
    reference, kernels, found = NumpySums(plan), HostSums(plan), []
    for panel in plan.panels:
        reference.set_panel(panel)
        kernels.set_panel(panel)
        found.append((reference.panel_sums(threads), kernels.panel_sums(threads)))
    return found


def check(experiment: Experiment) -> int:
    """Compare the sums; how many reflections they have."""
    rel = CURVED_REL if experiment.detector.curved else SUMS_REL
    count = 0
    for expected, found in panel_sums(experiment):
        np.testing.assert_array_equal(found.code, expected.code)
        # Sums of parts of both signs, and of the light of others, are as good as the photons that they are made of.
        rounding = rel * expected.values[:, :1] * max(experiment.detector.shape())
        assert np.all(np.abs(found.values - expected.values) <= rounding)
        np.testing.assert_allclose(found.values[:, 0], expected.values[:, 0], rtol=rel)
        count += len(found.code)
    return count


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("seed", slow_after(20, range(40)))
def test_any_experiment(seed, semantics):
    check(with_sampling(random_experiment(seed, semantics), **RUNNING))


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("tile", [(4, 4), (16, 8)])
@pytest.mark.parametrize("seed", slow_after(2, [3, 5, 6, 11, 14, 20]))
def test_left_out_terms_of_0_are_nobodys(seed, tile, semantics, monkeypatch):
    monkeypatch.setattr(panel_launches, "select_culling", lambda *_: Culling(True, tile))
    check(with_sampling(random_experiment(seed, semantics), **RUNNING))


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("shape", slow_after(2, ["gauss", "square", "round", "tophat"]))
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_negligible_terms_change_no_listed_reflection(semantics, shape, monkeypatch):
    """NumPy evaluates all terms."""
    given = []

    def culled(plan, backend, precision, tolerance, *_):
        given.append(tolerance)
        return Culling(True, (4, 4), min(factor * tolerance, 0.01))

    monkeypatch.setattr(panel_launches, "select_culling", culled)
    experiment = small_experiment(
        crystal={"shape": shape, "cells": (12, 12, 12), "mosaic_spread_deg": 0.5, "mosaic_domains": 5},
        detector={"fast_pixels": 60, "slow_pixels": 60}, beam={"fluence": 1e25}, semantics=semantics,
        goniometer={"osc_deg": 1.0, "phi_steps": 3}, sampling={"oversample": 2})
    plan = make_plan(dataclasses.replace(experiment, structure_factors=random_grid(np.random.default_rng(1), 12)))
    factor = 1.0
    expected, found = (predict.reflection_table(plan, backend=backend) for backend in ("numpy", "cpu"))
    assert 0.0 < max(given) < 1e-6
    assert len(expected) > 3
    np.testing.assert_array_equal(found.hkl, expected.hkl)
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-11)
    factor = 1e30  # a tolerance of 0.01: terms that count are left out
    if shape == "gauss":
        lossy = predict.reflection_table(plan)
        assert lossy.photons.sum() < expected.photons.sum() * (1.0 - 1e-9)


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("backend", ["cpu", "numpy"])
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("dmin_A", [0.0, 3.0])
def test_dark_pixels_change_no_listed_reflection(semantics, backend, dmin_A):
    """The truth of an image is that of its plan, of which all pixels are evaluated."""
    experiment = with_sampling(small_experiment(
        crystal={"shape": "gauss", "cells": (12, 12, 12)}, detector={"fast_pixels": 60, "slow_pixels": 60},
        beam={"fluence": 1e25}, semantics=semantics, goniometer={"phi_deg": 20.0, "osc_deg": 1.0, "phi_steps": 2}),
        dmin_A=dmin_A)
    image = simulate(experiment, backend=backend)
    assert image.bragg_photons is not None
    dark = image.bragg_photons < 1e-30
    assert 100 < dark.sum() < 3590
    plan, rows = image.plan, ("hkl", "panel", "flags", "F", "d_A")
    expected, found = (predict.reflection_table(plan, backend=backend, photons=photons)
                       for photons in (None, image.bragg_photons))
    assert len(expected) > 3
    for name in rows:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-11)
    # Without bright pixels reflections are missed: the image is used.
    assert len(predict.reflection_table(plan, backend=backend, photons=0.0 * image.bragg_photons)) < (
        len(expected) if semantics == "physical" or dmin_A == 0.0 else np.inf)


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_panels_masks_and_the_rim(semantics):
    mask = np.ones((40, 30), dtype=bool)
    mask[10:20, 5:9] = False
    panels = (Hung(30, 40, 0.5, 0.5, name="left", mask=mask),
              Hung(30, 40, 0.5, 0.4, origin_mm=(18.0, 0.0, 2.0), offset=(35, 0), name="right"))
    experiment = small_experiment(
        detector={}, sampling={"oversample": 2}, semantics=semantics,
        goniometer={"osc_deg": 1.0, "phi_steps": 3}, crystal={"mosaic_spread_deg": 0.5, "mosaic_domains": 3})
    experiment = with_sampling(hang(experiment, panels), roi=(3, 60, 2, 38))
    assert check(experiment) > 20


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("edge_A", [20.0, 100.0, 1500.0])
def test_tiles_of_few_and_of_many_reflections(edge_A, semantics, monkeypatch):
    """A tile is 0.04 / A wide: across 1, 4 and 60 reflections along an axis, which have loops of their own."""
    monkeypatch.setattr(panel_launches, "select_culling", lambda *_: Culling(False, (8, 8)))
    experiment = small_experiment(
        crystal={"cell": (edge_A, 1.1 * edge_A, 1.2 * edge_A, 90.0, 95.0, 90.0), "cells": (3, 4, 5),
                 "shape": "square", "mosaic_spread_deg": 0.3, "mosaic_domains": 3}, semantics=semantics,
        detector={"fast_pixels": 30, "slow_pixels": 20, "pixel_size_mm": 0.1, "distance_mm": 20.0},
        beam={"wavelength_A": 1.0}, goniometer={"osc_deg": 1.0, "phi_steps": 2})
    assert check(experiment) > 3


@pytest.mark.requirement("AT-TRUTH-002")
def test_many_reflections_in_a_pixel():
    """More than the tables begin with, and more than one segment of tiles."""
    experiment = small_experiment(
        crystal={"mosaic_spread_deg": 90.0, "mosaic_domains": 150}, detector={"fast_pixels": 300, "slow_pixels": 18},
        goniometer={"phi_deg": 1.0, "osc_deg": 1.0, "phi_steps": 2})
    assert check(experiment) > 2000


@pytest.mark.requirement("AT-TRUTH-002")
def test_threads_and_launches_change_no_bit(monkeypatch):
    experiment = with_sampling(small_experiment(
        crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 10}, detector={"fast_pixels": 600, "slow_pixels": 60,
                                                                            "pixel_size_mm": 0.1}), oversample=2)
    plan = make_plan(experiment)
    found = []
    for threads, seconds in ((1, 0.2), (2, 1e-9), (5, 1e9)):
        monkeypatch.setattr(panel_launches, "_LAUNCH_S", seconds)
        sums = HostSums(plan)
        sums.set_panel(plan.panels[0])
        found.append(sums.panel_sums(threads))
    for other in found[1:]:
        np.testing.assert_array_equal(other.code, found[0].code)
        np.testing.assert_array_equal(other.values, found[0].values)


@pytest.mark.requirement("AT-TRUTH-002")
def test_the_truth_is_that_of_numpy():
    experiment = small_experiment(goniometer={"osc_deg": 1.0, "phi_steps": 3}, beam={"fluence": 1e26})
    plan = make_plan(dataclasses.replace(experiment, structure_factors=random_grid(np.random.default_rng(1), 8)))
    calls: list[tuple[int, int]] = []
    numpy, kernels = (predict.reflection_table(plan, backend=backend, progress=lambda *args: calls.append(args))
                      for backend in ("numpy", "cpu"))
    assert calls[-1] == (480, 480)
    assert len(numpy) > 10
    for name in ("hkl", "panel", "flags", "F", "d_A"):
        np.testing.assert_array_equal(getattr(kernels, name), getattr(numpy, name))
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(kernels, name), getattr(numpy, name), rtol=1e-11)


@pytest.mark.requirement("AT-TRUTH-002")
def test_without_a_compiler_numpy_adds_up(monkeypatch):
    plan = make_plan(small_experiment(beam={"fluence": 1e26}))
    kernels = predict.reflection_table(plan)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert predict.reflection_table(plan).photons.sum() == pytest.approx(kernels.photons.sum(), rel=1e-12)
