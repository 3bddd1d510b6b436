"""The background: nonBragg's images, closed forms, and what the command line makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cubragg as cb
from cubragg.background.background_map import background_map
from cubragg.background.form_factor_table import AIR, WATER, FormFactor
from cubragg.background.ice_rings import A, C, ice_rings
from cubragg.background.radial_factor import radial_factor
from cubragg.background.upsampling import coarse_places, upsample, upsample_in_numpy
from cubragg.plan.make_plan import make_plan
from support.command import invoke
from support.messages import refused

DATA = np.load(Path(__file__).parents[1] / "data" / "nonbragg.npz")
R_E_SQR, AVOGADRO = 7.94079248018965e-30, 6.02214179e23


def experiment(background: cb.Background, beam: cb.Beam, size_mm: float, pixel_mm: float, distance_mm: float,
               centre: tuple[float, float] | None = None) -> cb.Experiment:
    """An experiment with hardly any Bragg scattering."""
    return cb.Experiment(
        cb.Crystal(cell=(50, 50, 50, 90, 90, 90)), cb.StructureFactors(default_F=1e-9), beam,
        cb.Detector(distance_mm=distance_mm, pixel_size_mm=pixel_mm, fast_size_mm=size_mm, slow_size_mm=size_mm,
                    beam_centre_mm=centre), background=background)


def photons(one: cb.Experiment, oversample: int | None = None) -> np.ndarray:
    return background_map(make_plan(one), one.background, one.beam.photons(), oversample)


# Command lines of nonBragg (bl831/nanoBragg, 2026-07), whose beam centre is (size -+ pixel) / 2 along fast and slow.
NONBRAGG = {
    "water": ("water_table", 0.1, 1.0, 18.0, {"wavelength_A": 1.0, "flux": 1e12, "beamsize_mm": 0.05}, 25.6, 0.2, 120),
    "air": ("air_table", 20, 0.0012, 28.0, {"wavelength_A": 0.9, "flux": 1e12, "exposure_s": 0.1, "beamsize_mm": 0.1},
            51.2, 0.4, 150),
    "water_div": ("water_table", 0.05, 1.0, 18.0, {
        "wavelength_A": 1.3, "fluence": 1e22, "beamsize_mm": 0.05, "hdiv_range_mrad": 4, "vdiv_range_mrad": 4,
        "hdiv_step_mrad": 3, "vdiv_step_mrad": 3, "dispersion_percent": 2, "dispersion_steps": 3}, 51.2, 0.4, 100),
}


@pytest.mark.parametrize("name", NONBRAGG)
def test_nonbragg(name):
    table, path, density, weight, beam, size, pixel, distance = NONBRAGG[name]
    one = experiment(cb.Background(scatterers=(cb.Scatterer(DATA[table], path, density, weight),)),
                     cb.Beam(**beam, kahn_factor=0.0), size, pixel, distance, ((size - pixel) / 2, (size + pixel) / 2))
    difference = photons(one)[::8] - DATA[name]
    assert np.abs(difference).max() < 1e-6 * DATA[name].max()


def test_peaks_of_a_table_are_not_exceeded():
    """nonBragg's polynomial goes to -1e4 times the image's mean between the lines of its table of ice rings."""
    assert DATA["ice"].min() < 0.0
    stol = np.linspace(0.0, 0.5, 100_001)
    factor = FormFactor(DATA["ice_table"])(stol)
    assert factor.min() == 0.0
    assert factor.max() <= DATA["ice_table"][:, 1].max()


def test_a_table_is_interpolated_through_its_lines_and_kept_beyond_them():
    table = np.array(WATER.table)
    factor = FormFactor(table)
    np.testing.assert_allclose(factor(table[:, 0]), table[:, 1], rtol=1e-12)
    assert factor(np.array([3.0]))[0] == table[-1, 1]
    cubic = np.array([(x, 2 + x + 3 * x**3) for x in (0.0, 0.1, 0.25, 0.4, 0.5)])
    np.testing.assert_allclose(FormFactor(cubic)(np.array([0.3, 0.35])), [2 + x + 3 * x**3 for x in (0.3, 0.35)])


def test_a_negative_structure_factor_takes_no_more_photons_than_there_are():
    water = WATER.scatterer(1.0)
    taken = replace(water, table=water.table * [1.0, -1.0])
    more = replace(taken, path_mm=0.5)
    one = experiment(cb.Background(scatterers=(water, more)), cb.Beam(flux=1e12), 20, 1, 100)
    np.testing.assert_allclose(photons(one), 0.5 * photons(replace(one, background=cb.Background(scatterers=(water,)))),
                               rtol=1e-5)
    np.testing.assert_array_equal(photons(replace(one, background=cb.Background(scatterers=(more,)))), 0.0)


def test_forward_scattering_of_water():
    """A pixel in the beam: r_e^2 photons F(0)^2 molecules per area, times its solid angle."""
    beam = cb.Beam(flux=1e12, beamsize_mm=0.003, polarized=False)
    one = experiment(cb.Background(water_um=5.0), beam, 0.3, 0.1, 1000)
    molecules = 5e-6 * 1e6 * AVOGADRO / 18.0
    expected = R_E_SQR * 1e12 * molecules * 2.57**2 * (1e-4 / 1.0) ** 2
    assert photons(one).max() == pytest.approx(expected, rel=1e-3)


def test_the_background_does_not_depend_on_the_crystal():
    one = experiment(cb.Background(water_um=50), cb.Beam(flux=1e12), 20, 1, 50)
    turned = replace(one, crystal=cb.Crystal(cell=(70, 80, 90, 90, 90, 90), misset_deg=(10, 20, 30)))
    np.testing.assert_array_equal(photons(one), photons(turned))
    spots = replace(one, structure_factors=cb.StructureFactors(default_F=1e7))
    without = replace(spots, background=cb.Background())
    difference = cb.simulate(spots, backend="numpy").photons - cb.simulate(without, backend="numpy").photons
    np.testing.assert_allclose(difference, photons(one), rtol=1e-3)


def test_air_sees_the_detector_from_where_it_is():
    """Air from 20 mm before to 30 mm behind the crystal is a sum of slices with detectors at other distances."""
    beam = cb.Beam(flux=1e12)
    found = photons(experiment(cb.Background(air_mm=(20, 30)), beam, 40, 1, 100))
    slices = [photons(experiment(cb.Background(scatterers=(AIR.scatterer(1.0),)), beam, 40, 1, 100 - at))
              for at in np.arange(-19.5, 30.0)]
    np.testing.assert_allclose(found, np.sum(slices, axis=0), rtol=1e-3)


def ice(distance: float, wavelength: float = 1.0, size: float = 200, pixel: float = 0.5, **settings: object
        ) -> tuple[cb.Experiment, np.ndarray]:
    beam = cb.Beam(wavelength_A=wavelength, flux=1e12, polarized=False)
    one = experiment(cb.Background(ice_um=10.0, **settings), beam, size, pixel, distance)
    return one, photons(one)


def test_ice_rings_are_at_their_angles_with_their_photons():
    one, image = ice(120.0)
    centre, pixel = one.placed().frame, 0.5
    slow, fast = (np.indices(image.shape) + 0.5) * pixel
    radius = np.hypot(fast - 1e3 * centre.fbeam, slow - 1e3 * centre.sbeam)
    theta2 = np.degrees(np.arctan2(radius, 120.0))
    for d in (3.897, 3.665, 3.441, 2.670, 2.250, 2.071):  # cell of the specification, 4.5 and 7.33 A
        angle = 2 * math.degrees(math.asin(1.0 / (2 * d)))
        near = np.abs(theta2 - angle) < 0.4
        assert np.average(theta2[near], weights=image[near]**2) == pytest.approx(angle, abs=0.05)
    # Warren, X-ray Diffraction (1969), the photons of a whole ring; 2.25 A is (110), alone and wholly on the detector.
    ring = min(ice_rings(), key=lambda ring: abs(ring.d_A - 2.25))
    sine = 1.0 / (2 * 2.25)
    whole = R_E_SQR * 1e20 * 1e12 * 10e4 * 1.0**3 * ring.strength / (4 * sine)
    angle = 2 * math.degrees(math.asin(sine))
    assert image[np.abs(theta2 - angle) < 1.0].sum() == pytest.approx(whole, rel=0.01)


def test_structure_factors_of_ice():
    """(002): four oxygens at +-z and 1/2 +- z, and their hydrogens, by hand without atomic displacement."""
    gemmi = pytest.importorskip("gemmi")
    d = C / 2
    oxygen, hydrogen = (gemmi.Element(name).it92.calculate_sf(0.25 / d**2) for name in ("O", "H"))
    phase = lambda z: math.cos(2 * math.pi * 2 * z)  # noqa: E731
    f = 4 * oxygen * phase(0.0622) + 0.5 * hydrogen * (4 * phase(0.197) + 12 * phase(0.018))
    volume = A * A * C * math.sqrt(0.75)
    ring = min(ice_rings(), key=lambda ring: abs(ring.d_A - d))
    assert ring.strength == pytest.approx(2 * f * f * math.exp(-1.5 / (2 * d * d)) / volume**2, rel=1e-6)


def test_grains_keep_the_photons_of_a_ring():
    _, smooth = ice(60.0, size=250)
    _, spotty = ice(60.0, size=250, ice_grains=40, ice_seed=3)
    _, many = ice(60.0, size=250, ice_grains=1_000_000)
    assert spotty.max() > 3 * smooth.max()
    assert spotty.sum() == pytest.approx(smooth.sum(), rel=0.03)
    np.testing.assert_allclose(many, smooth, atol=0.05 * smooth.max())
    np.testing.assert_array_equal(spotty, ice(60.0, size=250, ice_grains=40, ice_seed=3)[1])


def test_given_maps_are_added():
    image = np.arange(400, dtype=np.float32).reshape(20, 20)
    one = experiment(cb.Background(constant=2.0, image=image), cb.Beam(), 20, 1, 100)
    np.testing.assert_array_equal(photons(one), image + 2)
    radial = experiment(cb.Background(radial=[[0.0, 7.0], [10.0, 7.0]]), cb.Beam(), 20, 1, 100)
    np.testing.assert_array_equal(photons(radial), 7.0)
    with pytest.raises(cb.ConfigError, match=r"background\.image.*20 x 20.*30"):
        photons(replace(one, detector=cb.Detector(pixel_size_mm=1, fast_pixels=30, slow_pixels=30)))


def test_pixels_that_are_not_rendered_have_no_background():
    mask = np.ones((20, 20), dtype=bool)
    mask[3, 4] = False
    one = replace(experiment(cb.Background(water_um=100, constant=1.0), cb.Beam(flux=1e12), 20, 1, 100),
                  sampling=cb.Sampling(mask=mask, roi=(2, 15, 1, 18)))
    found = photons(one) > 0
    expected = np.zeros((20, 20), dtype=bool)
    expected[1:19, 2:16] = mask[1:19, 2:16]
    np.testing.assert_array_equal(found, expected)


def test_a_background_is_written_and_read():
    one = experiment(cb.Background(water_um=1.5, air_mm=(1, 2), ice_um=3, ice_grains=5, constant=0.1,
                                   scatterers=(AIR.scatterer(2.0),), radial=[[0, 1], [1, 2]],
                                   image=np.eye(20, dtype=np.float32)), cb.Beam(), 20, 1, 100)
    assert cb.Experiment.from_toml(one.to_toml()) == one


@pytest.mark.parametrize(("settings", "where"), [
    ({"water_um": -1}, "water_um"), ({"air_mm": (1, -2)}, "air_mm"), ({"ice_grains": 0}, "ice_grains"),
    ({"radial": [[0, 1], [0, 2]]}, "radial"), ({"image": [[-1.0]]}, "image"), ({"image": [[float("nan")]]}, "image"),
    ({"constant": float("inf")}, "constant")])
def test_settings_that_no_background_has(settings, where):
    with pytest.raises(cb.ConfigError) as error:
        cb.Background(**settings)
    assert error.value.where == f"background.{where}"


def test_nanobragg_semantics_have_no_background():
    with pytest.raises(cb.ConfigError, match="--semantics physical"):
        replace(experiment(cb.Background(water_um=1), cb.Beam(), 20, 1, 100), semantics="nanobragg")


def test_outliers_are_left_out_of_a_ring():
    rng = np.random.default_rng(1)
    stol = np.linspace(0.1, 0.1001, 10_000)
    counts = rng.poisson(9.0, stol.size).astype(float)
    counts[::100] += 500  # Bragg spots
    found = radial_factor(counts, stol, np.full(stol.shape, 4.0), np.ones(stol.shape, dtype=bool), bins=2)
    assert pytest.approx([1.5, 1.5], abs=0.02) == found.F
    assert found.left_out.sum() >= 100
    assert found.sigma_F == pytest.approx([1.5 / 2 / math.sqrt(5000 * 9)] * 2, rel=0.05)


LINE = "simulate -default_F 300 -cell 50 60 70 90 90 90 -N 10 -lambda 1.2 -detpixels 150 -pixel 0.6 -flux 1e12 --quiet "


def test_the_background_of_an_image_is_reproduced(tmp_path):
    """cubragg background, and its table as a background: the same photons between the spots."""
    physical = LINE + "-exposure 0.5 -semantics physical "
    assert invoke(f"{physical} --background water=100,air=10:20 --cbffile {tmp_path}/a.cbf -seed 1").exit_code == 0
    found = invoke(f"background {tmp_path}/a.cbf -o {tmp_path}/a.stol --bins 60 -exposure 0.5")
    assert found.exit_code == 0
    assert "--background stol=" in found.stderr
    assert invoke(f"{physical} --background stol={tmp_path}/a.stol:1 --cbffile {tmp_path}/b.cbf -seed 2").exit_code == 0
    a, b = (cb.read(tmp_path / name).counts() for name in ("a.cbf", "b.cbf"))
    assert np.median(b) == pytest.approx(np.median(a), rel=0.01)
    assert b[:20].mean() == pytest.approx(a[:20].mean(), rel=0.02)


@pytest.mark.parametrize(("flags", "keyword"), [
    ("--background water=5", "--semantics physical"), ("-semantics physical --background watr=5", "water=UM"),
    ("-semantics physical --background water=x", "water=x"), ("-semantics physical --background air=1:2:3", "air"),
    ("-semantics physical --background stol=no.stol:1", "no.stol"), ("-semantics physical -stol no.stol", "no.stol"),
    ("-semantics physical --background water=-5", "-5")])
def test_bad_backgrounds_on_the_line(flags, keyword, tmp_path):
    result = invoke(f"{LINE} {flags} -floatfile {tmp_path}/f.bin")
    assert result.exit_code == 2
    assert keyword in result.stderr
    assert not (tmp_path / "f.bin").exists()


def test_what_is_no_image_has_no_background(tmp_path):
    (tmp_path / "a.txt").write_text("some words\n")
    refused(invoke(f"background {tmp_path}/a.txt -o {tmp_path}/a.stol"), 1, f"{tmp_path}/a.txt", "", "not an image")
    assert not (tmp_path / "a.stol").exists()


def test_stol_is_material_in_physical_semantics_only(tmp_path):
    (tmp_path / "w.stol").write_text("0 2.57\n1 2.57\n")
    line = f"{LINE} -stol {tmp_path}/w.stol -floatfile {tmp_path}/f.bin".replace("--quiet", "")
    ignored = invoke(line)
    assert "-stol: no effect, as in nanoBragg" in ignored.stderr
    assert invoke(f"{line} -semantics physical -density 0.5").exit_code == 0
    half = np.fromfile(tmp_path / "f.bin", dtype=np.float32).mean()
    assert invoke(f"{line} -semantics physical").exit_code == 0
    assert np.fromfile(tmp_path / "f.bin", dtype=np.float32).mean() == pytest.approx(2 * half, rel=0.01)


@pytest.mark.parametrize("detector", [
    cb.Detector(distance_mm=60.0, pixel_size_mm=0.1, fast_pixels=203, slow_pixels=190, twotheta_deg=20.0),
    cb.Detector.named("pilatus300k", distance_mm=100.0)])
def test_a_coarse_map_is_the_map(detector):
    """Also at another wavelength and distance, for which parts of the map before are used again."""
    background = cb.Background(water_um=50.0, air_mm=(10.0, 20.0), constant=1.5)
    for wavelength, moved in ((1.0, 0.0), (1.1, 0.0), (1.1, 3.0)):
        place = replace(detector, distance_mm=detector.distance_mm + moved)
        experiment = cb.Experiment(cb.Crystal(cell=(50, 60, 70, 90, 90, 90)), cb.StructureFactors(1.0),
                                   cb.Beam(wavelength_A=wavelength), place, sampling=cb.Sampling(roi=(3, 150, 5, 171)))
        plan = make_plan(experiment)
        exact, coarse = (background_map(plan, background, 1e10, coarse=coarse) for coarse in (False, True))
        assert np.array_equal(coarse == 0.0, exact == 0.0)
        error = np.abs(coarse[exact > 0.0] / exact[exact > 0.0] - 1.0)
        assert error.max() < 1e-2
        assert np.median(error) < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (37, 1203)])
def test_maps_are_interpolated_with_the_same_bits_with_and_without_a_compiler(shape):
    points = [len(coarse_places(count)) for count in shape]
    coarse = np.random.default_rng(1).normal(1.0, 1.0, points).astype(np.float32)
    compiled, plain = np.full((2, shape[0], shape[1] + 3), -1.0, dtype=np.float32)[:, :, :-3]
    upsample(coarse, compiled)
    upsample_in_numpy(coarse, plain)
    assert np.array_equal(compiled, plain)
    assert np.array_equal(plain[::8, ::8], np.maximum(coarse[1:-2, 1:-2], 0.0))


def test_a_cubic_polynomial_is_interpolated_exactly():
    x, y = np.meshgrid(*(coarse_places(count) / 50.0 for count in (40, 29)))
    image = np.empty((29, 40), dtype=np.float32)
    upsample((5.0 + x**3 - 2.0 * x * y**2 + y).astype(np.float32), image)
    x, y = np.meshgrid(np.arange(40) / 50.0, np.arange(29) / 50.0)
    np.testing.assert_allclose(image, 5.0 + x**3 - 2.0 * x * y**2 + y, rtol=1e-6)
