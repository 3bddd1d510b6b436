"""NXmx files: chains of transformations as another reader of NeXus follows them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.experiment.models import ScanModel
from cubragg.experiment.sensor import attenuation_um
from cubragg.io.geometry_files import read_models

nxmx = pytest.importorskip("nxmx")

SAME_MM, SAME = 1e-9, 1e-12
STEPS = "entry/instrument/detector/transformations"
#: McStas's laboratory in that of DIALS.
TURN = np.diag([-1.0, 1.0, -1.0])


def group(parent, name, nx_class):
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    return made


def axis(parent, name, value, kind, vector, units, depends_on, **attributes):
    made = parent.create_dataset(name, data=np.atleast_1d(np.asarray(value, dtype=float)))
    made.attrs.update({"transformation_type": kind, "vector": vector, "units": units, "depends_on": depends_on,
                       **attributes})
    return made


def write(path, *, modules=3, mask=True):
    """A detector of modules on a two-theta arm, behind a kappa goniometer."""
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry")
        entry["definition"] = "NXmx"
        instrument = group(entry, "instrument", "NXinstrument")
        beam = group(instrument, "beam", "NXbeam")
        beam["incident_wavelength"] = 0.12
        beam["incident_wavelength"].attrs["units"] = "nm"
        beam["incident_polarization_stokes"] = [2.0, 0.0, 1.0, 0.0]
        detector = group(instrument, "detector", "NXdetector")
        detector["depends_on"] = "transformations/arm"
        detector["sensor_material"] = "Silicon"
        detector["sensor_thickness"] = 450.0
        detector["sensor_thickness"].attrs["units"] = "um"
        detector["saturation_value"] = 50000
        detector["underload_value"] = -1
        detector["count_time"] = 0.02
        detector["count_time"].attrs["units"] = "s"
        if mask:
            flags = np.zeros((65, 40), dtype=np.uint32)
            flags[22:24, 3:5] = 8
            detector["pixel_mask"] = flags
        steps = group(detector, "transformations", "NXtransformations")
        axis(steps, "arm", 15.0, "rotation", (1.0, 0.0, 0.0), "deg", ".")
        axis(steps, "shift", 12.0, "translation", (0.0, 3.0, 4.0), "mm", "arm", offset=(1e-3, 0.0, 0.0),
             offset_units="m")
        axis(steps, "distance", 0.25, "translation", (0.0, 0.0, 1.0), "m", "shift")
        for number in range(modules):
            module = group(detector, f"module{number}", "NXdetector_module")
            module["data_origin"] = [22 * number, 0]
            module["data_size"] = [20, 40]
            axis(steps, f"turn{number}", 0.01 * number, "rotation", (0.0, 0.6, 0.8), "rad", f"/{STEPS}/distance",
                 offset=(3.0, -4.0, 0.5 * number), offset_units="mm")
            axis(module, "module_offset", 1.0, "translation", (1.0, 0.0, 0.0), "mm",
                 f"/{STEPS}/turn{number}", offset=(2.0, -1650.0 * number, 0.0), offset_units="um")
            axis(module, "fast_pixel_direction", 7.5e-5, "translation", (-1.0, 0.0, 0.0), "m", "module_offset")
            axis(module, "slow_pixel_direction", 75.0, "translation", (0.0, -1.0, 0.0), "um", "module_offset")
        sample = group(entry, "sample", "NXsample")
        sample["depends_on"] = "transformations/phi"
        turns = group(sample, "transformations", "NXtransformations")
        axis(turns, "phi", [0.0, 0.2, 0.4], "rotation", (-1.0, 0.0, 0.0), "deg", "kappa")
        axis(turns, "kappa", 20.0, "rotation", (0.6, 0.0, 0.8), "deg", "omega")
        axis(turns, "omega", 0.5, "rotation", (-1.0, 0.0, 0.0), "rad", ".")


def test_modules_lie_where_another_reader_has_them(tmp_path):
    """AT-FROM-040: corners, axes and pixels of each, by the nxmx package."""
    write(tmp_path / "a.nxs")
    models = read_models(tmp_path / "a.nxs")
    assert len(models.panels) == 3
    with h5py.File(tmp_path / "a.nxs") as file:
        entry, = nxmx.NXmx(file).entries
        detector = entry.instruments[0].detectors[0]
        for panel, module in zip(models.panels, detector.modules, strict=True):
            chain = nxmx.get_dependency_chain(module.module_offset)
            corner = nxmx.get_cumulative_transformation(chain)[0, :3, 3]
            turn = nxmx.get_cumulative_transformation(chain)[0, :3, :3]
            assert np.allclose(panel.origin_mm, TURN @ corner, rtol=0, atol=SAME_MM)
            assert np.allclose(panel.fast, TURN @ turn @ module.fast_pixel_direction.vector, rtol=0, atol=SAME)
            assert np.allclose(panel.slow, TURN @ turn @ module.slow_pixel_direction.vector, rtol=0, atol=SAME)
            assert (panel.pixel_fast_mm, panel.pixel_slow_mm) == pytest.approx((0.075, 0.075), rel=1e-14)
        assert [panel.offset for panel in models.panels] == [(0, 0), (0, 22), (0, 44)]


def test_goniometer_beam_and_sensor(tmp_path):
    """AT-FROM-041: the axis that is scanned, as the axes under it leave it; units of everything."""
    write(tmp_path / "a.nxs")
    models = read_models(tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        phi = nxmx.NXmx(file).entries[0].samples[0].depends_on
        below = nxmx.get_cumulative_transformation(nxmx.get_dependency_chain(phi.depends_on))[0, :3, :3]
        assert np.allclose(models.spindle, TURN @ below @ phi.vector, rtol=0, atol=SAME)
    assert models.scan == ScanModel(0.0, pytest.approx(0.2), 0.02)
    assert models.beam.wavelength_A == pytest.approx(1.2, rel=1e-15)
    assert models.beam.polarization_fraction == 0.75
    normal = models.beam.polarization_normal
    assert np.allclose(normal, (np.sqrt(0.5), np.sqrt(0.5), 0.0), rtol=0, atol=SAME)
    panel = models.panels[1]
    assert panel.thickness_um == pytest.approx(450.0)
    assert (panel.material, panel.trusted) == ("Si", (-1.0, 50000.0))
    assert panel.attenuation_um == attenuation_um("Si", models.beam.wavelength_A)
    assert np.argwhere(~panel.mask).tolist() == [[0, 3], [0, 4], [1, 3], [1, 4]]
    assert models.panels[0].mask is None


def test_width_of_an_image_in_a_file_of_one(tmp_path):
    """AT-FROM-041: its end, or its increment."""
    for name, value in (("phi_end", 0.7), ("phi_increment_set", 0.7)):
        write(tmp_path / "a.nxs")
        with h5py.File(tmp_path / "a.nxs", "r+") as file:
            turns = file["entry/sample/transformations"]
            turns["phi"].attrs["depends_on"] = "."
            turns[name] = [value]
        assert read_models(tmp_path / "a.nxs").scan.osc_deg == pytest.approx(0.7)


def test_a_detector_without_modules_is_placed_by_its_beam_centre(tmp_path):
    """AT-FROM-042"""
    write(tmp_path / "a.nxs", modules=0)
    with h5py.File(tmp_path / "a.nxs", "r+") as file:
        detector = file["entry/instrument/detector"]
        for name, value, units in (("x_pixel_size", 7.5e-5, "m"), ("y_pixel_size", 7.5e-5, "m"),
                                   ("detector_distance", 0.2, "m"), ("beam_center_x", 12.5, ""),
                                   ("beam_center_y", 30.0, "")):
            detector[name] = value
            detector[name].attrs["units"] = units
    panel, = read_models(tmp_path / "a.nxs").panels
    assert panel.origin_mm == pytest.approx((-12.5 * 0.075, 30.0 * 0.075, -200.0))
    assert (panel.fast, panel.slow, panel.fast_pixels, panel.slow_pixels) == ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), 40, 65)


def spoiled(path, what):
    write(path)
    with h5py.File(path, "r+") as file:
        what(file)


@pytest.mark.parametrize(("what", "message"), [
    (lambda file: file["entry/instrument"].pop("beam"), "no NXbeam with an incident_wavelength"),
    (lambda file: file["entry/instrument"].pop("detector"), "no NXdetector in it"),
    (lambda file: file.pop("entry"), "no NXentry in it; an NXmx file is accepted"),
    (lambda file: file["entry/instrument/beam/incident_wavelength"].attrs.update({"units": "furlong"}),
     "got the unit 'furlong'"),
    (lambda file: file["entry/instrument/beam/incident_wavelength"].write_direct(np.array(0.0)), "it must be > 0 A"),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"depends_on": "distance"}), "has no end"),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"depends_on": "nowhere"}), "depends on nowhere, which is not"),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"transformation_type": "magic"}), "'magic'"),
    (lambda file: file[f"{STEPS}/arm"].attrs.pop("vector"), "got no vector of three numbers"),
    (lambda file: file["entry/instrument/detector/module1"].pop("data_size"), "there is no data_size in it"),
    (lambda file: file["entry/instrument/detector/module1/data_origin"].write_direct(np.array([60, 0])),
     "outside the pixel_mask of 40 x 65"),
])
def test_bad_files_are_told_in_a_line(tmp_path, what, message):
    """AT-FROM-020"""
    spoiled(tmp_path / "a.nxs", what)
    with pytest.raises(FormatError) as caught:
        read_models(tmp_path / "a.nxs")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_detector_that_cannot_be_placed(tmp_path):
    """AT-FROM-020"""
    write(tmp_path / "a.nxs", modules=0)
    with pytest.raises(FormatError, match="neither an NXdetector_module nor x_pixel_size"):
        read_models(tmp_path / "a.nxs")
