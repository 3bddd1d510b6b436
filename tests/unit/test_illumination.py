"""The illuminated part of a crystal: volumes of closed form, and what multiplies the photons of a block."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.special import dawsn

from cubragg import Beam, ConfigError, Crystal, Detector, Experiment, Goniometer, StructureFactors
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan

#: a along x, c* along z, the beam of the convention xds: the length of a cylinder is along the beam.
CELL = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)


def plan_of(crystal: dict, beam: dict, goniometer: Goniometer | None = None, convention: str = "xds") -> Plan:
    detector = Detector(convention=convention, fast_pixels=8, slow_pixels=8, pixel_size_mm=1.0)
    return make_plan(Experiment(Crystal(cell=CELL, **{"cells": (10, 10, 10), **crystal}), StructureFactors(100.0),
                                Beam(**beam), detector, goniometer or Goniometer(), semantics="physical"))


def test_a_crystal_without_a_size_is_one_block():
    plan = plan_of({}, {"flux": 1e12})
    assert plan.illumination.blocks == 1.0
    assert not plan.illumination.covariance.any()


@pytest.mark.parametrize(("beam_mm", "volume_mm3"), [(0.05, 2.5e-4), (0.2, 1e-3)])
def test_volumes_of_simtbx(beam_mm, volume_mm3):
    """Section 8 of the specification of crystal models: a cube of 0.1 mm, a square beam."""
    plan = plan_of({"size_mm": 0.1}, {"size_mm": beam_mm})
    assert plan.illumination.volume * 1e9 == pytest.approx(volume_mm3, rel=1e-12)
    # 10 x 10 x 10 cells of 79 x 79 x 38 A; 4.2166e9 of them in the whole cube.
    assert plan.illumination.blocks == pytest.approx(4.2166e9 * volume_mm3 / 1e-3, rel=2e-5)


@pytest.mark.parametrize(("ratio", "mean"), [(0.1, 0.986264294), (0.5, 0.721347520), (1.0, 0.338131650),
                                             (2.0, 0.090167064)])
def test_a_disc_in_a_gaussian_beam(ratio, mean):
    """Mean fluence over the centre's, (1 - exp(-g)) / g with g = 4 ln2 (R/w)^2."""
    plan = plan_of({"size_mm": (2.0 * ratio * 0.01, 2.0 * ratio * 0.01, 0.003), "habit": "cylinder"},
                   {"profile": "gaussian", "size_mm": 0.01})
    assert plan.illumination.fraction == pytest.approx(mean, rel=3e-4)


def test_the_centre_of_a_gaussian_beam():
    beam = Beam(flux=1e12, profile="gaussian", size_mm=0.01)
    assert beam.photons_per_m2() == pytest.approx(8.825424006e21, rel=1e-9)


@pytest.mark.parametrize("habit", ["box", "sphere", "cylinder"])
def test_a_wide_gaussian_beam_is_a_flat_one(habit):
    crystal = {"size_mm": (0.01, 0.02, 0.03), "habit": habit, "misset_deg": (10.0, 20.0, 30.0)}
    flat, gaussian = (plan_of(crystal, beam).illumination for beam in (
        {"size_mm": 1.0}, {"profile": "gaussian", "size_mm": 100.0}))
    factor = {"box": 1.0, "sphere": math.pi / 6.0, "cylinder": math.pi / 4.0}[habit]
    assert flat.volume == pytest.approx(factor * 6e-15, rel=1e-12)
    assert gaussian.volume == pytest.approx(flat.volume, rel=2e-4)
    np.testing.assert_allclose(gaussian.covariance, flat.covariance, rtol=0.0, atol=1e-3 * np.trace(flat.covariance))


def test_variances_of_closed_form():
    """L^2 / 12 along an edge, D^2 / 20 of a sphere."""
    box = plan_of({"size_mm": (0.01, 0.02, 0.03)}, {}).illumination.covariance
    sphere = plan_of({"size_mm": 0.05, "habit": "sphere"}, {}).illumination.covariance
    np.testing.assert_allclose(box * 1e12, np.diag([100.0, 400.0, 900.0]) / 12.0, atol=1e-9)
    np.testing.assert_allclose(sphere * 1e12, np.eye(3) * 2500.0 / 20.0, atol=1e-9)


