"""Beam stop, direct beam and the node 0 0 0: what hides and what does not scatter."""

from __future__ import annotations

import dataclasses
import math
import sys

import numpy as np
import pytest

from cubragg import (
    Background,
    Beam,
    BeamStop,
    ConfigError,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    StructureFactors,
    simulate,
)
from support.messages import refusal

#: The beam hits the middle of the detector; the fast axis is along the polarization.
SCENE = Experiment(
    Crystal(cell=(60.0, 60.0, 60.0, 90.0, 90.0, 90.0), cells=(10, 10, 10)),
    StructureFactors(0.0, np.full((1, 1, 1), 1.0)),
    Beam(wavelength_A=1.0, flux=1e12, size_mm=0.1, kahn_factor=0.0),
    Detector(convention="xds", distance_mm=100.0, pixel_size_mm=0.1, fast_pixels=100, slow_pixels=80, orgx=50.5,
             orgy=40.5), background=Background(constant=100.0))


def shadow(stop: BeamStop, **crystal) -> np.ndarray:
    """Fraction of an even background that passes the stop."""
    experiment = dataclasses.replace(SCENE, beamstop=stop, crystal=dataclasses.replace(SCENE.crystal, **crystal))
    return simulate(experiment).photons / 100.0


def test_a_disc_is_projected_from_the_crystal():
    """2 mm at 50 mm are 4 mm at 100 mm: 40 pixels across."""
    passed = shadow(BeamStop(2.0, 50.0))
    assert (1.0 - passed).sum() == pytest.approx(math.pi * 20.0**2, rel=2e-3)
    assert passed[40, 50] < 1e-9
    assert passed[40, 28] > 0.9999
    assert passed[:, 50:][40, :25].tolist() == passed[:, 49::-1][40, :25].tolist()


def test_a_rectangle_with_its_offset():
    """Along the polarization (fast) and across it; XDS has that direction down or up the slow axis."""
    passed = shadow(BeamStop((1.0, 2.0), 50.0, offset_mm=(0.5, 0.0)))
    assert (1.0 - passed).sum() == pytest.approx(20.0 * 40.0, rel=2e-3)
    fast = (1.0 - passed).sum(axis=0)
    assert fast @ (np.arange(100) + 0.5) / fast.sum() == pytest.approx(60.0, abs=0.01)


def test_the_arm_leaves_the_stop_on_one_side():
    passed = shadow(BeamStop(1.0, 50.0, arm_mm=0.2, arm_deg=0.0))
    assert (1.0 - passed[40, 99:75:-1]).min() > 0.99
    assert passed[40, :30].min() == 1.0
    assert (1.0 - passed[:, 90]).sum() == pytest.approx(4.0, rel=1e-2)


def test_the_crystal_softens_the_edge(monkeypatch):
    """A crystal of 1 mm at the plane of a stop half-way: its edge is 0.5 mm / sqrt(12) on the stop, twice that on the
    detector."""
    monkeypatch.setattr(sys.modules[__name__], "SCENE", dataclasses.replace(SCENE, beam=dataclasses.replace(
        SCENE.beam, size_mm=5.0)))
    passed = shadow(BeamStop(3.0, 50.0), size_mm=1.0)
    profile = np.diff(passed[40, 50:].astype(np.float64))
    place = np.arange(len(profile))
    mean = profile @ place / profile.sum()
    sigma = math.sqrt(profile @ (place - mean) ** 2 / profile.sum())
    assert sigma == pytest.approx(math.hypot(10.0 / math.sqrt(12.0), 1.0 / math.sqrt(12.0)), rel=0.03)


def test_reflections_behind_the_stop_have_no_photons():
    factors = StructureFactors(100.0)
    crystal = Crystal(cell=(40.0, 40.0, 40.0, 90.0, 90.0, 90.0), cells=(10, 10, 10), misset_deg=(10.0, 20.0, 30.0))
    plain = dataclasses.replace(SCENE, crystal=crystal, structure_factors=factors, background=Background(),
                                goniometer=Goniometer(0.0, 1.0, phi_steps=10))
    stop = BeamStop((4.0, 2.5), 50.0)
    image, hidden = simulate(plain), simulate(dataclasses.replace(plain, beamstop=stop))
    table, shadowed = (one.reflections(min_photons=0.0) for one in (image, hidden))
    assert shadowed.photons.sum() == pytest.approx(float(hidden.photons.sum(dtype=np.float64)), rel=1e-5)
    assert shadowed.photons.sum() < 0.95 * table.photons.sum()


