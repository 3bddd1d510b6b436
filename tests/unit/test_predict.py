"""The truth of an image: photons, centroids, spindle angles and partialities of its reflections."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random

import numpy as np
import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.crystallography.vectors import rotate_xyz
from cubragg.errors import ConfigError
from cubragg.parity.pixel_trace import trace_steps
from cubragg.plan.make_plan import make_plan
from cubragg.reflections.predict import reflection_table
from cubragg.reflections.reflection_table import Flags, ReflectionTable
from cubragg.run.render import simulate
from support.experiments import Hung, hang, hung, random_experiment, small_experiment
from support.messages import refusal

#: A pixel is rounded to single precision, its sums are not.
SINGLE = 1e-6
#: Make Gaussian and flat spots of 12 cells about a pixel wide, alike in both semantics: (12^3)^2 / A^2 x 0.2 is
#: (773 A)^2, and so is (12 x 58 A)^2 x 1.23.
FUDGE = {"nanobragg": 0.2, "physical": 1.23}


def without_running_products(experiment: Experiment) -> Experiment:
    off = {f"oversample_{name}": False for name in ("thick", "polar", "omega")}
    return dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, **off))


def photons_without_water(experiment: Experiment) -> np.ndarray:
    dry = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, water_um=0.0))
    return simulate(dry, backend="numpy").photons.astype(np.float64)


def rows(truth: ReflectionTable) -> dict[tuple[int, ...], int]:
    """(h, k, l, entering, panel) -> row."""
    entering = (truth.flags & Flags.ENTERING) != 0
    return {(*hkl, int(one), int(panel)): row for row, (hkl, one, panel) in enumerate(
        zip(truth.hkl.tolist(), entering, truth.panel, strict=True))}


def protein(shape: str = "gauss", *, cells: int = 12, pixels: int = 120, oversample: int = 3,
            goniometer: Goniometer | None = None, semantics: str = "physical", **crystal) -> Experiment:
    """Isolated spots of a protein-sized cell; wide enough to be sampled well."""
    fudge = 1.0 if shape in ("square", "round") else FUDGE[semantics]
    return Experiment(
        Crystal(cell=(58.0, 62.0, 66.0, 90.0, 95.0, 90.0), misset_deg=(11.0, 23.0, 37.0), cells=(cells,) * 3,
                shape=shape, fudge=fudge, **crystal),
        StructureFactors(100.0), Beam(wavelength_A=1.1, fluence=1e28, kahn_factor=0.9),
        Detector(pixel_size_mm=0.3, fast_pixels=pixels, slow_pixels=pixels, distance_mm=110.0, twotheta_deg=10.0,
                 rotx_deg=3.0),
        goniometer or Goniometer(0.05, 0.6, None, 6), Sampling(oversample=oversample, interpolate=False), semantics)


@pytest.mark.requirement("AT-TRUTH-001")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("seed", range(24))
def test_sums_add_up_to_the_image(seed, semantics):
    experiment = without_running_products(random_experiment(seed, semantics))
    truth = reflection_table(make_plan(experiment), min_photons=0.0)
    assert truth.photons.sum() == pytest.approx(photons_without_water(experiment).sum(), rel=SINGLE)


@pytest.mark.requirement("AT-TRUTH-001")
def test_every_sample_belongs_to_the_nearest_reflection():
    """Against the pixel tracer, which follows the C program sample by sample on plain numbers."""
    experiment = small_experiment(goniometer={"phi_deg": 3.0, "osc_deg": 2.0, "phi_steps": 3},
                                  crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 2},
                                  sampling={"oversample": 2}, detector={"fast_pixels": 5, "slow_pixels": 4})
    plan = make_plan(experiment)
    expected: dict[tuple[int, ...], float] = {}
    for fast, slow in itertools.product(range(5), range(4)):
        trace, steps = trace_steps(plan, fast, slow)
        hkl0 = (0, 0, 0)
        for step in steps:
            if step.name == "hkl0":
                hkl0 = tuple(int(value) for value in step.values)
            if step.name == "term":
                expected[hkl0] = expected.get(hkl0, 0.0) + step.values[0] / trace.intensity * trace.photons
    truth = reflection_table(plan, min_photons=0.0)
    found: dict[tuple[int, ...], float] = {}
    for hkl, photons in zip(truth.hkl.tolist(), truth.photons, strict=True):
        found[tuple(hkl)] = found.get(tuple(hkl), 0.0) + photons
    assert found == pytest.approx(expected, rel=SINGLE)
    assert len(found) > 3


@pytest.mark.requirement("AT-TRUTH-005")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_isolated_spots_are_where_the_image_has_them(semantics):
    experiment = protein(semantics=semantics)
    truth = reflection_table(make_plan(experiment))
    image = photons_without_water(experiment)
    middle = np.arange(120) + 0.5
    compared = 0
    for row in np.flatnonzero(truth.flags & (Flags.CUT | Flags.OVERLAP) == 0)[:40]:
        window = [slice(round(centre) - 3, round(centre) + 3) for centre in (truth.slow_px[row], truth.fast_px[row])]
        spot = image[tuple(window)]
        near = np.hypot(truth.fast_px - truth.fast_px[row], truth.slow_px - truth.slow_px[row]) < 6
        if spot.shape != (6, 6) or near.sum() > 1:
            continue
        compared += 1
        assert spot.sum() == pytest.approx(truth.photons[row], rel=0.01)
        assert spot.sum(axis=0) @ middle[window[1]] / spot.sum() == pytest.approx(truth.pixel_fast[row], abs=0.02)
        assert spot.sum(axis=1) @ middle[window[0]] / spot.sum() == pytest.approx(truth.pixel_slow[row], abs=0.02)
    assert compared >= 10


@pytest.mark.requirement("AT-TRUTH-002")
@pytest.mark.parametrize("section", [
    {"beam": {"hdiv_range_mrad": 2.0, "hdiv_steps": 3, "vdiv_range_mrad": 1.0, "vdiv_steps": 2}},
    {"beam": {"dispersion_percent": 2.0, "dispersion_steps": 3}},
    {"detector": {"thickness_um": 300.0, "attenuation_um": 200.0, "thick_steps": 3, "rotx_deg": 20.0}},
    {"detector": {"thickness_um": 2000.0, "attenuation_um": 1500.0, "thick_steps": 4, "rotx_deg": 30.0}},
    {"detector": {"convention": "xds", "rotx_deg": 20.0}}, {"detector": {"convention": "adxv"}},
    {"detector": {"point_pixel": True}}, {"sampling": {"dmin_A": 3.0}}, {"sampling": {"roi": (30, 90, 40, 99)}},
])
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_sums_with_any_beam_and_detector(section, semantics):
    experiment = protein(pixels=100, oversample=2, goniometer=Goniometer(0.05, 0.3, None, 3), semantics=semantics)
    for name, settings in section.items():
        experiment = dataclasses.replace(experiment, **{
            name: dataclasses.replace(getattr(experiment, name), **settings)})
    truth = reflection_table(make_plan(experiment), min_photons=0.0)
    assert truth.photons.sum() == pytest.approx(photons_without_water(experiment).sum(), rel=1e-5)


def crossing_angles(r0: np.ndarray, incident: np.ndarray, spindle: np.ndarray) -> list[float]:
    """Spindle angles [rad] at which a node r0 turned about a unit axis lies on the sphere: |i + r| = |i|."""
    along = spindle * (spindle @ r0)
    across = r0 - along
    cosine, sine = incident @ across, incident @ np.cross(spindle, across)
    wanted = -(r0 @ r0) / 2 - incident @ along
    reach = math.hypot(cosine, sine)
    if abs(wanted) > reach:
        return []
    middle, half = math.atan2(sine, cosine), math.acos(wanted / reach)
    return [middle - half, middle + half]


@pytest.mark.requirement("AT-TRUTH-005")
def test_crossings_by_hand():
    """Spindle angle, place and sense of crossing of every fully swept reflection, from the equation of the sphere."""
    experiment = protein(goniometer=Goniometer(0.05, 2.4, None, 48), oversample=4)
    plan = make_plan(experiment)
    truth = reflection_table(plan)
    geometry = plan.geometry
    pix0, fast, slow, normal, beam, spindle = (np.array(vector) for vector in (
        geometry.pix0, geometry.fast, geometry.slow, geometry.normal, geometry.beam, geometry.spindle))
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    compared = 0
    for row in np.flatnonzero((truth.flags & Flags.CUT == 0) & (truth.partiality > 0.999)):
        r0 = truth.hkl[row] @ stars
        both = [math.degrees(phi) for phi in crossing_angles(r0, beam / 1.1, spindle)]
        angle = math.radians(min(both, key=lambda phi: abs(phi - truth.phi_deg[row])))
        turned = (r0 * math.cos(angle) + np.cross(spindle, r0) * math.sin(angle)
                  + spindle * (spindle @ r0) * (1 - math.cos(angle)))
        exit_beam = beam / 1.1 + turned
        position = exit_beam * (pix0 @ normal) / (exit_beam @ normal) - pix0
        compared += 1
        assert math.degrees(angle) == pytest.approx(truth.phi_deg[row], abs=0.02)
        assert position @ fast / geometry.pixel_size == pytest.approx(truth.fast_px[row], abs=0.05)
        assert position @ slow / geometry.pixel_size == pytest.approx(truth.slow_px[row], abs=0.05)
        assert truth.d_A[row] == pytest.approx(1.0 / np.linalg.norm(r0))
        moving_in = np.cross(spindle, turned) @ exit_beam < 0.0
        assert bool(truth.flags[row] & Flags.ENTERING) == moving_in
    assert compared > 10


@pytest.mark.requirement("AT-TRUTH-006")
@pytest.mark.parametrize(("shape", "semantics"), [
    ("gauss", "physical"), ("gauss", "nanobragg"), ("gauss_star", "physical"), ("tophat", "physical"),
    ("tophat", "nanobragg"), ("round", "physical"), ("square", "physical")])
def test_partialities_of_adjacent_images_reach_one(shape, semantics):
    total: dict[tuple[int, ...], list[float]] = {}
    for start in (0.05, 0.85, 1.65):
        fringes = shape in ("square", "round")
        experiment = protein(shape, cells=20 if fringes else 12, semantics=semantics,
                             oversample=6, pixels=110 if fringes else 160,
                             goniometer=Goniometer(start, 0.8, None, 8 if fringes else 16))
        plan = make_plan(experiment)
        truth = reflection_table(plan, min_photons=0.0)
        across = np.cross(truth.beam, np.array(plan.geometry.beam))
        zeta = np.abs(across @ np.array(plan.geometry.spindle)) / np.linalg.norm(across, axis=1)
        for (*hkl, entering, _), row in rows(truth).items():
            # Those of lower order, or moving along the sphere, take longer to pass than the images last.
            if truth.d_A[row] < 7.0 and zeta[row] > 0.4:
                total.setdefault((*hkl, entering), []).append(
                    (truth.partiality[row], truth.phi_deg[row], truth.flags[row] & Flags.CUT))
    # Those with their crossing in the middle of the three images.
    swept = [sum(part for part, _, _ in parts) for parts in total.values()
             if not any(cut for _, _, cut in parts) and 1.0 < max(parts)[1] < 1.5]
    assert len(swept) >= (1 if fringes else 10)
    # A parallelepiped's fringes and an ellipsoid's rings reach beyond the images; sub-pixels cut discs unevenly.
    limit = {"gauss": 0.005, "gauss_star": 0.005, "tophat": 0.12}.get(shape, 0.08)
    np.testing.assert_allclose(swept, 1.0, atol=limit)
    assert np.mean(swept) == pytest.approx(1.0, abs=0.08 if fringes else 0.01)
    if "gauss" in shape and semantics == "physical":
        assert np.median(np.abs(np.array(swept) - 1.0)) < 1e-5
    split = [parts for parts in total.values() if len(parts) > 1 and min(parts)[0] > 0.05]
    assert split or fringes, "no reflection lies on two images"


@pytest.mark.requirement("AT-TRUTH-007")
@pytest.mark.parametrize(("shape", "semantics"), [
    ("gauss", "nanobragg"), ("gauss", "physical"), ("gauss_star", "physical")])
def test_partiality_of_a_still(shape, semantics):
    """1 on the sphere; the height of the Gauss profile off it, where the tangent plane passes nearest in its metric."""
    plan = make_plan(protein(shape, goniometer=Goniometer(0.0), oversample=2, semantics=semantics))
    truth = reflection_table(plan, min_photons=0.0)
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    kept = np.flatnonzero(truth.flags & Flags.DIRECT_BEAM == 0)
    beam = truth.hkl[kept] @ stars + np.array(plan.geometry.beam) / 1.1
    off = np.linalg.norm(beam, axis=1) - 1 / 1.1
    edges = 1.0 / np.linalg.norm(beam / np.linalg.norm(beam, axis=1)[:, None] @ stars.T / 12, axis=1)
    exponent = {("gauss", "nanobragg"): (off * 12**3) ** 2 / 0.63, ("gauss", "physical"): (off * edges) ** 2 / 0.63,
                ("gauss_star", "physical"): 1.9 * off**2 * 12**2 * np.linalg.det(stars) ** (-2 / 3)}[shape, semantics]
    height = np.exp(-2.0 * FUDGE[semantics] * exponent)
    np.testing.assert_allclose(truth.partiality[kept], height, rtol=1e-3, atol=1e-9)
    assert truth.partiality[kept].max() > 0.9


@pytest.mark.requirement("AT-TRUTH-003")
def test_a_light_that_crosses_twice_has_two_rows():
    experiment = protein(goniometer=Goniometer(0.05, 200.0, None, 100), pixels=60, oversample=1)
    detector = dataclasses.replace(experiment.detector, twotheta_deg=0.0)
    truth = reflection_table(make_plan(dataclasses.replace(experiment, detector=detector)))
    keys = [tuple(hkl) for hkl in truth.hkl.tolist()]
    assert len(keys) > len(set(keys))
    assert len(rows(truth)) == len(truth)


@pytest.mark.requirement("AT-TRUTH-008")
def test_panels_share_the_photons_of_a_plane():
    """A plane cut in two panels with a gap in the image, and a dead pixel."""
    whole = protein(pixels=120, goniometer=Goniometer(0.05, 0.3, None, 3))
    mask = np.ones((120, 50), dtype=bool)
    mask[40:60, 10:20] = False
    panels = (Hung(70, 120, 0.3, 0.3, name="left"),
              Hung(50, 120, 0.3, 0.3, origin_mm=(70 * 0.3, 0.0, 0.0), offset=(75, 0), name="right", mask=mask))
    cut = hang(whole, panels)
    image = photons_without_water(whole)
    image[40:60, 80:90] = 0.0
    truth = reflection_table(make_plan(cut), min_photons=0.0)
    for panel, part in enumerate((image[:, :70], image[:, 70:])):
        mine = truth.panel == panel
        assert truth.photons[mine].sum() == pytest.approx(part.sum(), rel=1e-5)
        centre = truth.photons[mine] @ truth.pixel_fast[mine] / truth.photons[mine].sum()
        assert centre == pytest.approx(part.sum(axis=0) @ (np.arange(part.shape[1]) + 0.5) / part.sum(), abs=1e-3)
    fast, _ = truth.image_px
    assert fast[truth.panel == 1].min() >= 75


def modules(layout: str, fast: int, slow: int) -> tuple[Hung, ...]:
    """Nine panels with gaps in the image: on the detector's grid, shifted off it, or tilted with other pixels."""
    rng, panels = random.Random(5), []
    for number, (i, j) in enumerate(itertools.product(range(3), repeat=2)):
        left, top = i * (fast + 4), j * (slow + 3)
        moved = {"grid": (0.0, 0.0, 0.0), "shifted": (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), 0.0),
                 "tilted": tuple(rng.uniform(-1.0, 1.0) for _ in range(3))}[layout]
        angles = tuple(rng.uniform(-0.15, 0.15) if layout == "tilted" else 0.0 for _ in range(3))
        axes = [rotate_xyz(axis, angles) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))]
        edge = 0.25 if layout == "tilted" else 0.3
        panels.append(Hung(fast, slow, edge, 0.3, (0.3 * left + moved[0], 0.3 * top + moved[1], moved[2]), *axes,
                            offset=(left, top), name=f"m{number}"))
    return tuple(panels)