def test_a_gaussian_beam_on_a_large_crystal_has_its_own_variance():
    covariance = plan_of({"size_mm": 1.0}, {"profile": "gaussian", "size_mm": (0.02, 0.05)}).illumination.covariance
    sigma_um = np.array([20.0, 50.0]) / 2.3548200450309493
    np.testing.assert_allclose(np.diag(covariance) * 1e12, [*sigma_um**2, 1e6 / 12.0], rtol=1e-3)


def test_eight_times_the_photons_bathed_and_twice_beyond_the_beam():
    bathed = [plan_of({"size_mm": edge}, {"size_mm": 1.0}).illumination.blocks for edge in (0.1, 0.2)]
    larger = [plan_of({"size_mm": edge}, {"size_mm": 0.05}).illumination.blocks for edge in (0.1, 0.2)]
    assert bathed[1] / bathed[0] == pytest.approx(8.0, rel=1e-12)
    assert larger[1] / larger[0] == pytest.approx(2.0, rel=1e-12)


def test_the_fraction_enters_once():
    """The fluence of the centre does not know the crystal, the number of blocks does not know the flux."""
    whole, half = (plan_of({"size_mm": 0.1}, {"flux": 1e12, "size_mm": (0.05, height)}) for height in (0.2, 0.05))
    assert half.fluence == pytest.approx(4.0 * whole.fluence)
    assert half.illumination.blocks == pytest.approx(0.5 * whole.illumination.blocks)


def test_the_crystal_turns_with_the_spindle():
    """A plate of 0.1 x 0.1 x 0.01 mm, turned by 90 deg in a narrow beam, is hit along another edge."""
    crystal = {"size_mm": (0.1, 0.1, 0.01), "offset_mm": (0.0, 0.0, 0.02)}
    beam = {"size_mm": (0.001, 0.001)}
    face, edge = (plan_of(crystal, beam, Goniometer(phi_deg=phi)) for phi in (0.0, 90.0))
    assert face.geometry.spindle == (1.0, 0.0, 0.0)
    assert face.illumination.volume == pytest.approx(0.001 * 0.001 * 0.01e-9, rel=1e-9)
    assert edge.illumination.volume == 0.0  # 0.02 mm off, and 0.01 mm thick
    np.testing.assert_allclose(edge.illumination.position, (0.0, -2e-5, 0.0), atol=1e-15)


def corners_inside(planes: np.ndarray, inside: np.ndarray) -> ConvexHull:
    """The convex body of half-spaces a x + b <= 0 [n, 4]."""
    return ConvexHull(HalfspaceIntersection(planes, inside).intersections)


@pytest.mark.parametrize("edges_um", [(100.0, 70.0, 130.0), (300.0, 30.0, 200.0), (40.0, 400.0, 60.0)])
@pytest.mark.parametrize("misset", [(10.0, 20.0, 30.0), (45.0, 0.0, 0.0), (70.0, -40.0, 110.0)])
def test_a_turned_box_in_a_flat_beam_is_a_polyhedron(edges_um, misset):
    """Cut out by Qhull: six faces of the crystal and four of the beam."""
    plan = plan_of({"size_mm": tuple(1e-3 * edge for edge in edges_um), "misset_deg": misset,
                    "offset_mm": (0.01, -0.005, 0.0)}, {"size_mm": (0.1, 0.06)})
    centre = np.array([10.0, -5.0, 0.0])
    geometry, axes = plan.geometry, plan.spreads.frame
    planes = []
    for axis, edge in zip(axes.T, edges_um, strict=True):
        planes += [[*(sign * axis), -sign * float(axis @ centre) - edge / 2.0] for sign in (1.0, -1.0)]
    for axis, edge in ((geometry.polar, 100.0), (geometry.vert, 60.0)):
        planes += [[*(sign * np.array(axis)), -edge / 2.0] for sign in (1.0, -1.0)]
    body = corners_inside(np.array(planes), centre * 0.5)
    assert plan.illumination.volume * 1e18 == pytest.approx(body.volume, rel=2e-4)
    simplices = body.points[body.simplices]  # the body as tetrahedra from one corner
    apex = body.points.mean(axis=0)
    sixth = np.abs(np.linalg.det(simplices - apex)) / 6.0
    mean = (sixth[:, None] * (simplices.sum(axis=1) + apex) / 4.0).sum(axis=0) / sixth.sum()
    np.testing.assert_allclose(np.array(plan.illumination.position) * 1e6, mean, atol=2e-4 * max(edges_um))


