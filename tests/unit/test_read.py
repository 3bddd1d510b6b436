"""cubragg.read: every kind of file is recognized by its content."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cubragg as cb
from support.command import invoke

CRYSTAL = cb.Crystal(cell=(50, 60, 70, 90, 90, 90), cells=(10, 10, 10), misset_deg=(10, 20, 30))
FACTORS = cb.StructureFactors(default_F=100)
EXPERIMENT = cb.Experiment(
    CRYSTAL, FACTORS, cb.Beam(wavelength_A=1.2, kahn_factor=0.5),
    cb.Detector(distance_mm=100, pixel_size_mm=0.5, fast_pixels=60, slow_pixels=50),
    cb.Goniometer(10, 0.5, phi_steps=2))


@pytest.fixture(scope="module")
def image():
    return cb.simulate(EXPERIMENT, backend="numpy")


@pytest.mark.parametrize("name", ["a.cbf", "a.nxs", "a.h5"])
def test_an_image_with_a_geometry_is_read_back(image, tmp_path, name):
    image.save(tmp_path / name, seed=3)
    read = cb.read(tmp_path / name)
    assert isinstance(read, cb.Image)
    np.testing.assert_array_equal(read.counts(), image.counts(seed=3))
    assert read.warnings == ()
    assert read.experiment.beam.wavelength_A == pytest.approx(1.2, rel=1e-6)
    assert (read.experiment.goniometer.phi_deg, read.experiment.goniometer.osc_deg) == pytest.approx((10, 0.5))
    # MOSFLM's default beam centre is (size + pixel) / 2, counted from half a pixel before the corner; frame of DIALS.
    origin, = (panel.origin_mm for panel in read.experiment.detector.panels)
    assert origin == pytest.approx((-(30 + 0.5) / 2 - 0.25, (25 + 0.5) / 2 + 0.25, -100.0), abs=1e-3)


def test_an_image_is_converted_to_another_format(image, tmp_path):
    image.save(tmp_path / "a.nxs", seed=3)
    cb.read(tmp_path / "a.nxs").save(tmp_path / "b.cbf")
    image.save(tmp_path / "c.cbf", seed=3)
    converted, direct = cb.read(tmp_path / "b.cbf"), cb.read(tmp_path / "c.cbf")
    np.testing.assert_array_equal(converted.counts(), direct.counts())
    for mine, its in zip(converted.experiment.detector.panels, direct.experiment.detector.panels, strict=True):
        assert mine.origin_mm == pytest.approx(its.origin_mm, abs=1e-6)


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_an_image_without_a_geometry(image, tmp_path, name):
    image.save(tmp_path / name, seed=3)
    read = cb.read(tmp_path / name)
    np.testing.assert_array_equal(read.counts(), image.counts(seed=3))
    assert read.experiment == cb.ExperimentParts()
    with pytest.raises(cb.FormatError, match="geometry"):
        read.save(tmp_path / "b.cbf")
    assert read._repr_png_().startswith(b"\x89PNG")


def test_a_read_image_is_rendered_again_with_a_crystal(image, tmp_path):
    image.save(tmp_path / "a.nxs")
    again = cb.simulate(cb.read(tmp_path / "a.nxs").experiment.complete(FACTORS, CRYSTAL), backend="numpy")
    assert again.photons.shape == image.photons.shape
    with pytest.raises(cb.ConfigError, match="crystal"):
        cb.read(tmp_path / "a.nxs").experiment.complete(FACTORS)


@pytest.mark.parametrize("convention", ["mosflm", "xds", "denzo"])
@pytest.mark.parametrize("name", ["a.nxs", "a.cbf", "a.expt", "a.geom"])
def test_a_crystal_of_another_laboratory_frame_gives_the_image_again(tmp_path, name, convention):
    """The image of nanoBragg's convention is the reference: a rotation of everything together changes no pixel."""
    base = cb.Experiment(
        cb.Crystal(cell=(40, 50, 60, 90, 100, 90), misset_deg=(10, 20, 30), cells=(20, 20, 20), mosaicity_deg=0.05,
                   shape="gauss", size_mm=(0.1, 0.2, 0.3), offset_mm=(0.02, 0.1, -0.08), wobble_mm=(0.05, 0.03, 0.06)),
        cb.StructureFactors(default_F=300.0), cb.Beam(wavelength_A=1.2, flux=1e12, size_mm=0.4, kahn_factor=0.9),
        cb.Detector(convention=convention, distance_mm=100, pixel_size_mm=0.4, fast_pixels=120, slow_pixels=100,
                    beam_centre_mm=(20.0, 18.0)), cb.Goniometer(10.0, 2.0))
    expected = cb.simulate(base, method="analytic")
    path = tmp_path / name
    if name in ("a.nxs", "a.cbf"):
        expected.save(path)
    else:
        toml = tmp_path / "a.toml"
        toml.write_text(base.to_toml())
        assert invoke(["--config", str(toml), "--method", "analytic", f"--{path.suffix[1:]}", str(path), "--quiet",
                       "-floatfile", str(tmp_path / "a.bin")]).exit_code == 0
    read = cb.read(path, **({"wavelength_A": 1.2, "distance_mm": 100.0} if name == "a.geom" else {}))
    parts = read.experiment if isinstance(read, cb.Image) else read
    again = parts.complete(base.structure_factors, crystal_of=base, beam=base.beam, goniometer=base.goniometer)
    got = cb.simulate(again, method="analytic")
    np.testing.assert_allclose(got.photons, expected.photons, atol=1e-4 * expected.photons.max())
    assert expected.photons.max() > 10.0