def check_panels(experiment: Experiment) -> ReflectionTable:
    """Hold light and its centre on each panel against the rendered image; return the truth."""
    plan = make_plan(experiment)
    truth = reflection_table(plan, min_photons=0.0)
    image = photons_without_water(experiment)
    assert truth.photons.sum() == pytest.approx(image.sum(), rel=SINGLE)
    slow, fast = np.indices(image.shape) + 0.5
    for number, panel in enumerate(plan.detector_panels):
        mine, part = truth.panel == number, image[panel.window]
        photons = truth.photons[mine]
        assert photons.sum() == pytest.approx(part.sum(), rel=SINGLE)
        for columns, places in ((truth.pixel_fast[mine] + panel.offset[0], fast),
                                (truth.pixel_slow[mine] + panel.offset[1], slow)):
            assert photons @ columns == pytest.approx((part * places[panel.window]).sum(), rel=1e-6)
    return truth


@pytest.mark.requirement("AT-TRUTH-008")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("layout", ["grid", "shifted", "tilted"])
def test_every_panel_has_its_own_photons(layout, semantics):
    """Nine panels, a region that leaves three out, two sensors, and a phi of 0: the quirk of the first pixel, on each
    panel anew, which is followed where every sample is looked at."""
    whole = protein(oversample=2, goniometer=Goniometer(0.0, 0.3, None, 3), semantics=semantics)
    panels = modules(layout, 34, 33)
    panels = (*panels[:4], dataclasses.replace(panels[4], thickness_um=500.0, attenuation_um=300.0), *panels[5:])
    detector = hung(whole.detector, panels, semantics, thick_steps=2)
    sampling = dataclasses.replace(whole.sampling, roi=(0, 105, 40, 104))
    experiment = dataclasses.replace(whole, detector=detector, sampling=sampling)
    truth = check_panels(experiment)
    assert set(truth.panel) == {1, 2, 4, 5, 7, 8}