@pytest.mark.parametrize(("height_um", "offset_um"), [(30.0, 0.0), (60.0, 20.0), (30.0, 45.0)])
def test_a_sphere_and_a_cylinder_in_a_flat_beam(height_um, offset_um):
    """Sphere of 100 um: integrated by QUADPACK. Cylinder across the beam and along the slit: 2 sqrt(R^2 - y^2) L."""
    low, high = offset_um - height_um / 2.0, min(offset_um + height_um / 2.0, 50.0)
    beam = {"size_mm": (0.06, 1e-3 * height_um)}
    offset = (0.0, -1e-3 * offset_um, 0.0)

    def area(y: float) -> float:
        """Of the section of the sphere at y, a disc cut at x = +-30 um."""
        radius = math.sqrt(max(2500.0 - y * y, 0.0))
        half = min(30.0, radius)
        return 2.0 * (half * math.sqrt(radius**2 - half**2) + radius**2 * math.asin(half / radius) if radius else 0.0)

    sphere = plan_of({"size_mm": 0.1, "habit": "sphere", "offset_mm": offset}, beam)
    assert sphere.illumination.volume * 1e18 == pytest.approx(quad(area, low, high, points=[-40.0, 40.0])[0], rel=2e-4)
    lying = {"size_mm": (0.1, 0.1, 0.3), "habit": "cylinder", "offset_mm": offset, "misset_deg": (0.0, 90.0, 0.0)}
    section = [y * math.sqrt(2500.0 - y * y) + 2500.0 * math.asin(y / 50.0) for y in (low, high)]
    assert plan_of(lying, beam).illumination.volume * 1e18 == pytest.approx(60.0 * (section[1] - section[0]), rel=2e-4)


@pytest.mark.parametrize("misset", [(0.0, 0.0, 0.0), (30.0, 50.0, 10.0)])
def test_a_sphere_in_a_gaussian_beam_is_dawsons(misset):
    """Integral over a ball of exp(-(x^2 + y^2) / 2 s^2): 4 pi s^2 (R - sqrt(2) s D(R / sqrt(2) s))."""
    s = 40.0 / 2.3548200450309493
    for radius in (10.0, 50.0, 150.0):
        plan = plan_of({"size_mm": 2e-3 * radius, "habit": "sphere", "misset_deg": misset},
                       {"profile": "gaussian", "size_mm": 0.04})
        exact = 4.0 * math.pi * s * s * (radius - math.sqrt(2.0) * s * dawsn(radius / (math.sqrt(2.0) * s)))
        assert plan.illumination.volume * 1e18 == pytest.approx(exact, rel=2e-4)


def test_a_wobble_moves_the_centre_and_does_not_turn_with_the_crystal():
    """offset turned about x, and 2 um cos(3 phi + 30 deg) along z."""
    crystal = {"size_mm": 0.02, "offset_mm": (0.0, 0.01, 0.0), "wobble_mm": (0.001, 0.0, 0.002), "wobble_cycles": 3,
               "wobble_phase_deg": 30.0}
    for phi in (0.0, 20.0, 95.0):
        position = np.array(plan_of(crystal, {}, Goniometer(phi_deg=phi)).illumination.position) * 1e6
        wobble = math.cos(math.radians(3.0 * phi + 30.0))
        turned = 10.0 * np.array([0.0, math.cos(math.radians(phi)), math.sin(math.radians(phi))])
        np.testing.assert_allclose(position, turned + wobble * np.array([1.0, 0.0, 2.0]), atol=1e-9)


@pytest.mark.parametrize(("phi", "volume_um3"), [
    (0.0, 20.0 * 20.0 * 3.0),  # of the cube, from y = 2 to 22 um, 3 um are in the beam
    (90.0, 20.0 * 20.0 * 3.0),  # the same on the other side
    (45.0, 20.0 * (200.0 * math.sqrt(2.0) - 50.0))])  # in the middle, on its edge: the square less two triangles
