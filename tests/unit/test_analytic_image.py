"""Images of the method analytic: closed forms, the sampled method, symmetries, and what is refused."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import numpy as np
import pytest

from cubragg import (
    Beam,
    Crystal,
    Experiment,
    Goniometer,
    Sampling,
    Source,
    StructureFactors,
    predict,
    render_many,
    render_series,
    simulate,
)
from cubragg.engine.analytic.analytic_engine import AnalyticEngine
from cubragg.engine.analytic.covariances import rotations
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.spot_geometry import rays_on
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.engine.host.host_engine import HostEngine
from cubragg.errors import ConfigError
from cubragg.plan.make_plan import make_plan
from cubragg.plan.pixel_factors import on_cylinder
from cubragg.reflections.reflection_sums import edge_pixels
from cubragg.reflections.spot_sums import spot_sums
from cubragg.units import THOMSON_CROSS_SECTION_M2
from support.analytic_experiments import STILL, VARIANTS, experiment, factors
from support.analytic_model import gaussian_domains
from support.experiments import Hung, hang
from support.messages import refusal


def analytic(changed: Experiment) -> np.ndarray:
    """The image in double precision, of NumPy."""
    return AnalyticEngine(make_plan(changed, "analytic")).render(1).astype(np.float64)


@pytest.mark.requirement("AT-ANA-008")
@pytest.mark.parametrize("name", VARIANTS)
def test_backends_agree(name):
    plan = make_plan(experiment(**VARIANTS[name]), "analytic")
    by_numpy = AnalyticEngine(plan).render(1)
    brightest = float(by_numpy.max())
    assert brightest > 0.0
    assert AnalyticHostEngine(plan).render(1) == pytest.approx(by_numpy, rel=1e-6, abs=1e-12 * brightest)
    for spots in SpotList(plan).panels:
        edge = edge_pixels(spots.panel).reshape(spots.panel.shape)
        photons = by_numpy[spots.panel.window]
        numbers, ours = (spot_sums(plan, spots, photons, edge, 1, backend) for backend in ("numpy", "cpu"))
        scale = np.abs(numbers).max(axis=0)
        scale[9:] = scale[0]  # photons on an edge, and beside others: fractions of the photons
        assert np.all(np.abs(ours - numbers).max(axis=0) <= 1e-12 * scale)


@pytest.mark.requirement("AT-ANA-008")
@pytest.mark.parametrize("name", VARIANTS)
def test_single_precision_is_within_1e_5_of_the_maximum(name):
    plan = make_plan(experiment(**VARIANTS[name]), "analytic")
    double = AnalyticHostEngine(plan).render(1)
    assert np.abs(AnalyticHostEngine(plan, "single").render(1) - double).max() < 1e-5 * double.max()


@pytest.mark.requirement("AT-ANA-008")
def test_threads_change_no_bit():
    plan = make_plan(experiment(**VARIANTS["wide"]), "analytic")
    assert np.array_equal(AnalyticHostEngine(plan).render(2), AnalyticHostEngine(plan).render(1))
    assert np.array_equal(AnalyticEngine(plan).render(2), AnalyticEngine(plan).render(1))


@pytest.mark.slow  # compiles the kernels once more
@pytest.mark.requirement("AT-ANA-008")
@pytest.mark.parametrize("name", ["wide", "narrow", "large block"])
def test_tiles_change_no_bit(name):
    plan = make_plan(experiment(**VARIANTS[name]), "analytic")
    assert np.array_equal(AnalyticHostEngine(plan, tile=(16, 8)).render(2), AnalyticHostEngine(plan).render(1))


def test_an_image_and_its_truth_have_the_same_spots_which_go_with_the_plan():
    plan = make_plan(experiment(), "analytic")
    engine = AnalyticEngine(plan)
    engine.render(1)
    assert SpotList(plan, "numpy").panels is engine.spots
    host = AnalyticHostEngine(plan)
    assert SpotList(plan).panels is host.spots
    assert SpotList(plan).passing is host._spots.passing
    spots = weakref.ref(engine.spots[0])
    del engine, host, plan
    gc.collect()
    assert spots() is None


@pytest.mark.slow
@pytest.mark.requirement("AT-ANA-005")
@pytest.mark.parametrize("name", ["rotation", "still", "wide"])
def test_sampled_images_come_closer_as_the_root_of_the_samples(name):
    changes = {**VARIANTS[name], "detector": {"pixel_size_mm": 0.1, "distance_mm": 120.0, "fast_pixels": 60,
                                             "slow_pixels": 50, "thickness_um": 0.0}}
    changed = experiment(**{**changes, "sampling": {"oversample": 4}})
    expected = analytic(changed)
    errors = []
    for count in (200, 3200):
        runs = [HostEngine(gaussian_domains(changed, count, seed)).render(2) for seed in range(4)]
        errors.append(math.sqrt(np.mean([np.square(run - expected).sum() for run in runs])))
    assert 2.0 < errors[0] / errors[1] < 8.0  # 4, and 1 for another limit


@pytest.mark.requirement("AT-ANA-005")
def test_without_mosaicity_a_still_is_the_bare_block():
    bare = experiment(crystal={"mosaicity_deg": None, "cells": (8, 7, 6)}, sampling={"oversample": 12}, **STILL)
    sampled = np.asarray(simulate(bare, backend="numpy"), dtype=np.float64)
    image = analytic(bare)
    assert np.abs(image - sampled).max() < 3e-3 * sampled.max()
    assert image.sum() == pytest.approx(sampled.sum(), rel=2e-3)


@pytest.mark.requirement("AT-ANA-005")
@pytest.mark.parametrize("tilt", [{}, {"rotx_deg": 15.0, "roty_deg": 10.0}], ids=["straight", "tilted"])
def test_a_curved_detector_has_the_image_of_the_sampled_method(tilt):
    bare = experiment(crystal={"mosaicity_deg": None, "cells": (6, 5, 4)}, sampling={"oversample": 12}, **STILL,
                      detector={"curved": True, "distance_mm": 25.0, "pixel_size_mm": 0.1, **tilt})
    sampled = np.asarray(simulate(bare, backend="cpu"), dtype=np.float64)
    image = analytic(bare)
    assert np.abs(image - sampled).max() < 3e-3 * sampled.max()
    assert image.sum() == pytest.approx(sampled.sum(), rel=1e-3)
    flat = analytic(dataclasses.replace(bare, detector=dataclasses.replace(bare.detector, curved=False)))
    assert np.abs(image - flat).max() > 0.2 * sampled.max()


@pytest.mark.requirement("AT-ANA-005")
@pytest.mark.parametrize("tilt", [{}, {"twotheta_deg": 25.0, "rotz_deg": 8.0}], ids=["straight", "tilted"])
def test_rays_meet_a_curved_detector_at_its_pixels(tilt):
    plan = make_plan(experiment(detector={"curved": True, "distance_mm": 30.0, **tilt}), "analytic")
    panel, = plan.panels

    def positions(fast: np.ndarray, slow: np.ndarray) -> np.ndarray:
        flat = (np.array(panel.origin)[:, None] + np.array(panel.fast)[:, None] * fast * panel.edges[0]
                + np.array(panel.slow)[:, None] * slow * panel.edges[1])
        return on_cylinder(panel, plan.geometry.beam, flat).T

    rng = np.random.default_rng(4)
    fast, slow = rng.uniform(0.0, 100.0, 50), rng.uniform(0.0, 90.0, 50)
    place = positions(fast, slow)
    k = place / np.linalg.norm(place, axis=1)[:, None]
    rays = rays_on(panel, k, 0.0, np.zeros(3), plan.geometry.beam)
    assert rays.meets.all()
    assert rays.fast == pytest.approx(fast, abs=1e-8)
    assert rays.slow == pytest.approx(slow, abs=1e-8)
    assert rays.distance == pytest.approx(np.linalg.norm(place, axis=1), rel=1e-12)
    steps = [(positions(fast + h, slow + v) - positions(fast - h, slow - v)) / 0.02
             for h, v in ((0.01, 0.0), (0.0, 0.01))]
    assert rays.steps == pytest.approx(np.stack(steps, axis=2), abs=1e-10)


@pytest.mark.requirement("AT-ANA-004")
def test_a_full_reflection_has_the_photons_of_darwins_law():
    whole = experiment(goniometer={"osc_deg": 20.0}, beam={"polarized": False},
                       crystal={"mosaicity_deg": 0.1}, detector={"pixel_size_mm": 0.1, "fast_pixels": 200,
                                                                 "slow_pixels": 180})
    table = predict(whole, method="analytic", backend="numpy", min_photons=0.0)
    plan = table.plan
    model = model_of(plan)
    panel, = plan.panels
    phi = np.radians(table.phi_deg)
    G = np.einsum("nij,nj->ni", rotations(model.spindle, phi), table.hkl @ model.stars)
    beam = G + model.channels[0].k0
    k = beam / np.linalg.norm(beam, axis=1)[:, None]
    speed = np.abs(np.einsum("ni,ni->n", k, np.cross(model.spindle, G)))
    corner = np.array(panel.origin)
    distance = corner @ np.array(panel.normal) / (k @ np.array(panel.normal))
    # Photons per solid angle are the density over lambda^2; a pixel has its own solid angle.
    full = (THOMSON_CROSS_SECTION_M2 * plan.fluence * np.square(table.F) * model.integral * 1.0 / (model.width * speed))
    inside = (table.partiality > 0.9999) & (table.flags & 2 == 0) & (speed > 0.2 * np.linalg.norm(G, axis=1))
    assert inside.sum() > 20
    assert table.photons[inside] / full[inside] == pytest.approx(1.0, rel=1e-3)
    assert distance.min() > 0.0


@pytest.mark.requirement("AT-ANA-004")
def test_partialities_add_to_one_over_a_sweep_and_photons_follow_them():
    start = experiment(goniometer={"osc_deg": 0.4}, crystal={"mosaicity_deg": 0.1}, beam={"polarized": False})
    tables = [image.reflections(min_photons=0.0)
              for image in render_series(start, 10, method="analytic", backend="cpu")]
    keys = {}
    for table in tables:
        entering = (table.flags & 8) != 0
        for row in zip(map(tuple, table.hkl.tolist()), entering.tolist(), table.partiality.tolist(),
                       table.photons.tolist(), (table.flags & 2).tolist(), strict=True):
            keys.setdefault(row[:2], []).append(row[2:])
    whole = [np.array(rows) for rows in keys.values() if sum(row[0] for row in rows) > 0.9999
             and not any(row[2] for row in rows)]
    assert len(whole) > 5
    for rows in whole:
        assert rows[:, 0].sum() == pytest.approx(1.0, abs=1e-3)
        assert rows[:, 1] / rows[:, 1].sum() == pytest.approx(rows[:, 0], abs=4e-3)


@pytest.mark.requirement("AT-ANA-007")
@pytest.mark.parametrize("name", VARIANTS)
def test_the_truth_is_the_sum_of_the_image(name):
    changed = experiment(**VARIANTS[name])
    image = simulate(changed, method="analytic", backend="numpy")
    table = image.reflections(min_photons=0.0)
    assert table.photons.sum() == pytest.approx(np.asarray(image, dtype=np.float64).sum(), rel=1e-6)
    photons = np.asarray(image, dtype=np.float64)
    fast, slow = np.arange(photons.shape[1]) + 0.5, np.arange(photons.shape[0]) + 0.5
    assert table.photons @ table.pixel_fast == pytest.approx(photons.sum(0) @ fast, rel=1e-6)
    assert table.photons @ table.pixel_slow == pytest.approx(photons.sum(1) @ slow, rel=1e-6)
    again = predict(image)
    assert np.array_equal(again.hkl, image.reflections().hkl)


@pytest.mark.requirement("AT-ANA-006")
@pytest.mark.parametrize("name", VARIANTS)
def test_boxes_leave_out_less_than_1e_4_of_each_spot(name):
    changed = experiment(**VARIANTS[name], **({"sampling": {"tail_sigmas": 9.0}}))
    wide = predict(changed, method="analytic", backend="cpu", min_photons=0.0)
    usual = predict(experiment(**VARIANTS[name]), method="analytic", backend="cpu", min_photons=0.0)
    found = {(*hkl, panel, flag & 8): photons for hkl, panel, flag, photons in zip(
        usual.hkl.tolist(), usual.panel.tolist(), usual.flags.tolist(), usual.photons.tolist(), strict=True)}
    whole = 0
    for hkl, panel, flag, photons, partiality in zip(
            wide.hkl.tolist(), wide.panel.tolist(), wide.flags.tolist(), wide.photons.tolist(),
            wide.partiality.tolist(), strict=True):
        if flag & 2 or partiality < 1e-4:  # on the edge, where most of the spot may be outside; or a tail itself
            continue
        whole += 1
        assert found[*hkl, panel, flag & 8] == pytest.approx(photons, rel=1e-4)
    assert whole > 5


@pytest.mark.requirement("AT-ANA-005")
def test_parts_of_a_range_add_up_to_it():
    whole = experiment(goniometer={"osc_deg": 2.0})
    parts = [analytic(experiment(goniometer={"phi_deg": start, "osc_deg": 1.0})) for start in (0.0, 1.0)]
    image = analytic(whole)
    assert 0.5 * (parts[0] + parts[1]) == pytest.approx(image, rel=1e-6, abs=1e-7 * image.max())


@pytest.mark.requirement("AT-ANA-005")
def test_three_equal_mosaicities_are_one():
    assert np.array_equal(analytic(experiment()), analytic(experiment(crystal={"mosaicity_deg": (0.3, 0.3, 0.3)})))


@pytest.mark.requirement("AT-ANA-005")
def test_mosaicity_about_one_axis_turns_with_the_crystal():
    changes = {"crystal": {"mosaicity_deg": (0.1, 0.4, 0.2)}}
    before = experiment(**changes, goniometer={"phi_deg": 40.0, "osc_deg": 0.3})
    plan = make_plan(before, "analytic")
    spindle = np.array(plan.geometry.spindle)
    # The same orientation at phi = 0: the matrix turned by 40 deg.
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    turned = rotations(spindle, np.array([math.radians(40.0)]))[0] @ stars.T
    crystal = dataclasses.replace(before.crystal, cell=None, misset_deg=None,
                                  a_matrix=tuple(map(tuple, turned.tolist())))
    after = dataclasses.replace(before, crystal=crystal, goniometer=Goniometer(0.0, 0.3))
    image = analytic(before)
    # Multiples of 1 deg, where ranges are cut, are 40 apart in both.
    assert analytic(after) == pytest.approx(image, rel=1e-5, abs=1e-6 * image.max())


def test_the_spindle_may_be_along_the_beam():
    along, beside = (analytic(experiment(goniometer={"axis": (1.0, tilt, 0.0), "osc_deg": 2.0}))
                     for tilt in (0.0, 1e-7))
    assert along.max() > 0.0
    assert along == pytest.approx(beside, rel=1e-5, abs=1e-5 * along.max())


def test_panels_masks_and_regions_are_parts_of_the_image():
    whole = experiment(**VARIANTS["sensor"])
    image = analytic(whole)
    region = dataclasses.replace(whole, sampling=dataclasses.replace(whole.sampling, roi=(20, 70, 10, 60)))
    expected = np.zeros_like(image)
    expected[10:61, 20:71] = image[10:61, 20:71]
    assert np.array_equal(analytic(region), expected)
    mask = np.random.default_rng(0).random(image.shape) < 0.7
    masked = dataclasses.replace(whole, sampling=dataclasses.replace(whole.sampling, mask=mask))
    assert np.array_equal(analytic(masked), np.where(mask, image, 0.0))
    halves = [Hung(50, 90, 0.2, 0.2, (0.2 * first, 0.0, 0.0), offset=(first, 0), thickness_um=450.0,
                   attenuation_um=300.0) for first in (0, 50)]
    cut = hang(whole, halves, thick_steps=3)
    # The depth of a layer is that of the most oblique ray of its panel.
    assert analytic(cut) == pytest.approx(image, rel=1e-4, abs=1e-6 * image.max())


@pytest.mark.requirement("AT-ANA-002")
def test_a_crystal_of_a_size_widens_spots_by_its_footprint():
    small = experiment(crystal={"mosaicity_deg": 0.02}, goniometer={"osc_deg": 0.5}, detector={"pixel_size_mm": 0.02,
                       "fast_pixels": 600, "slow_pixels": 500})
    large = dataclasses.replace(small, crystal=dataclasses.replace(small.crystal, size_mm=0.06, habit="sphere"))
    narrow, wide = (predict(one, method="analytic", backend="cpu", min_photons=0.0) for one in (small, large))
    both = {tuple(hkl): number for number, hkl in enumerate(narrow.hkl.tolist())}
    compared = 0
    for number, hkl in enumerate(wide.hkl.tolist()):
        if tuple(hkl) not in both or wide.flags[number] & 2:
            continue
        added = wide.slow_sigma_px[number] ** 2 - narrow.slow_sigma_px[both[tuple(hkl)]] ** 2
        # A sphere has the variance D^2 / 20; rays across the panel are oblique by up to 5 deg.
        assert added == pytest.approx((0.06 / 0.02) ** 2 / 20.0, rel=0.02)
        compared += 1
    assert compared > 5


@pytest.mark.requirement("AT-ANA-002")
def test_an_offset_moves_the_image():
    at_axis = experiment(**STILL)
    pixel = 0.2
    plan = make_plan(at_axis, "analytic")
    fast = np.array(plan.panels[0].fast)
    offset = tuple((3 * pixel * fast).tolist())
    moved = experiment(crystal={"offset_mm": offset}, **STILL)
    image = analytic(at_axis)
    assert analytic(moved)[:, 3:] == pytest.approx(image[:, :-3], rel=2e-3, abs=2e-3 * image.max())


def test_ranges_of_nanobragg_are_gaussians_of_their_second_moments():
    ranges = experiment(crystal={"mosaicity_deg": None, "mosaic_spread_deg": 0.6, "mosaic_domains": 7},
                        beam={"hdiv_range_mrad": 2.0, "vdiv_range_mrad": 3.0, "dispersion_percent": 1.0})
    gaussians = experiment(crystal={"mosaicity_deg": 0.4964 * 0.6},
                           beam={"divergence_mrad": (0.5, 0.75), "bandwidth": 0.01 / math.sqrt(12.0)})
    image = analytic(gaussians)
    assert analytic(ranges) == pytest.approx(image, rel=1e-5, abs=1e-6 * image.max())
    warnings = " ".join(make_plan(ranges, "analytic").warnings)
    for word in ("--mosaicity 0.2978", "--beam-divergence 0.5 0.75", "--bandwidth 0.002887"):
        assert word in warnings
    two = Source((-10.0, 0.001, 0.0), 1.0, 0.99e-10), Source((-10.0, -0.001, 0.0), 1.0, 1e-10)
    listed = experiment(beam={"sources": two})
    assert "2 sources" in " ".join(make_plan(listed, "analytic").warnings)


@pytest.mark.requirement("AT-ANA-002")
@pytest.mark.parametrize(("given", "same"), [
    ({"bandwidth_fwhm": 0.01}, {"bandwidth": 0.01 / 2.3548200450309493}),
    ({"divergence_deg": (0.1, 0.2)}, {"divergence_mrad": (1e3 * math.radians(0.1), 1e3 * math.radians(0.2))}),
])
def test_units_of_bandwidth_and_divergence(given, same):
    image = analytic(experiment(beam=same))
    assert analytic(experiment(beam=given)) == pytest.approx(image, rel=1e-6, abs=1e-9 * image.max())
    with refusal(ConfigError, f"beam.{next(iter(given))}", "", "one of them"):
        Beam(**given, **same)


def test_steps_and_domains_change_nothing():
    few = experiment(crystal={"mosaicity_deg": None, "mosaic_spread_deg": 0.6, "mosaic_domains": 1})
    spread = {"mosaicity_deg": None, "mosaic_spread_deg": 0.6}
    many = experiment(crystal={**spread, "mosaic_domains": 900, "mosaic_seed": 5}, goniometer={"phi_steps": 1000})
    assert np.array_equal(analytic(few), analytic(many))
    assert make_plan(many, "analytic").orientations == 1


@pytest.mark.requirement("AT-ANA-009")
@pytest.mark.parametrize(("changes", "where", "word"), [
    ({"crystal": {"shape": "tophat"}}, "crystal.shape", "gauss"),
    ({"crystal": {"cells": (20, 2, 15)}}, "crystal.cells", "20 x 2 x 15"),
    ({"detector": {"curved": True, "convention": "xds"}}, "detector.curved", "-mosflm"),
    ({"beam": {"dispersion_percent": 9.0}}, "beam.dispersion_percent", "spectrum"),
])
def test_what_the_method_cannot_render_is_refused_by_name(changes, where, word):
    with refusal(ConfigError, where, "", word):
        simulate(experiment(**changes), method="analytic", backend="numpy")


@pytest.mark.requirement("AT-ANA-009")
def test_other_names_semantics_and_precisions_are_refused():
    with pytest.raises(ConfigError, match="analytic"):
        simulate(experiment(), method="exact")
    plain = Experiment(Crystal(cell=(50.0, 60.0, 70.0, 90.0, 90.0, 90.0), cells=(5, 5, 5)), factors(),
                       semantics="nanobragg")
    with pytest.raises(ConfigError, match="--semantics physical"):
        simulate(plain, method="analytic")
    with pytest.raises(ConfigError, match="mixed"):
        simulate(experiment(), method="analytic", backend="cpu", precision="mixed")


@pytest.mark.requirement("AT-ANA-009")
def test_square_blocks_are_rendered_with_a_warning():
    image = simulate(experiment(crystal={"shape": "square"}), method="analytic", backend="numpy")
    assert any("fringes of square" in warning for warning in image.warnings)
    assert image.photons.max() > 0.0


@pytest.mark.parametrize("method", ["analytic", "sampled"])
@pytest.mark.parametrize("crystal", [
    {"mosaicity_deg": (0.1, 0.4, 0.2)}, {"size_mm": (0.02, 0.3, 0.1), "mosaicity_deg": None},
    {"size_mm": (0.02, 0.3, 0.1), "offset_mm": (0.02, 0.01, -0.03), "mosaicity_deg": (0.1, 0.4, 0.2)},
], ids=["mosaicity", "size", "size and offset"])
def test_images_of_a_batch_are_those_of_single_runs(crystal, method):
    angles = np.array([[10.0, 0.0, 5.0], [0.0, 70.0, 0.0], [35.0, 0.0, 50.0]])
    sampled = {"mosaic_domains": 6} if method == "sampled" and crystal["mosaicity_deg"] else {}
    changed = experiment(crystal={**crystal, "cells": (4, 4, 4), **sampled},
                         beam={"size_mm": (0.05, 0.04), "profile": "gaussian"},
                         detector={"pixel_size_mm": 0.1, "fast_pixels": 60, "slow_pixels": 40},
                         sampling={"oversample": 1}, goniometer={"osc_deg": None})
    for misset, image in zip(angles, render_many(changed, angles, method=method, backend="numpy"), strict=True):
        turned = dataclasses.replace(changed.crystal, misset_deg=tuple(misset.tolist()))
        alone = simulate(dataclasses.replace(changed, crystal=turned), method=method, backend="numpy")
        assert np.array_equal(image.photons, alone.photons)
        assert image.plan.illumination.blocks == alone.plan.illumination.blocks


def test_water_is_a_flat_background():
    dry = experiment()
    wet = dataclasses.replace(dry, sampling=Sampling(water_um=100.0))
    difference = analytic(wet) - analytic(dry)
    sampled = np.asarray(simulate(dataclasses.replace(
        wet, structure_factors=StructureFactors(1e-9), crystal=dataclasses.replace(wet.crystal, mosaicity_deg=None)),
        backend="numpy"), dtype=np.float64)
    assert difference == pytest.approx(sampled, rel=1e-3)
    assert simulate(wet, method="analytic", backend="numpy").reflections().photons.sum() == pytest.approx(
        simulate(dry, method="analytic", backend="numpy").reflections().photons.sum())