@pytest.mark.requirement("AT-TRUTH-008")
@pytest.mark.parametrize("layout", ["grid", "shifted", "tilted"])
def test_spots_on_panels_are_where_the_image_has_them(layout):
    """`image_px`, and `beam` from the panel's own place in space."""
    # With one sub-pixel the light lies where the counts do.
    whole = protein(oversample=1, goniometer=Goniometer(0.05, 0.3, None, 3))
    experiment = hang(whole, modules(layout, 38, 37))
    plan = make_plan(experiment)
    truth, image = reflection_table(plan), photons_without_water(experiment)
    image_fast, image_slow = truth.image_px
    compared = 0
    for row in np.flatnonzero(truth.flags & (Flags.CUT | Flags.OVERLAP) == 0)[:40]:
        near = np.hypot(image_fast - image_fast[row], image_slow - image_slow[row]) < 8
        rows, columns = (slice(max(int(place) - 3, 0), int(place) + 4) for place in (image_slow[row], image_fast[row]))
        spot = image[rows, columns]
        if near.sum() > 1 or spot.sum() == 0.0:
            continue
        compared += 1
        assert spot.sum() == pytest.approx(truth.photons[row], rel=0.01)
        slow, fast = (np.arange(part.start, part.start + size) + 0.5 for part, size in zip((rows, columns), spot.shape,
                                                                                           strict=True))
        assert spot.sum(axis=0) @ fast / spot.sum() == pytest.approx(image_fast[row], abs=0.02)
        assert spot.sum(axis=1) @ slow / spot.sum() == pytest.approx(image_slow[row], abs=0.02)
        panel = truth.panels[truth.panel[row]]
        place = (np.array(panel.origin_mm) + truth.fast_mm[row] * np.array(panel.fast)
                 + truth.slow_mm[row] * np.array(panel.slow))
        np.testing.assert_allclose(truth.beam[row], place / np.linalg.norm(place), atol=1e-12)
    assert compared >= 10