def test_a_wobble_takes_the_crystal_out_of_the_beam(phi, volume_um3):
    """A cube of 20 um in a beam of 10 um, 12 um cos 2 phi off."""
    plan = plan_of({"size_mm": 0.02, "wobble_mm": (0.0, 0.012, 0.0)}, {"size_mm": (1.0, 0.01)},
                   Goniometer(phi_deg=phi))
    assert plan.illumination.volume * 1e18 == pytest.approx(volume_um3, rel=1e-4)


@pytest.mark.parametrize(("owner", "settings", "where"), [
    (Crystal, {"wobble_cycles": 0}, "crystal.wobble_cycles"), (Crystal, {"wobble_mm": (1.0,)}, "crystal.wobble_mm"),
    (Crystal, {"size_mm": 0.0}, "crystal.size_mm"), (Crystal, {"size_mm": (0.1, 0.2)}, "crystal.size_mm"),
    (Crystal, {"habit": "needle"}, "crystal.habit"), (Crystal, {"strain": 0.2}, "crystal.strain"),
    (Crystal, {"mosaicity_deg": -1.0}, "crystal.mosaicity_deg"),
    (Crystal, {"mosaicity_deg": 0.1, "mosaic_spread_deg": 0.1}, "crystal.mosaicity_deg"),
    (Crystal, {"block_size_um": 1.0, "sample_size_mm": (0.1, 0.1, 0.1)}, "crystal.block_size_um"),
    (Beam, {"profile": "gaussian"}, "beam.profile"), (Beam, {"size_mm": (0.1, 0.1, 0.1)}, "beam.size_mm"),
    (Beam, {"bandwidth": 0.5}, "beam.bandwidth"), (Beam, {"divergence_mrad": -1.0}, "beam.divergence_mrad"),
    (Beam, {"divergence_mrad": 1.0, "hdiv_range_mrad": 1.0}, "beam.divergence_mrad"),
    (Beam, {"bandwidth": 0.01, "dispersion_percent": 1.0}, "beam.bandwidth"),
])
def test_refused(owner, settings, where):
    with pytest.raises(ConfigError) as refused:
        owner(**({"cell": CELL} if owner is Crystal else {}), **settings)
    assert refused.value.where == where


def test_block_in_micrometres():
    assert plan_of({"cells": (1, 1, 1), "block_size_um": 0.38}, {}).cells == (48.0, 48.0, 100.0)


@pytest.mark.requirement("AT-STR-002")
@pytest.mark.parametrize("size", [{"block_size_um": 0.38}, {"sample_size_mm": (3.8e-4,) * 3}])
def test_a_large_block_given_by_its_size_does_not_interpolate_structure_factors(size):
    grid = StructureFactors(0.0, np.random.default_rng(1).uniform(1.0, 9.0, (9, 9, 9)), (-4, -4, -4))
    plans = [make_plan(Experiment(Crystal(cell=CELL, **block), grid, semantics=semantics)) for semantics, block in (
        ("physical", size), ("physical", {"cells": (48, 48, 100)}), ("physical", {"cells": (2, 48, 100)}))]
    assert [plan.interpolate for plan in plans] == [False, False, True]


@pytest.mark.parametrize(("section", "setting", "value"), [
    ("crystal", "size_mm", 0.1), ("crystal", "mosaicity_deg", 0.1), ("crystal", "block_size_um", 1.0),
    ("crystal", "strain", 1e-3), ("beam", "divergence_mrad", 0.1), ("beam", "bandwidth", 1e-3),
    ("beam", "size_mm", 0.1)])
def test_nanobragg_semantics_refuses_them(section, setting, value):
    parts = {"crystal": Crystal(cell=CELL, **({setting: value} if section == "crystal" else {})),
             "beam": Beam(**({setting: value} if section == "beam" else {}))}
    with pytest.raises(ConfigError) as refused:
        Experiment(structure_factors=StructureFactors(100.0), semantics="nanobragg", **parts)
    assert refused.value.where == f"{section}.{setting}"
    assert "--semantics physical" in refused.value.what


def test_polarization_of_a_synchrotron_in_physical_semantics():
    experiment = Experiment(Crystal(cell=CELL), StructureFactors(100.0), semantics="physical")
    assert make_plan(experiment).kahn_factor == 0.998
    assert make_plan(Experiment(Crystal(cell=CELL), StructureFactors(100.0), semantics="nanobragg")).kahn_factor == 0.0