@pytest.mark.parametrize("factors", [
    StructureFactors(100.0), StructureFactors(100.0, np.full((3, 3, 3), 50.0), (-1, -1, -1)),
    StructureFactors(100.0, np.full((2, 2, 2), 50.0), (3, 3, 3))])
def test_the_node_0_0_0_is_not_scattering(factors):
    """Unless it is asked for: half a cell around the beam is then as bright as in nanobragg semantics."""
    experiment = dataclasses.replace(SCENE, structure_factors=factors, background=Background(), crystal=Crystal(
        cell=(20.0, 20.0, 20.0, 90.0, 90.0, 90.0), cells=(5, 5, 5)))
    middle = np.s_[38:42, 48:52]
    assert not simulate(experiment).photons[middle].any()
    asked = dataclasses.replace(experiment, structure_factors=dataclasses.replace(factors, F000=100.0))
    nanobragg = dataclasses.replace(experiment, semantics="nanobragg", structure_factors=StructureFactors(100.0),
                                    beam=Beam(wavelength_A=1.0, fluence=experiment.beam.photons_per_m2()))
    np.testing.assert_allclose(simulate(asked).photons[middle], simulate(nanobragg).photons[middle], rtol=1e-5)


def test_the_direct_beam():
    """A millionth of 1e12 photons, in the middle and as wide as the beam; a stop hides it."""
    beam = dataclasses.replace(SCENE.beam, direct_fraction=1e-6, profile="gaussian", size_mm=0.5)
    experiment = dataclasses.replace(SCENE, beam=beam, background=Background())
    photons = simulate(experiment).photons.astype(np.float64)
    assert photons.sum() == pytest.approx(1e6, rel=1e-4)
    fast = photons.sum(axis=0)
    assert fast @ (np.arange(100) + 0.5) / fast.sum() == pytest.approx(50.0, abs=0.01)
    assert math.sqrt(fast @ (np.arange(100) - 49.5) ** 2 / fast.sum()) == pytest.approx(5.0 / 2.3548, rel=0.02)
    assert simulate(dataclasses.replace(experiment, beamstop=BeamStop(5.0, 50.0))).photons.sum() < 1e-3


@pytest.mark.parametrize("profile", ["flat", "gaussian"])
@pytest.mark.parametrize("width", [(0.005, 0.003), (0.02, 0.6), (0.35, 0.35)])
@pytest.mark.parametrize("beside", [0.0, 0.37])
def test_a_narrow_direct_beam_keeps_its_photons(profile, width, beside):
    """In each row and column those of the closed form, however small the beam is and wherever in a pixel it hits."""
    beam = dataclasses.replace(SCENE.beam, direct_fraction=1e-6, profile=profile, size_mm=width)
    detector = dataclasses.replace(SCENE.detector, orgx=50.5 + beside, orgy=40.5 - beside)
    photons = simulate(dataclasses.replace(SCENE, beam=beam, detector=detector, background=Background())).photons
    for axis, pixels, centre, size in ((0, 100, 50.0 + beside, width[0]), (1, 80, 40.0 - beside, width[1])):
        edges = (np.arange(pixels + 1) - centre) * 0.1 / size
        below = (np.clip(edges + 0.5, 0.0, 1.0) if profile == "flat"
                 else np.array([0.5 * math.erfc(-2.0 * math.sqrt(math.log(2.0)) * edge) for edge in edges]))
        np.testing.assert_allclose(photons.sum(axis=axis), 1e6 * np.diff(below), atol=4e3)
    assert photons.sum(dtype=np.float64) == pytest.approx(1e6, rel=1e-3)


def test_settings():
    experiment = dataclasses.replace(SCENE, beamstop=BeamStop((1.0, 2.0), arm_mm=0.3))
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    with pytest.raises(ConfigError) as refused:
        dataclasses.replace(experiment, semantics="nanobragg", background=Background(), beam=Beam())
    assert refused.value.where == "beamstop.size_mm"
    with pytest.raises(ConfigError) as refused:
        BeamStop(distance_mm=0.0)
    assert refused.value.where == "beamstop.distance_mm"


def test_a_stop_behind_the_detector_is_refused():
    with refusal(ConfigError, "beamstop.distance_mm", "120 mm", "detector", "100 mm"):
        shadow(BeamStop(distance_mm=120.0))
    assert shadow(BeamStop(distance_mm=99.0)).min() < 0.1
