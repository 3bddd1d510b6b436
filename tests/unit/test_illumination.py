"""The illuminated part of a crystal: volumes of closed form, and what multiplies the photons of a block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cubragg import Beam, ConfigError, Crystal, Detector, Experiment, Goniometer, StructureFactors
from cubragg.plan.plan import Plan, make_plan

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


@pytest.mark.parametrize(("owner", "settings", "where"), [
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
