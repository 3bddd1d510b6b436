"""NXmx files: chains of transformations as another reader of NeXus follows them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.experiment.sensor import attenuation_um
from cubragg.io.geometry.experiment_models import ScanModel
from cubragg.io.geometry.sniff import read_models
from support.messages import refusal
from support.nexus_file import STEPS, write

nxmx = pytest.importorskip("nxmx")

SAME_MM, SAME = 1e-9, 1e-12
#: McStas's laboratory in that of DIALS.
TURN = np.diag([-1.0, 1.0, -1.0])


@pytest.mark.requirement("AT-FROM-040")
def test_modules_lie_where_another_reader_has_them(tmp_path):
    """Corners, axes and pixels of each, by the nxmx package."""
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
            assert panel.pixel_mm == pytest.approx((0.075, 0.075), rel=1e-14)
        assert [panel.offset for panel in models.panels] == [(0, 0), (0, 22), (0, 44)]


@pytest.mark.requirement("AT-FROM-041")
def test_goniometer_beam_and_sensor(tmp_path):
    """The axis that is scanned, as the axes under it leave it; units of everything."""
    write(tmp_path / "a.nxs")
    models = read_models(tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        phi = nxmx.NXmx(file).entries[0].samples[0].depends_on
        below = nxmx.get_cumulative_transformation(nxmx.get_dependency_chain(phi.depends_on))[0, :3, :3]
        assert np.allclose(models.spindle, TURN @ below @ phi.vector, rtol=0, atol=SAME)
    assert models.scan == ScanModel(0.0, pytest.approx(0.2), 0.02, 3)
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


@pytest.mark.requirement("AT-FROM-041")
def test_width_of_an_image_in_a_file_of_one(tmp_path):
    """Its end, or its increment."""
    for name, value in (("phi_end", 0.7), ("phi_increment_set", 0.7)):
        write(tmp_path / "a.nxs")
        with h5py.File(tmp_path / "a.nxs", "r+") as file:
            turns = file["entry/sample/transformations"]
            turns["phi"].attrs["depends_on"] = "."
            turns[name] = [value]
        assert read_models(tmp_path / "a.nxs").scan.osc_deg == pytest.approx(0.7)


@pytest.mark.requirement("AT-FROM-042")
def test_a_detector_without_modules_is_placed_by_its_beam_centre(tmp_path):
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


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("what", "says"), [
    (lambda file: file["entry/instrument"].pop("beam"), ("", "NXbeam", "incident_wavelength")),
    (lambda file: file["entry/instrument"].pop("detector"), ("", "NXdetector")),
    (lambda file: file.pop("entry"), ("", "NXentry", "NXmx")),
    (lambda file: file["entry/instrument/beam/incident_wavelength"].attrs.update({"units": "furlong"}),
     ("furlong", "unit")),
    (lambda file: file["entry/instrument/beam/incident_wavelength"].write_direct(np.array(0.0)), ("0 A",)),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"depends_on": "distance"}), ("", "arm", "depends_on")),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"depends_on": "nowhere"}), ("nowhere", "depends")),
    (lambda file: file[f"{STEPS}/arm"].attrs.update({"transformation_type": "magic"}), ("magic",)),
    (lambda file: file[f"{STEPS}/arm"].attrs.pop("vector"), ("", "vector", "three")),
    (lambda file: file["entry/instrument/detector/module1"].pop("data_size"), ("", "data_size")),
    (lambda file: file["entry/instrument/detector/module1/data_origin"].write_direct(np.array([60, 0])),
     ("40 x 65", "pixel_mask")),
])
def test_bad_files_are_errors_of_one_line(tmp_path, what, says):
    spoiled(tmp_path / "a.nxs", what)
    with refusal(FormatError, str(tmp_path / "a.nxs"), *says):
        read_models(tmp_path / "a.nxs")


@pytest.mark.requirement("AT-FROM-020")
def test_a_detector_that_cannot_be_placed(tmp_path):
    write(tmp_path / "a.nxs", modules=0)
    with refusal(FormatError, str(tmp_path / "a.nxs"), "", "NXdetector_module", "x_pixel_size"):
        read_models(tmp_path / "a.nxs")