def test_a_folder_is_read_as_a_data_set(tmp_path):
    with pytest.raises(cb.FormatError, match=r"Stills\.read"):
        cb.read(tmp_path)


def test_a_crystal_and_one_of_an_experiment_are_refused(image, tmp_path):
    image.save(tmp_path / "a.nxs")
    parts = cb.read(tmp_path / "a.nxs").experiment
    with pytest.raises(cb.ConfigError, match="crystal_of: got a crystal as well"):
        parts.complete(FACTORS, CRYSTAL, crystal_of=EXPERIMENT)
    with pytest.raises(cb.ConfigError, match="experiment: got Crystal"):
        parts.complete(FACTORS, crystal_of=CRYSTAL)


def test_a_read_image_has_no_reflections(image, tmp_path):
    image.save(tmp_path / "a.cbf")
    with pytest.raises(cb.ConfigError, match=r"a\.cbf.*complete"):
        cb.read(tmp_path / "a.cbf").reflections()


def test_a_header_without_a_distance_is_a_warning(tmp_path):
    (tmp_path / "a.img").write_bytes(
        b"{\nHEADER_BYTES=  512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1=4;\nSIZE2=2;\n}"
        .ljust(512) + np.arange(8, dtype="<u2").tobytes())
    read = cb.read(tmp_path / "a.img")
    assert read.pixels.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert read.experiment.detector is None
    warning, = read.warnings
    assert "geometry" in warning
    assert "a.img" in warning


def test_toml_is_an_experiment(tmp_path):
    for name in ("a.toml", "settings"):
        (tmp_path / name).write_text(EXPERIMENT.to_toml())
        assert cb.read(tmp_path / name) == EXPERIMENT


def test_the_configuration_of_a_run_is_its_experiment(tmp_path):
    """``--save-config`` names the file of structure factors in place of the grid, relative to its own folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.hkl").write_text("1 2 3 10.5\n-1 0 2 20\n0 0 1 4\n")
    line = (f"-hkl {tmp_path}/data/a.hkl -cell 50 60 70 90 90 90 -N 5 -default_F 2 --F000 9 -detpixels 8 -pixel 1 "
            f"-lambda 1.1 --semantics physical --save-config {tmp_path}/a.toml --save {tmp_path}/a.npy --quiet")
    assert invoke(f"simulate {line}").exit_code == 0
    experiment = cb.read(tmp_path / "a.toml")
    factors = cb.read(tmp_path / "data" / "a.hkl")
    assert experiment.structure_factors.F000 == 9.0
    assert experiment.structure_factors.default_F == 2.0
    np.testing.assert_array_equal(np.where(factors.grid > 0.0, factors.grid, 2.0), experiment.structure_factors.grid)
    assert "hkl_file" in experiment.to_toml(tmp_path)
    (tmp_path / "data" / "a.hkl").write_text("1 2 3 11\n")
    with pytest.raises(cb.FormatError, match=r"hkl_file.*SHA-256"):
        cb.read(tmp_path / "a.toml")
    (tmp_path / "data" / "a.hkl").unlink()
    with pytest.raises(cb.FormatError, match=r"hkl_file.*no such file"):
        cb.read(tmp_path / "a.toml")


def test_a_list_of_reflections_is_structure_factors(tmp_path):
    (tmp_path / "a.hkl").write_text("1 2 3 10.5\n-1 0 2 20\n")
    factors = cb.read(tmp_path / "a.hkl")
    assert isinstance(factors, cb.StructureFactors)
    assert factors.grid[2, 2, 1] == 10.5
    assert factors.origin == (-1, 0, 2)


def test_experiment_files_are_parts(tmp_path):
    line = (f"-cell 50 60 70 80 90 90 -misset 1 2 3 -default_F 1 -N 3 -detpixels 8 -pixel 1 -lambda 1.1 "
            f"--expt {tmp_path}/a.expt --geom {tmp_path}/a.geom -floatfile {tmp_path}/a.bin --quiet")
    assert invoke(f"simulate {line}").exit_code == 0
    parts = cb.read(tmp_path / "a.expt")
    assert parts.crystal.lattice("physical").volume == pytest.approx(50 * 60 * 70 * np.sin(np.radians(80)), rel=1e-6)
    assert parts.complete(FACTORS).beam.wavelength_A == 1.1
    geometry = cb.read(tmp_path / "a.geom")
    assert geometry.crystal is None
    assert geometry.detector.shape() == (8, 8)
    assert cb.read(tmp_path / "a.geom", wavelength_A=2.0, distance_mm=77.0).detector.distance_mm == 77.0


def test_a_geometry_without_a_wavelength(tmp_path):
    (tmp_path / "a.geom").write_text(
        "clen = 0.1\nres = 10000\na/min_fs = 0\na/max_fs = 7\na/min_ss = 0\na/max_ss = 7\na/corner_x = -4\n"
        "a/corner_y = -4\na/fs = x\na/ss = y\n")
    with pytest.raises(cb.ConfigError, match="wavelength_A"):
        cb.read(tmp_path / "a.geom")
    assert cb.read(tmp_path / "a.geom", wavelength_A=1.3).beam.wavelength_A == 1.3


@pytest.mark.parametrize(("name", "content", "keyword"), [
    ("a.pdb", "CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 1\nATOM      1\n", "cubragg sf"),
    ("a.txt", "hello world\n", "a.txt"),
    ("a.expt", json.dumps({"no": "models"}), "a.expt"),
    ("a.toml", "[beam]\nwavelength = 1\n", "wavelength_A"),
])
def test_other_files_are_refused(tmp_path, name, content, keyword):
    (tmp_path / name).write_text(content)
    with pytest.raises(cb.FormatError, match=keyword):
        cb.read(tmp_path / name)