@pytest.mark.requirement("AT-TRUTH-008")
def test_a_named_detector_with_gaps():
    """JUNGFRAU 4M: eight modules of their own; only two are rendered."""
    whole = protein(oversample=1, goniometer=Goniometer(0.05, 0.3, None, 2))
    experiment = dataclasses.replace(
        whole, detector=Detector.named("jungfrau4m", distance_mm=80.0),
        sampling=dataclasses.replace(whole.sampling, roi=(950, 1150, 480, 580)))
    truth = check_panels(experiment)
    assert len(truth.panels) == 8
    assert len(set(truth.panel)) > 1
    assert np.count_nonzero(~make_plan(experiment).mask[480:581, 950:1151]) > 1000


@pytest.mark.requirement("AT-TRUTH-008")
def test_flags():
    experiment = protein(pixels=100)
    truth = reflection_table(make_plan(experiment))
    whole = {key: row for key, row in rows(truth).items() if truth.flags[row] & ~Flags.ENTERING == 0}
    mask = np.ones((100, 100), dtype=bool)
    key = min(whole, key=lambda key: whole[key])  # the brightest one
    mask[:, int(truth.fast_px[whole[key]]):] = False
    masked = reflection_table(make_plan(dataclasses.replace(
        experiment, sampling=dataclasses.replace(experiment.sampling, mask=mask))))
    assert masked.flags[rows(masked)[key]] & Flags.CUT
    crowded = protein(pixels=100, cells=2)
    overlapping = reflection_table(make_plan(crowded), min_photons=0.01).flags & Flags.OVERLAP != 0
    assert overlapping.mean() > 0.1 > (truth.flags & Flags.OVERLAP != 0).mean()


