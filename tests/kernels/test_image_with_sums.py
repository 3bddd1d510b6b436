"""Images and per-reflection sums in one pass: bits of the image alone, sums of NumPy, and no other pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import cubragg as cb
from cubragg import Experiment
from cubragg.engine.culling import Culling
from cubragg.engine.host import panel_launches
from cubragg.plan.make_plan import make_plan
from cubragg.reflections import host_sums, negligible_terms, predict, sampled_pixels
from cubragg.reflections.image_sums import MIN_SUMMED, SumRequest
from cubragg.reflections.panel_sums import ImageSums
from cubragg.run.batch import render_many, render_series
from cubragg.run.render import simulate
from support import renders
from support.experiments import Hung, hang, random_experiment, random_grid, small_experiment
from support.golden_set import arguments, cases
from support.marks import slow_after

#: Of the photons of a reflection: sums run in another order. On curved detectors as in test_attribution.py.
SUMS_REL, CURVED_REL = 1e-13, 1e-10
RUNNING = {f"oversample_{name}": False for name in ("thick", "polar", "omega")}
#: Sums of all terms, also the faintest.
ALL = SumRequest(0.0)


def with_sampling(experiment: Experiment, **sampling) -> Experiment:
    return dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, **sampling))


def bits(image) -> np.ndarray:
    return image.photons.view(np.uint32)


def by_reflection(sums: ImageSums) -> dict[tuple[int, ...], np.ndarray]:
    """(panel, h, k, l, entering) -> sums."""
    found = {}
    for number, panel in sums.panels.items():
        hkl, entering = panel.codes.unpack(panel.sums.code)
        found |= {(number, *index, int(one)): values for index, one, values in zip(
            hkl.tolist(), entering, panel.sums.values, strict=True)}
    return found


def check(experiment: Experiment, backend: str = "cpu", **keywords) -> int:
    """Compare with the image alone and with the sums by NumPy; how many reflections there are."""
    alone = simulate(experiment, backend=backend, **keywords)
    both = simulate(experiment, backend=backend, reflections=ALL, **keywords)
    assert alone.sums is None
    assert both.sums is not None
    np.testing.assert_array_equal(bits(both), bits(alone))
    assert both.warnings == alone.warnings
    if backend == "numpy":  # the tables of passes of their own
        expected, found = (predict.reflection_table(both.plan, min_photons=0.0, backend=backend, sums=sums)
                           for sums in (None, both.sums))
        np.testing.assert_array_equal(found.hkl, expected.hkl)
        np.testing.assert_allclose(found.photons, expected.photons, rtol=SUMS_REL)
        return len(found)
    expected = by_reflection(simulate(experiment, backend="numpy", reflections=ALL).sums)
    found = by_reflection(both.sums)
    assert found.keys() == expected.keys()
    rel = CURVED_REL if experiment.detector.curved else SUMS_REL
    for key, values in found.items():
        rounding = rel * expected[key][0] * max(experiment.detector.shape())
        assert np.all(np.abs(values - expected[key]) <= rounding), key
    return len(found)


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("seed", slow_after(12, range(40)))
def test_any_experiment(seed, semantics):
    """All shapes, interpolation, layers, sources, masks, and the pixels of nanobragg semantics that differ."""
    check(with_sampling(random_experiment(seed, semantics), **RUNNING))


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("seed", slow_after(8, range(40)))
def test_any_experiment_with_numpy(seed, semantics):
    check(with_sampling(random_experiment(seed, semantics), **RUNNING), "numpy")


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("cells", [(1, 1, 1), (1, 4, 1)])
def test_axes_of_one_cell_count_for_the_nearest_reflection(cells):
    """NumPy leaves out such axes of parallelepipeds, where all structure factors are the same."""
    assert check(small_experiment(crystal={"cells": cells, "shape": "square"}), "numpy") > 20


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("tile", [(4, 4), (16, 8)])
@pytest.mark.parametrize("shape", ["gauss", "square", "round", "tophat"])
def test_tiles_threads_and_launches(shape, tile, monkeypatch):
    """Of images in which terms of 0 are skipped: no bit of image or sums depends on threads and launches."""
    monkeypatch.setattr(panel_launches, "select_culling", lambda *_: Culling(True, tile))
    experiment = small_experiment(
        crystal={"shape": shape, "cells": (9, 8, 7), "mosaic_spread_deg": 0.5, "mosaic_domains": 4},
        detector={"fast_pixels": 300, "slow_pixels": 30, "pixel_size_mm": 0.1},
        goniometer={"phi_deg": 1.0, "osc_deg": 1.0, "phi_steps": 3})
    experiment = dataclasses.replace(experiment, structure_factors=random_grid(np.random.default_rng(1), 6))
    images = []
    for threads, seconds in ((1, 0.2), (2, 1e-9), (5, 1e9)):
        monkeypatch.setattr(panel_launches, "_LAUNCH_S", seconds)
        images.append(simulate(experiment, backend="cpu", threads=threads, reflections=ALL))
    np.testing.assert_array_equal(bits(images[0]), bits(simulate(experiment, backend="cpu")))
    first = images[0].sums.panels[0].sums
    assert len(first.code) > 3
    for other in images[1:]:
        np.testing.assert_array_equal(bits(other), bits(images[0]))
        np.testing.assert_array_equal(other.sums.panels[0].sums.code, first.code)
        np.testing.assert_array_equal(other.sums.panels[0].sums.values, first.values)


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_panels_masks_and_regions(semantics):
    mask = np.ones((40, 30), dtype=bool)
    mask[10:20, 5:9] = False
    panels = (Hung(30, 40, 0.5, 0.5, name="left", mask=mask),
              Hung(30, 40, 0.5, 0.4, origin_mm=(18.0, 0.0, 2.0), offset=(35, 0), name="right"))
    experiment = small_experiment(
        detector={}, sampling={"oversample": 2}, semantics=semantics,
        goniometer={"osc_deg": 1.0, "phi_steps": 3}, crystal={"mosaic_spread_deg": 0.5, "mosaic_domains": 3})
    assert check(with_sampling(hang(experiment, panels), roi=(3, 60, 2, 38))) > 20


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("backend", ["cpu", "numpy"])
@pytest.mark.parametrize("stop", [None, cb.BeamStop(10.0, 20.0)])
def test_parts_of_a_crystal_and_a_beam_stop(backend, stop):
    """Sums of parts have numberings of their own; a beam stop takes photons from image and sums."""
    experiment = dataclasses.replace(small_experiment(
        crystal={"size_mm": 0.1, "mosaicity_deg": 0.2}, semantics="physical",
        beam={"divergence_mrad": 3.0, "fluence": 1e24}, detector={"fast_pixels": 40, "slow_pixels": 30}), beamstop=stop)
    both = simulate(experiment, backend=backend, reflections=ALL)
    assert len(both.plan.parts) > 1
    np.testing.assert_array_equal(bits(both), bits(simulate(experiment, backend=backend)))
    table = predict.reflection_table(both.plan, min_photons=0.0, sums=both.sums)
    own = predict.reflection_table(make_plan(experiment), min_photons=0.0, backend="numpy")
    np.testing.assert_array_equal(table.hkl, own.hkl)
    np.testing.assert_allclose(table.photons, own.photons, rtol=1e-12)
    np.testing.assert_allclose(table.fast_px, own.fast_px, rtol=1e-11)
    # The shade is that of a pixel's middle in both.
    assert table.photons.sum() == pytest.approx(both.photons.sum(dtype=float), rel=1e-6)


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("case_id", [*cases()])
def test_command_lines_of_the_c_program(case_id):
    """The images of test_golden.py, with sums."""
    job, image = renders.rendered(tuple(arguments(cases()[case_id])), renders.exact_backend())
    both = simulate(job.experiment, backend=renders.exact_backend(), plan=image.plan, reflections=True)
    np.testing.assert_array_equal(bits(both), bits(image))
    if image.plan.rules.running:
        assert both.sums is None
        return
    assert len(both.sums.panels) == len(image.plan.panels)


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_series_and_orientations(backend):
    experiment = small_experiment(goniometer={"phi_deg": 2.0, "osc_deg": 1.0, "phi_steps": 2}, beam={"fluence": 1e28})
    for images in (render_series(experiment, 3, backend=backend, reflections=True),
                   render_many(experiment, [(10.0, 20.0, 30.0), (1.0, 2.0, 3.0)], backend=backend, reflections=True)):
        for image in images:
            expected = predict.reflection_table(image.plan, backend="numpy")
            assert image.sums is not None
            assert len(image.reflections()) == len(expected) > 3
            np.testing.assert_array_equal(image.reflections().hkl, expected.hkl)
            np.testing.assert_allclose(image.reflections().photons, expected.photons, rtol=1e-12)


BRIGHT = small_experiment(crystal={"shape": "gauss", "cells": (6, 6, 6)}, beam={"fluence": 1e28},
                          detector={"fast_pixels": 60, "slow_pixels": 60}, semantics="physical")


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_tables_and_labels_take_no_other_pass(backend, monkeypatch):
    image = simulate(BRIGHT, backend=backend, reflections=SumRequest(label_min=5.0))
    own = simulate(BRIGHT, backend=backend)
    expected = [own.reflections(), predict.reflection_table(own.plan, min_photons=1e-5)]
    arguments = (60, 5.0, 0.1, 1, backend, None)
    pixels = sampled_pixels.sampled_pixels(expected[0], *arguments)
    assert len(pixels.row) > 20

    def refuse(*_):
        raise AssertionError("another pass")

    for module in (predict, sampled_pixels):
        monkeypatch.setattr(module, "summing_engine", refuse)
    for table, one in zip((image.reflections(), cb.predict(image, min_photons=1e-5)), expected, strict=True):
        np.testing.assert_array_equal(table.hkl, one.hkl)
        np.testing.assert_allclose(table.photons, one.photons, rtol=1e-11)
    found = sampled_pixels.sampled_pixels(expected[0], *arguments, image.sums)
    np.testing.assert_array_equal(found.row, pixels.row)
    np.testing.assert_array_equal(found.pixel, pixels.pixel)
    np.testing.assert_allclose(found.photons, pixels.photons, rtol=1e-11)
    # Sums do not have what fainter reflections and labels need, and an image without sums has nothing.
    for call in (lambda: image.reflections(MIN_SUMMED / 2), own.reflections, lambda: sampled_pixels.sampled_pixels(
            expected[0], 60, 4.0, 0.1, 1, backend, None, image.sums)):
        with pytest.raises(AssertionError, match="another pass"):
            call()


@pytest.mark.requirement("AT-TRUTH-012")
@pytest.mark.parametrize(("keywords", "changes"), [
    ({"precision": "single"}, {}), ({"precision": "mixed"}, {}), ({"cull": 1e-8}, {}),
    ({"method": "analytic"}, {"semantics": "physical"}), ({}, {"oversample_omega": True})])
def test_images_whose_sums_take_another_pass(keywords, changes):
    """Other precisions and a tolerance have not the photons of the truth; running products have none."""
    semantics = changes.get("semantics", "nanobragg")
    experiment = dataclasses.replace(BRIGHT, semantics=semantics)
    if semantics == "nanobragg" and changes:
        experiment = with_sampling(experiment, **changes)
    image = simulate(experiment, backend="cpu", reflections=True, **keywords)
    assert image.sums is None
    np.testing.assert_array_equal(bits(image), bits(simulate(experiment, backend="cpu", **keywords)))


@pytest.mark.requirement("AT-TRUTH-012")
def test_data_sets_take_one_pass(tmp_path, monkeypatch):
    data = cb.Stills(BRIGHT, 2, seed=3, method="sampled", backend="cpu")
    expected = []
    for shot in data:
        shot.render()  # without sums
        expected.append(shot.labels(5.0).mask)

    def refuse(*_):
        raise AssertionError("another pass")

    for module in (predict, sampled_pixels):
        monkeypatch.setattr(module, "summing_engine", refuse)
    data.write(tmp_path / "set", workers=1, truth=("h5",), labels=("mask",), label_min=5.0, shard=2)
    import h5py
    import hdf5plugin  # noqa: F401

    with h5py.File(tmp_path / "set" / "truth-00000.h5") as file:
        np.testing.assert_array_equal(file["/labels/mask"][()], expected)
        assert len(file["/reflections/h"]) > 10
    shot = cb.Stills(BRIGHT, 1, seed=3, method="sampled", backend="cpu")[0]
    assert len(shot.reflections) > 3  # asked for first, they are summed as the image is rendered


@pytest.mark.requirement("AT-TRUTH-012")
def test_terms_that_count_are_not_negligible(monkeypatch):
    """With terms left out up to a hundredth of the peak, sums lack photons and the image none."""
    fine = dataclasses.replace(BRIGHT, detector=dataclasses.replace(BRIGHT.detector, pixel_size_mm=0.05))
    whole = simulate(fine, backend="cpu", reflections=True)
    monkeypatch.setattr(negligible_terms, "_LARGEST", 0.01)
    lossy = simulate(fine, backend="cpu", reflections=SumRequest(1e99))
    np.testing.assert_array_equal(bits(lossy), bits(whole))
    table = predict.reflection_table(whole.plan, min_photons=0.0, backend="numpy")
    total = lossy.sums.panels[0].sums.values[:, 0].sum()
    assert total < table.photons.sum() * (1.0 - 1e-9)
    assert whole.sums.panels[0].sums.values[:, 0].sum() == pytest.approx(table.photons.sum(), rel=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(("right", "wrong"), [
    ("fma_(s.f2 * amplitude, amplitude, sum", "fma_(s.f2 * amplitude, amplitude * (1.0 + 1e-7), sum"),
    ("cell == cells[i] ? term : 0.0", "cell == cells[0] ? term : 0.0"), ("scale[t] * sum.weight[t]", "scale[t]")])
def test_planted_faults_are_found(right, wrong, monkeypatch):
    original = host_sums.host_text

    def planted(*args):
        text = original(*args)
        assert right in text
        return text.replace(right, wrong)

    experiment = dataclasses.replace(
        small_experiment(crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 5}, semantics="physical",
                         detector={"fast_pixels": 90, "slow_pixels": 60, "pixel_size_mm": 0.05}),
        structure_factors=random_grid(np.random.default_rng(1), 6))
    check(experiment)
    monkeypatch.setattr(host_sums, "host_text", planted)
    with pytest.raises(AssertionError):
        check(experiment)
