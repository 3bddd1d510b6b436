"""NXmx: what the nxmx package makes of a file, what the plugins of XDS and CrystFEL look for, and whole files only."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from datetime import datetime

import h5py
import hdf5plugin
import numpy as np
import nxmx
import pytest

from cubragg import Detector
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import FormatError
from cubragg.experiment.panel import live_pixels
from cubragg.io.files.hdf5_sink import Sink
from cubragg.io.images.nxmx import TYPES, NxmxWriter
from cubragg.io.images.scene import Scene
from support.experiments import Hung, hung
from support.messages import refusal

DETECTOR = Detector("mosflm", 0.2, 21, 17, distance_mm=120.0, xbeam_mm=1.5, ybeam_mm=2.25, rotx_deg=3.0, roty_deg=-2.0,
                    twotheta_deg=9.0)
#: Laboratory of MOSFLM to McStas: z is the beam (ours x), x to the left looking along it (against our z), y up.
MCSTAS = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])
RNG = np.random.default_rng(4)
COUNTS = RNG.integers(0, 60000, (3, 17, 21))


def scene(detector: Detector = DETECTOR, mask: np.ndarray | None = None, **changes) -> Scene:
    placed = detector.placed(semantics="nanobragg")
    live = live_pixels(placed.panels, mask)
    live = np.ones(detector.shape(), dtype=bool) if live is None else live
    made = Scene(*placed, live, 0.97, 5.0, 0.25, 0.2, datetime(2026, 3, 4, 5, 6, 7), flux=1e12,
                     beamsize_m=5e-5, kahn_factor=0.9)
    return dataclasses.replace(made, **changes)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(name: str = "a.h5", type_name: str = "uint32", counts: np.ndarray = COUNTS, **changes) -> None:
    described = scene(**changes)
    with NxmxWriter(name, described, len(counts), type_name) as writer:
        for image in counts:
            writer.append(stored_pixels(image, TYPES[type_name], described.live))
    assert writer.complete


def append_to(writer: NxmxWriter, counts: np.ndarray, last: np.ndarray | None) -> None:
    """Append good images and then ``last``, or have Ctrl-C pressed."""
    with writer:
        for image in counts:
            writer.append(stored_pixels(image, TYPES["uint32"], scene().live))
        if last is None:
            raise KeyboardInterrupt
        writer.append(last)


@pytest.mark.requirement("AT-FMT-007")
def test_geometry_by_the_chains_of_nxmx():
    written()
    geometry = DETECTOR.geometry(None, "nanobragg")
    with h5py.File("a.h5") as file:
        (entry,) = nxmx.NXmx(file).entries
        (detector,) = entry.instruments[0].detectors
        (module,) = detector.modules
        chain = nxmx.get_dependency_chain(module.fast_pixel_direction.depends_on)
        origin = nxmx.get_cumulative_transformation(chain)[0, :3, 3]
        np.testing.assert_allclose(origin, 1000.0 * MCSTAS @ geometry.pix0, rtol=0, atol=1e-10)
        np.testing.assert_allclose(module.fast_pixel_direction.vector, MCSTAS @ geometry.fast, atol=1e-14)
        np.testing.assert_allclose(module.slow_pixel_direction.vector, MCSTAS @ geometry.slow, atol=1e-14)
        assert module.data_size.tolist() == [17, 21]
        assert module.fast_pixel_direction[()].to("mm").magnitude.tolist() == pytest.approx([0.2])
        axes = nxmx.get_rotation_axes(nxmx.get_dependency_chain(entry.samples[0].depends_on))
        np.testing.assert_allclose(axes.axes, [(-1, 0, 0)], atol=1e-14)


@pytest.mark.requirement("AT-FMT-007")
def test_everything_else_by_nxmx():
    written()
    with h5py.File("a.h5") as file:
        (entry,) = nxmx.NXmx(file).entries
        assert (entry.definition, entry.start_time, entry.end_time_estimated) == (
            "NXmx", datetime(2026, 3, 4, 5, 6, 7), datetime(2026, 3, 4, 5, 6, 7, 600000))
        (instrument,), (sample,) = entry.instruments, entry.samples
        (beam,), (detector,) = instrument.beams, instrument.detectors
        omega = sample.depends_on
        assert omega[()].to("degree").magnitude.tolist() == [5.0, 5.25, 5.5]
        assert omega.end[()].to("degree").magnitude.tolist() == [5.25, 5.5, 5.75]
        assert beam.incident_wavelength.to("angstrom").magnitude == 0.97
        assert beam.total_flux.to("Hz").magnitude == 1e12
        assert beam.incident_beam_size.to("mm").magnitude.tolist() == pytest.approx([0.05, 0.05])
        assert detector.count_time.to("s").magnitude == detector.frame_time.to("s").magnitude == 0.2
        assert (detector.sensor_material, detector.bit_depth_readout) == ("Si", 32)
        assert detector.sensor_thickness.to("m").magnitude < 1e-8  # no layers were rendered
        assert (detector.underload_value, detector.saturation_value) == (0, 2**31 - 3)
        placed = DETECTOR.placed(semantics="nanobragg")
        spot = placed.panels[0].spot(placed.frame.beam)
        assert detector.distance.to("m").magnitude == pytest.approx(spot.distance_mm / 1000.0)
        assert detector.beam_center_x.magnitude == pytest.approx(spot.fast_px)
        assert detector.beam_center_y.magnitude == pytest.approx(spot.slow_px)
        np.testing.assert_array_equal(entry.data[0][entry.data[0].signal], COUNTS)


@pytest.mark.requirement("AT-FMT-007")
@pytest.mark.parametrize(("polar", "stokes"), [
    ((0.0, 0.0, 1.0), (1, 0.9, 0, 0)), ((0.0, 1.0, 0.0), (1, -0.9, 0, 0)), ((0.0, 1.0, -1.0), (1, 0, 0.9, 0))])
def test_polarization(polar, stokes):
    written(frame=DETECTOR.placed().frame._replace(polar=tuple(np.array(polar) / np.linalg.norm(polar))))
    with h5py.File("a.h5") as file:
        np.testing.assert_allclose(file["entry/instrument/beam/incident_polarization_stokes"], stokes, atol=1e-12)


@pytest.mark.requirement("AT-FMT-008")
def test_what_neggia_requires():
    """By its own reader (H5ToXds.cpp) and its check_h5_compatibility.py."""
    mask = np.ones((17, 21), bool)
    mask[2, 3] = False
    written(live=mask)
    with open("a.h5", "rb") as raw:
        start = raw.read(9)
    assert start[:8] == b"\x89HDF\r\n\x1a\n"
    assert start[8] in (0, 2, 3)  # superblock
    with h5py.File("a.h5") as file:
        detector, data = file["entry/instrument/detector"], file["entry/data/data_000001"]
        for axis in "xy":
            size = detector[f"{axis}_pixel_size"]
            assert (size.shape, size.dtype, size[()]) == ((), np.float64, 0.0002)
        specific = detector["detectorSpecific"]
        assert specific["nimages"][()] * specific["ntrigger"][()] == 3
        bad = specific["pixel_mask"]
        assert (bad.chunks, bad.compression, bad.dtype, bad.shape) == (None, None, np.uint32, (17, 21))
        assert (bad.id.get_create_plist().get_layout(), bad.id.get_offset() is not None) == (h5py.h5d.CONTIGUOUS, True)
        assert np.argwhere(np.array(bad) & 1).tolist() == [[2, 3]]
        assert (data.chunks, data.dtype) == ((1, 17, 21), np.uint32)
        assert data.id.get_create_plist().get_filter(0)[0] == 32008  # bitshuffle
        assert data.id.get_create_plist().get_filter(0)[2][-1] == 2  # LZ4
        assert set(file["entry/data"]) == {"data", "data_000001"}
        assert data[0, 2, 3] == 2**32 - 1  # more than an int32 holds: -1


@pytest.mark.requirement("AT-FMT-008")
def test_what_durin_requires():
    """By its file.c: one NXdata and one NXdetector, units it knows, one filter of at most five parameters."""
    written()
    classes: dict[str, list[str]] = {}
    with h5py.File("a.h5") as file:
        file.visititems(lambda name, node: classes.setdefault(
            node.attrs.get("NX_class", ""), []).append(name) if isinstance(node, h5py.Group) else None)
        assert (classes["NXdata"], classes["NXdetector"]) == (["entry/data"], ["entry/instrument/detector"])
        detector, data = file[classes["NXdetector"][0]], file[classes["NXdata"][0]]
        assert not {"data", "data_000001"} & set(detector)  # it would look there first
        units = detector["x_pixel_size"].attrs.get_id("units").get_type()
        assert (detector["x_pixel_size"].attrs["units"], units.is_variable_str(), units.get_cset()) == (
            "m", True, h5py.h5t.CSET_ASCII)
        assert detector["pixel_mask"].shape == (17, 21)
        plist = data["data_000001"].id.get_create_plist()
        assert plist.get_nfilters() == 1
        assert len(plist.get_filter(0)[2]) <= 5


@pytest.mark.requirement("AT-FMT-008")
def test_what_a_crystfel_geometry_names():
    """data = /entry/data/data with dim0 = %, dim1 = ss, dim2 = fs; mask_file unset; clen and photon_energy by path."""
    written()
    with h5py.File("a.h5") as file:
        assert file["/entry/data/data"].shape == (3, 17, 21)
        assert file["/entry/instrument/detector/pixel_mask"].shape == (17, 21)
        assert file["/entry/instrument/detector/distance"].attrs["units"] == "m"
        assert file["/entry/instrument/beam/incident_wavelength"].attrs["units"] == "angstrom"


@pytest.mark.requirement("AT-FMT-007")
def test_a_module_for_each_panel():
    detector = hung(Detector("xds"), (
        Hung(20, 16, 0.1, 0.3, name="left", material="CdTe", trusted=(0.0, 900.0)),
        Hung(10, 4, 0.25, 0.2, origin_mm=(12.0, 1.0, 0.4), offset=(25, 3), material="CdTe")))
    counts = RNG.integers(0, 900, (1, 16, 35))
    written(counts=counts, detector=detector, trusted=(0.0, 900.0))
    with h5py.File("a.h5") as file:
        found = nxmx.NXmx(file).entries[0].instruments[0].detectors[0]
        modules = [(module.data_origin.tolist(), module.data_size.tolist(), float(
            module.slow_pixel_direction[()].to("mm").magnitude[0])) for module in found.modules]
        assert modules == [([0, 0], [16, 20], 0.3), ([3, 25], [4, 10], 0.2)]
        assert (found.sensor_material, found.saturation_value) == ("CdTe", 900)


@pytest.mark.requirement("AT-FMT-007")
def test_stills_have_no_spindle():
    written(range_deg=0.0)
    with h5py.File("a.h5") as file:
        assert nxmx.NXmx(file).entries[0].samples[0].depends_on is None


@pytest.mark.requirement("AT-FMT-009")
@pytest.mark.parametrize("type_name", TYPES)
def test_types_keep_their_highest_count_and_mark_what_is_absent(type_name):
    kind = TYPES[type_name]
    values = np.array([[0.0, kind.highest, 5.4]])
    pixels = stored_pixels(values, kind, np.array([[True, True, False]]))
    assert pixels.dtype == type_name
    assert pixels.tolist() == [[0.0, kind.highest, kind.absent]]


@pytest.mark.requirement("AT-FMT-009")
@pytest.mark.parametrize(("type_name", "value"), [("uint16", 65534.0), ("uint32", 2.0**31 - 2), ("int32", 2.0**31 - 2)])
def test_counts_above_the_range_name_the_first_pixel(type_name, value):
    highest = int(TYPES[type_name].highest)
    with refusal(FormatError, "a.h5", f"{value:.0f}", "1 fast, 0 slow", f"{highest}"):
        stored_pixels(np.array([[1.0, value]]), TYPES[type_name], np.ones((1, 2), bool), where="a.h5")


def test_photons_that_were_scaled_have_a_factor():
    written(counts_per_photon=4.0)
    with h5py.File("a.h5") as file:
        assert nxmx.NXmx(file).entries[0].data[0].data_scale_factor == 0.25


@pytest.mark.requirement("AT-FMT-010")
@pytest.mark.parametrize(("image", "says"), [
    (np.ones((17, 21)), ("a.h5", "float64", "(17, 21)", "uint32")),
    (np.ones((21, 17), np.uint32), ("a.h5", "(21, 17)", "(17, 21)"))])
def test_refuses_other_images_and_leaves_nothing(image, says, folder):
    writer = NxmxWriter("a.h5", scene(), 2)
    with refusal(FormatError, *says):
        append_to(writer, COUNTS[:1], image)
    assert (list(folder.iterdir()), writer.complete) == ([], False)


@pytest.mark.requirement("AT-FMT-010")
@pytest.mark.parametrize("done", [0, 2])
def test_ctrl_c_leaves_a_whole_file_of_what_was_done(done, folder):
    with pytest.raises(KeyboardInterrupt):
        append_to(NxmxWriter("a.h5", scene(), 3), COUNTS[:done], None)
    assert [path.name for path in folder.iterdir()] == (["a.h5"] if done else [])
    if done:
        with h5py.File("a.h5") as file:
            np.testing.assert_array_equal(file["entry/data/data"], COUNTS[:2])
            assert file["entry/instrument/detector/detectorSpecific/nimages"][()] == 2
            assert file["entry/sample/transformations/omega"].shape == (2,)


@pytest.mark.parametrize("moment", ["write", "seek", "truncate"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_middle_of_a_call_of_hdf5(moment, number, folder, monkeypatch):
    """The signal comes from within: it waits for the call, and the image is whole."""
    def stop(*_):
        raise KeyboardInterrupt

    real, presses = getattr(Sink, moment), iter([True])
    before = signal.signal(number, stop)

    def pressed(sink, *args):
        if writer.done == 1 and next(presses, False):
            os.kill(os.getpid(), number)
        return real(sink, *args)

    monkeypatch.setattr(Sink, moment, pressed)
    writer = NxmxWriter("a.h5", scene(), 3)
    with pytest.raises(KeyboardInterrupt):
        append_to(writer, COUNTS, COUNTS[0])
    assert signal.signal(number, before) is stop
    with h5py.File("a.h5") as file:
        np.testing.assert_array_equal(file["entry/data/data"], COUNTS[:writer.done])
    assert writer.done == 2


def test_ctrl_c_while_the_file_is_opened_leaves_nothing(folder, monkeypatch):
    real = Sink.write

    def pressed(sink, data):
        os.kill(os.getpid(), signal.SIGINT)
        return real(sink, data)

    monkeypatch.setattr(Sink, "write", pressed)
    monkeypatch.setattr(Sink, "truncate", lambda sink, size: os.kill(os.getpid(), signal.SIGINT) or size)
    with pytest.raises(KeyboardInterrupt):
        append_to(NxmxWriter("a.h5", scene(), 3), COUNTS[:0], None)
    assert list(folder.iterdir()) == []


def test_different_sensors_are_refused(folder):
    detector = hung(Detector("xds"), (
        Hung(4, 4, 0.1, 0.1, material="CdTe"), Hung(4, 4, 0.1, 0.1, origin_mm=(2.0, 0.0, 0.0), offset=(5, 0))))
    with refusal(FormatError, "", "2", "sensor", "CdTe of 0 um", "Si of 0 um"):
        NxmxWriter("a.h5", scene(detector), 1)


def test_an_earlier_file_survives(folder):
    (folder / "a.h5").write_bytes(b"earlier")
    with pytest.raises(ZeroDivisionError), NxmxWriter("a.h5", scene(), 1):
        raise ZeroDivisionError
    assert (folder / "a.h5").read_bytes() == b"earlier"


def test_hdf5plugins_own_folder_as_plugin_path_does_no_harm(folder):
    """HDF5 would load a filter from there that does not fit; DIALS may need the variable."""
    code = "from unit.test_io_nxmx import written; written()"
    environment = {**os.environ, "HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH,
                   "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)
    with h5py.File("a.h5") as file:
        np.testing.assert_array_equal(file["entry/data/data"], COUNTS)
