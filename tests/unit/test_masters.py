"""Master files of DECTRIS and NXmx files with what their writers leave out: units, axes, a wavelength."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.io.geometry.sniff import read_models
from support.messages import mentioned, refusal
from support.nexus_file import group
from support.nexus_file import write as write_nexus

#: h c in eV A (CODATA 2018).
HC = 12398.419843320026


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Messages have short names."""
    monkeypatch.chdir(tmp_path)


def master(**changes: Any) -> str:
    """A master file of an Eiger 1M: values, each with its unit or ``None``; ``None`` alone leaves one out."""
    values = {
        "instrument/detector/beam_center_x": (516.0, "pixel"), "instrument/detector/beam_center_y": (533.0, "pixel"),
        "instrument/detector/detector_distance": (0.15, "m"), "instrument/detector/x_pixel_size": (7.5e-5, "m"),
        "instrument/detector/y_pixel_size": (7.5e-5, "m"), "instrument/detector/sensor_thickness": (4.5e-4, "m"),
        "instrument/detector/sensor_material": (np.bytes_("Si"), None), "instrument/detector/count_time": (0.01, "s"),
        "instrument/beam/incident_wavelength": (1.0, "angstrom"),
        "sample/goniometer/omega": ([10.0, 10.1, 10.2], "degree"),
        "sample/goniometer/omega_increment": (0.1, "degree"),
        "instrument/detector/detectorSpecific/pixel_mask": (np.zeros((1065, 1030), "u4"), None),
        **{name.replace("__", "/"): value for name, value in changes.items()}}
    with h5py.File("master.h5", "w") as file:
        entry = group(file, "entry", "NXentry")
        instrument, _ = group(entry, "instrument", "NXinstrument"), group(entry, "sample", "NXsample")
        group(instrument, "detector", "NXdetector")
        group(instrument, "beam", "NXbeam")
        for name, value in values.items():
            if value is not None:
                entry[name], unit = value
                entry[name].attrs.update({} if unit is None else {"units": unit})
    return "master.h5"


@pytest.mark.requirement("AT-FROM-070")
@pytest.mark.parametrize(("changes", "axis", "scan"), [
    ({}, (1, 0, 0), (10.0, 0.1)),
    ({"sample__goniometer__omega": ([10.0, 9.9], "deg"), "sample__goniometer__omega_increment": (-0.1, "deg")},
     (-1, 0, 0), (-10.0, 0.1)),
    ({"sample__goniometer__omega_increment": None}, (1, 0, 0), (10.0, 0.1)),
    ({"sample__goniometer__omega": (12.0, "degree")}, (1, 0, 0), (12.0, 0.1)),
    ({"instrument__detector__detector_number": (np.bytes_("E-32-0105"), None)}, (0, 1, 0), (10.0, 0.1)),
])
def test_spindle_and_scan_of_a_master(changes, axis, scan):
    models = read_models(master(**changes))
    assert models.spindle == pytest.approx(axis)
    assert (models.scan.phi_deg, models.scan.osc_deg) == pytest.approx(scan)
    assert not models.warnings


@pytest.mark.requirement("AT-FROM-070")
@pytest.mark.parametrize(("place", "vector", "axis"), [
    ("sample/goniometer/omega", (0.0, -1.0, 0.0), (0, -1, 0)), ("sample/goniometer/omega", (-1.0, 0.0, 0.0), (1, 0, 0)),
    ("sample/transformations/omega", (0.0, -1.0, 0.0), (0, -1, 0))])
def test_an_axis_without_a_chain(place, vector, axis):
    """NeXus vectors are turned by 180 deg about y."""
    path = master()
    with h5py.File(path, "a") as file:
        file["entry"].require_group(place) if "transformations" in place else None
        file[f"entry/{place}"].attrs["vector"] = np.array(vector)
    assert read_models(path).spindle == pytest.approx(axis)


@pytest.mark.requirement("AT-FROM-071")
def test_goniometer_angles_without_axes():
    warning, = read_models(master(sample__goniometer__chi=([20.0, 20.0], "degree"),
                                  sample__goniometer__kappa=([0.0, 0.0], "degree"))).warnings
    assert mentioned([warning], "master.h5", "chi 20", "axes", "-mat")


@pytest.mark.requirement("AT-FROM-073")
@pytest.mark.parametrize(("name", "value", "assumed"), [
    ("sensor_thickness", (450.0, None), "0.45 mm"), ("sensor_thickness", (0.45, None), "0.45 mm"),
    ("sensor_thickness", (450.0, "m"), "0.45 mm"), ("sensor_thickness", (4.5e-4, None), "m"),
    ("detector_distance", (150.0, None), "150 mm"), ("detector_distance", (0.15, None), "m"),
    ("x_pixel_size", (75.0, None), "0.075 mm"), ("x_pixel_size", (0.075, None), "0.075 mm"),
])
def test_units_that_are_missing_or_absurd(name, value, assumed):
    """450 m of silicon are 450 um."""
    models = read_models(master(**{f"instrument__detector__{name}": value}))
    panel, = models.panels
    assert (panel.thickness_um, panel.origin_mm[2], panel.pixel_mm) == (
        pytest.approx(450.0), pytest.approx(-150.0), pytest.approx((0.075, 0.075)))
    assert len(models.warnings) == 1
    assert mentioned(models.warnings, "master.h5", f"/entry/instrument/detector/{name}", "assumed")
    assert assumed in models.warnings[0]


@pytest.mark.requirement("AT-FROM-073")
@pytest.mark.parametrize(("value", "warns"), [((1.0, "m"), True), ((1e-10, None), True), ((0.1, "nm"), False),
                                              ((1.0, None), True), ((1e-10, "m"), False)])
def test_units_of_a_wavelength(value, warns):
    models = read_models(master(instrument__beam__incident_wavelength=value))
    assert (models.beam.wavelength_A, bool(models.warnings)) == (pytest.approx(1.0), warns)


@pytest.mark.requirement("AT-FROM-074")
@pytest.mark.parametrize("energy", [(12000.0, "eV"), (12.0, "keV"), (12000.0 * 1.602176634e-19, "J"), (12000.0, None)])
def test_an_energy_in_place_of_a_wavelength(energy):
    models = read_models(master(instrument__beam__incident_wavelength=None, instrument__beam__incident_energy=energy))
    assert models.beam.wavelength_A == pytest.approx(HC / 12000.0)
    assert bool(models.warnings) == (energy[1] is None)
    with refusal(FormatError, "master.h5", "", "incident_wavelength", "incident_energy"):
        read_models(master(instrument__beam__incident_wavelength=None))
    with refusal(FormatError, "master.h5", "0 eV", "incident_energy"):
        read_models(master(instrument__beam__incident_wavelength=None, instrument__beam__incident_energy=(0.0, "eV")))


@pytest.mark.requirement("AT-FROM-070")
def test_a_detector_on_the_side_of_the_source():
    """As in files whose distance has the other sign; dxtbx places it behind the sample, too."""
    panel, = read_models(master(instrument__detector__detector_distance=(-0.15, "m"))).panels
    assert panel.origin_mm[2] == pytest.approx(-150.0)


@pytest.mark.requirement("AT-FROM-073")
def test_a_complete_file_has_no_warning(tmp_path):
    write_nexus(tmp_path / "a.nxs")
    assert not [one for one in read_models(tmp_path / "a.nxs").warnings if "unit" in one]
