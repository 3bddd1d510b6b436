"""Rotation series, and the files that other programs read, from the command line."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import fabio
import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

import cubragg.io.images.raw
import cubragg.io.images.smv
import cubragg.run.batch
from cubragg import render_series, simulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.detect.noise import noise_counts
from cubragg.errors import ConfigError
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.smv import read_smv
from support.command import SMALL, smv
from support.messages import refusal, refused, states, warned

SERIES = f"{SMALL} -phi 3 -osc 2 --images 3 --quiet "


@pytest.fixture
def alone(run, folder):
    """``alone(phi, line)``: photons of an image that starts at phi, rendered by a run of its own."""
    def rendered(phi: float, line: str = ""):
        assert run(f"{SMALL} {line} -phi {phi} -osc 2 -floatfile one.bin --quiet").exit_code == 0
        photons = np.fromfile("one.bin", "<f4").reshape(12, 12)
        os.remove("one.bin")
        return photons
    return rendered


@pytest.mark.requirement("AT-FMT-012")
@pytest.mark.parametrize("flags", ["--backend numpy", "--backend cpu", "-hkl P1.hkl -interpolate"])
def test_each_image_is_that_of_a_run_of_its_own(flags, run, inputs, alone):
    assert run(f"{SERIES} {flags} -floatfile f.bin").exit_code == 0
    for number, phi in enumerate((3, 5, 7), start=1):
        np.testing.assert_array_equal(np.fromfile(f"f_000{number}.bin", "<f4").reshape(12, 12), alone(phi, flags))


@pytest.mark.requirement("AT-FMT-012")
def test_the_phi_of_exactly_0_is_minded_in_each_image(run, alone):
    """In nanobragg semantics a step at 0 keeps the rotation of the step before it."""
    assert run(f"{SERIES} -phi -2 -floatfile f.bin").exit_code == 0
    for number, phi in enumerate((-2, 0, 2), start=1):
        np.testing.assert_array_equal(np.fromfile(f"f_000{number}.bin", "<f4").reshape(12, 12), alone(phi))


@pytest.mark.requirement("AT-FMT-012")
def test_files_seeds_and_headers(run, folder, alone):
    (folder / "sub.d").mkdir()
    line = SERIES.replace("--quiet", "")
    result = run(f"{line} -intfile i.x.img -scale 1 -noisefile sub.d/n -floatfile /dev/null --nxmx s.h5")
    assert result.exit_code == 0
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "i.x_0001.img", "i.x_0002.img", "i.x_0003.img", "s.h5", "sub.d/n_0001", "sub.d/n_0002", "sub.d/n_0003"]
    files = result.stderr.splitlines()[-1].split(None, 1)[1]
    assert files.replace("/dev/null, ", "") == (
        "i.x_0001.img to i.x_0003.img, sub.d/n_0001 to sub.d/n_0003, s.h5")
    lines = result.stderr.splitlines()
    images = [alone(phi) for phi in (3, 5, 7)]
    pixels = np.stack(images).astype(float)
    brightest = int(np.argmax([image.max() for image in images])) + 1
    assert "  images            3" in lines
    assert "  series            3 images from 3 to 9 deg" in lines
    assert f"  mean              {pixels.mean():g}" in lines
    assert f"  rms               {np.sqrt((pixels**2).sum() / (pixels.size - 1)):g}" in lines
    assert f"  rmsd              {np.sqrt(((pixels - pixels.mean())**2).sum() / (pixels.size - 1)):g}" in lines
    assert any(line.startswith(f"  max               {pixels.max():g} photons at ")
               and line.endswith(f" of image {brightest}") for line in lines)
    counts = sum(noise_counts(image, (0, 11, 0, 11), 1, shot=shot).sum() for shot, image in enumerate(images))
    assert any(line.startswith(f"  noise             {counts:.0f} photons, ") for line in lines)
    assert "  noise seed        1, philox" in lines
    for number, phi in enumerate((3, 5, 7), start=1):
        file = read_smv(f"sub.d/n_000{number}")
        assert (file.header["OSC_START"], file.header["OSC_RANGE"]) == (f"{phi}", "2")
        np.testing.assert_array_equal(file.pixels, noise_counts(alone(phi), (0, 11, 0, 11), 1, shot=number - 1) + 40)


def test_each_with_a_scale_of_its_own_is_warned_of(run):
    line = f"{SERIES.replace('--quiet', '')} -intfile i.img"
    assert warned(run(line).stderr, "-intfile", "", "maximum", "-scale")
    assert not warned(run(f"{line} -scale 3").stderr, "-intfile")


@pytest.mark.requirement("AT-FMT-012")
def test_one_nxmx_for_all_and_one_cbf_each(run, alone):
    assert run(f"{SERIES} --nxmx s.h5 -cbffile c.cbf --tiff t.tif").exit_code == 0
    with h5py.File("s.h5") as file:
        data = np.array(file["entry/data/data"])
    for number, phi in enumerate((3, 5, 7), start=1):
        counts = noise_counts(alone(phi), (0, 11, 0, 11), 1, shot=number - 1)
        np.testing.assert_array_equal(data[number - 1], counts)
        written, header = read_cbf(f"c_000{number}.cbf")
        np.testing.assert_array_equal(written, counts)
        assert header["Start_angle"] == f"{phi} deg."
        with fabio.open(f"t_000{number}.tif") as image:
            np.testing.assert_array_equal(image.data, counts)


@pytest.mark.requirement("AT-FMT-009")
@pytest.mark.parametrize(("flags", "dtype", "absent"), [
    ("--nxmx-type float32 -nonoise", np.float32, -1), ("--nxmx-type uint16 -scale 3", np.uint16, 65535),
    ("--nxmx-type int32 -scale 3 -nonoise", np.int32, -1)])
def test_types_of_pixels(flags, dtype, absent, run, folder):
    mask = np.ones((12, 12))
    mask[2, 7] = 0
    smv(folder / "m.img", mask)
    assert run(f"{SMALL} -mask m.img {flags} --nxmx s.h5 --quiet").exit_code == 0
    photons = simulate(build(parse((SMALL + "-mask m.img").split())).experiment).photons.astype(float)
    expected = photons.astype(np.float32) if dtype is np.float32 else np.rint(photons * 3)
    expected[2, 7] = absent
    with h5py.File("s.h5") as file:
        data = file["entry/data/data"]
        assert data.dtype == dtype
        np.testing.assert_array_equal(data[0], expected)
        assert np.argwhere(np.array(file["entry/instrument/detector/pixel_mask"])).tolist() == [[2, 7]]


def test_adsc_of_the_scaled_image(run):
    assert run(f"{SMALL} -scale 2.5 -adc 10 --smv-flavor adsc -intfile i.img --quiet").exit_code == 0
    header = read_smv("i.img").header
    assert (header["GAIN"], header["IMAGE_PEDESTAL"], header["BEAMLINE"]) == ("2.5", "10", "cubragg")
    assert (header["BEAM_CENTER_X"], header["BEAM_CENTER_Y"]) == ("3.5", "3.5")


PILATUS = SMALL.replace("-detpixels 12 ", "-detpixels_f 487 -detpixels_s 407 ").replace("-pixel 0.5", "-pixel 0.172")


@pytest.mark.requirement("AT-FMT-005")
@pytest.mark.parametrize(("flags", "convention", "gap"), [
    ("", "PILATUS_1.2", -1), ("--cbf-convention pilatus -pixel 0.1", "PILATUS_1.2", -1),
    ("-pixel 0.1", "GENERIC_MINI", None), ("--cbf-convention generic", "GENERIC_MINI", None)])
def test_conventions_of_cbf(flags, convention, gap, run):
    assert run(f"{PILATUS} {flags} -cbffile c_0001.cbf --quiet").exit_code == 0
    counts, header = read_cbf("c_0001.cbf")
    assert header["_array_data.header_convention"] == convention
    assert set(np.unique(counts[195:212])) == {-1} if gap else counts[195:212].min() >= 0
    assert (counts[:195].min(), counts[212:].min()) >= (0, 0)
    with fabio.open("c_0001.cbf") as image:
        np.testing.assert_array_equal(image.data, counts)


@pytest.mark.requirement("AT-FMT-001")
@pytest.mark.parametrize(("line", "code", "says"), [
    ("--images 0", 2, ("--images", "0", "number of images")),
    ("--images 2", 2, ("--images", "2 images", "0 deg", "-osc")),
    ("--images 1.5 -osc 1", 2, ("--images", "1.5", "whole number")),
    ("--nxmx a.h5 -nonoise", 2, ("--nxmx", "", "counts", "-nonoise", "-scale")),
    ("--tiff a.tif -nonoise", 2, ("--tiff", "", "counts", "-nonoise", "-scale")),
    ("--nxmx no/a.h5", 1, ("--nxmx", "no/a.h5", "folder", "no")),
    ("--nxmx a.h5 -scale 1e12", 1, ("a.h5", "", "pixel", "fast", "slow", "counts")),
    ("--tiff a.tif --tiff-type uint16 -scale 1e6", 1, ("a.tif", "", "pixel", "fast", "slow", "65535")),
    ("--cbf-convention pilatus -cbffile a.cbf", 2,
     ("--cbf-convention", "pilatus", "12 x 12", "487 x 195", "7", "17")),
    ("-curved_det --nxmx a.h5 -cbffile a.cbf", 2, ("-cbffile", "", "curved", "miniCBF")),
    ("-curved_det -cbffile a.cbf", 2, ("-cbffile", "", "curved", "miniCBF", "--tiff", "-floatfile")),
    ("-curved_det --nxmx a.h5", 2, ("--nxmx", "", "curved", "NXmx", "--tiff", "-floatfile")),
    ("-twotheta 3 --smv-flavor adsc -noisefile a.img", 2,
     ("-noisefile", "", "face", "ADSC", "--nxmx")),
    ("-osc 1 --images 2 -floatfile a.bin --tiff a.bin", 2,
     ("--tiff", "a_0001.bin", "-floatfile", "write")),
])
def test_faults_are_one_line(line, code, says, run, folder):
    refused(run(f"{SMALL} {line} --quiet"), code, *says)
    assert list(folder.iterdir()) == []


@pytest.mark.requirement("AT-FMT-004")
def test_counts_above_16_bits_are_clipped_and_counted(run):
    result = run(f"{SMALL} -noisefile n.img -fluence 1e35 --smv-flavor adsc")
    assert result.exit_code == 0
    assert int(result.stderr.split(" overload")[0].split()[-1]) == (read_smv("n.img").pixels == 65535).sum() > 0


@pytest.mark.requirement("AT-FMT-013")
@pytest.mark.parametrize("broken", [1, 3])
def test_ctrl_c_leaves_whole_files(broken, run, folder, monkeypatch):
    real = cubragg.run.batch.render_series

    def interrupted(*args, **kwargs):
        for number, image in enumerate(real(*args, **kwargs), start=1):
            if number == broken:
                raise KeyboardInterrupt
            yield image

    monkeypatch.setattr(cubragg.run.batch, "render_series", interrupted)
    result = run(f"{SERIES} --nxmx s.h5 -floatfile f.bin --expt s.expt --xds-inp XDS.INP")
    if broken == 1:
        assert result.exit_code == 130
        states(result.stderr.removesuffix("\n"), "Interrupted", "", "no file")
        assert list(folder.iterdir()) == []
        return
    assert result.exit_code == 130
    states(result.stderr.removesuffix("\n"), "Interrupted", "2 of 3 images", "f_0001.bin", "f_0002.bin", "s.h5",
           "complete")
    assert sorted(path.name for path in folder.iterdir()) == ["XDS.INP", "f_0001.bin", "f_0002.bin", "s.expt", "s.h5"]
    assert described_images() == 2


def described_images() -> int:
    """The number of images on which s.h5, s.expt and XDS.INP agree."""
    with h5py.File("s.h5") as file:
        images = len(file["entry/data/data"])
        assert len(file["entry/sample/transformations/omega"]) == images
        assert file["entry/instrument/detector/detectorSpecific/nimages"][()] == images
    scan, = json.loads(Path("s.expt").read_text())["scan"]
    assert scan["image_range"] == [1, images]
    assert f"DATA_RANGE= 1 {images} " in Path("XDS.INP").read_text()
    return images


@pytest.mark.requirement("AT-FMT-013")
@pytest.mark.parametrize("fails", ["write_float", "write_smv"])
def test_an_error_in_a_series_keeps_the_images_that_are_done(fails, run, folder, monkeypatch):
    """The third image meets a full disk, in its first or in its second file."""
    module = cubragg.io.images.raw if fails == "write_float" else cubragg.io.images.smv
    real, calls = getattr(module, fails), []

    def full(path, *args):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, *args)

    monkeypatch.setattr(module, fails, full)
    result = run(f"{SERIES} --nxmx s.h5 -floatfile f.bin -noisefile n.img --expt s.expt --xds-inp XDS.INP")
    outcome, error = result.stderr.splitlines()
    assert result.exit_code == 1
    states(outcome, "2 of 3 images", "", "f_0002.bin", "n_0002.img", "s.h5", "complete")
    states(error.removeprefix("Error: "), "-floatfile" if fails == "write_float" else "-noisefile", "", "No space left")
    assert sorted(path.name for path in folder.iterdir()) == [
        "XDS.INP", "f_0001.bin", "f_0002.bin", "n_0001.img", "n_0002.img", "s.expt", "s.h5"]
    assert described_images() == 2


@pytest.mark.requirement("AT-FMT-018")
def test_a_shorter_series_replaces_a_longer_one_only_with_overwrite(run, folder, monkeypatch):
    assert run(f"{SERIES} --nxmx s.h5 -floatfile f.bin --expt s.expt --xds-inp XDS.INP").exit_code == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    shorter = SERIES.replace("--images 3", "--images 2")
    refused(run(f"{shorter} --nxmx s.h5"), 2, "--nxmx", "s.h5", "3 images", "--overwrite")
    refused(run(f"{SMALL} --nxmx s.h5"), 2, "--nxmx", "s.h5", "3 images", "--overwrite")
    refused(run(f"{shorter} -floatfile f.bin"), 2, "-floatfile", "f_0001.bin", "f_0003.bin", "--overwrite")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert run(f"{SERIES} --nxmx s.h5 -floatfile f.bin").exit_code == 0
    assert run(f"{shorter} --nxmx s.h5 --expt s.expt --xds-inp XDS.INP --overwrite").exit_code == 0
    assert described_images() == 2

    real = cubragg.run.batch.render_series

    def interrupted(*args, **kwargs):
        yield next(real(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(cubragg.run.batch, "render_series", interrupted)
    result = run(f"{shorter} --nxmx s.h5 --expt s.expt --xds-inp XDS.INP")
    states(result.stderr.removesuffix("\n"), "Interrupted", "1 of 2 images", "s.h5", "earlier run", "2 images")
    assert described_images() == 2


@pytest.mark.parametrize(("line", "highest"), [
    ("--nxmx s.h5 --nxmx-type uint16", 65533), ("--nxmx s.h5", 2**31 - 3), ("--save s.h5 --nxmx-type int32", 2**31 - 3),
    ("-cbffile c.cbf", 2**31 - 1), ("-noisefile n.img", 65535), ("--save n.img", 65535)])
def test_limits_are_those_of_the_file(line, highest, run):
    assert run(f"{SERIES} {line} --expt s.expt --xds-inp XDS.INP").exit_code == 0
    assert f"OVERLOAD= {highest}\n" in Path("XDS.INP").read_text()
    detector, = json.loads(Path("s.expt").read_text())["detector"]
    assert detector["panels"][0]["trusted_range"] == [-1.0, highest]
    if "s.h5" in line:
        with h5py.File("s.h5") as file:
            assert file["entry/instrument/detector/saturation_value"][()] == highest


@pytest.mark.requirement("AT-FMT-010")
def test_a_file_that_outgrows_the_disk_leaves_nothing(folder):
    line = f"{SMALL} -detpixels 300 --nxmx s.h5 --quiet".split()
    done = subprocess.run(
        [sys.executable, "-m", "cubragg", *line], capture_output=True, text=True, check=False, cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 1
    states(done.stderr.removesuffix("\n"), "--nxmx", "s.h5", "Error")
    assert list(folder.iterdir()) == []


def test_the_same_from_python():
    experiment = build(parse(f"{SMALL} -phi 3 -osc 2".split())).experiment
    images = list(render_series(experiment, 2, backend="numpy"))
    assert [image.experiment.goniometer.phi_deg for image in images] == [3.0, 5.0]
    assert images[0].figures.max_photons > 0.0
    with refusal(ConfigError, "images", "0", "1"):
        render_series(experiment, 0)
