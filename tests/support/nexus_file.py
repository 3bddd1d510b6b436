"""An NXmx file with everything that can turn: for tests of its readers."""

from __future__ import annotations

import h5py
import numpy as np

STEPS = "entry/instrument/detector/transformations"


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