@pytest.mark.requirement("AT-TRUTH-008")
def test_threshold_and_order():
    plan = make_plan(protein(pixels=100))
    everything, bright = reflection_table(plan, min_photons=0.0), reflection_table(plan, min_photons=100.0)
    assert bright.photons.min() >= 100.0
    assert len(bright) == np.count_nonzero(everything.photons >= 100.0) < len(everything)
    assert np.all(np.diff(everything.photons) <= 0.0)


@pytest.mark.requirement("AT-TRUTH-005")
def test_structure_factors_are_those_of_the_list():
    experiment = protein(pixels=100)
    hkl = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    factors = StructureFactors.from_list(hkl, 10.0 + hkl @ (1.0, 2.0, 3.0) + 20.0, default_F=5.0)
    truth = reflection_table(make_plan(dataclasses.replace(experiment, structure_factors=factors)), min_photons=0.0)
    listed = np.all(np.abs(truth.hkl) <= 3, axis=1)
    assert listed.any()
    assert not listed.all()
    np.testing.assert_allclose(truth.F, np.where(listed, 30.0 + truth.hkl @ (1.0, 2.0, 3.0), 5.0))


@pytest.mark.requirement("AT-TRUTH-005")
def test_orientation():
    plan = make_plan(protein(pixels=10))
    orientation = reflection_table(plan).orientation
    np.testing.assert_allclose(orientation.U @ orientation.B, orientation.A, atol=1e-15)
    np.testing.assert_allclose(orientation.U @ orientation.U.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(orientation.cell, (58.0, 62.0, 66.0, 90.0, 95.0, 90.0))
    np.testing.assert_allclose(orientation.misset_deg, (11.0, 23.0, 37.0))
    np.testing.assert_allclose(np.triu(orientation.B, 1), 0.0, atol=1e-15)
    angle = math.radians(0.05 + 0.3)
    spindle = np.array(plan.geometry.spindle)
    for mid, start in zip(orientation.A_mid.T, orientation.A.T, strict=True):
        turned = (start * math.cos(angle) + np.cross(spindle, start) * math.sin(angle)
                  + spindle * (spindle @ start) * (1 - math.cos(angle)))
        np.testing.assert_allclose(mid, turned, atol=1e-15)


@pytest.mark.requirement("AT-TRUTH-004")
@pytest.mark.parametrize("name", ["thick", "polar", "omega"])
def test_running_products_are_refused(name):
    with refusal(ConfigError, f"sampling.oversample_{name}", "", "sum"):
        reflection_table(make_plan(small_experiment(sampling={f"oversample_{name}": True})))


@pytest.mark.requirement("AT-TRUTH-002")
def test_threads_change_no_bit():
    plan = make_plan(protein(pixels=60))
    one, many = (reflection_table(plan, threads=threads) for threads in (1, 5))
    np.testing.assert_array_equal(one.photons, many.photons)
    np.testing.assert_array_equal(one.fast_px, many.fast_px)


@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_an_image_of_the_gap_between_modules_has_no_reflections(method):
    gap = dataclasses.replace(
        small_experiment(semantics="physical"), detector=Detector.named("pilatus300k", distance_mm=100.0),
        sampling=Sampling(roi=(0, 20, 197, 205)))
    columns = simulate(gap, method=method).reflections().as_dict()
    shown = simulate(small_experiment(semantics="physical"), method=method).reflections().as_dict()
    assert {name: (column.dtype, len(column)) for name, column in columns.items()} == {
        name: (column.dtype, 0) for name, column in shown.items()}
