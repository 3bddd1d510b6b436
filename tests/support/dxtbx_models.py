"""Run by DIALS's Python: what dxtbx, which reads files for DIALS, makes of images.

python dxtbx_models.py OUT FILES...: each of FILES is one set of images, names joined by commas. OUT.json has what
each set was understood as, OUT.npz the pixels and masks as SET-image-panel and mask-SET-image-panel.
"""

import json
import sys

import numpy as np
from dxtbx import flumpy
from dxtbx.model.experiment_list import ExperimentListFactory


def described(experiment):
    """Plain values of an experiment."""
    beam, goniometer, scan = experiment.beam, experiment.goniometer, experiment.scan
    return {
        "format": experiment.imageset.get_format_class().__name__,
        "beam": {"s0": beam.get_unit_s0(), "wavelength_A": beam.get_wavelength()},
        "axis": goniometer.get_rotation_axis() if goniometer else None,
        "oscillation_deg": scan.get_oscillation(deg=True) if scan else None,
        "images": len(experiment.imageset),
        "exposures_s": list(scan.get_exposure_times()) if scan else None,
        "panels": [{
            "origin_mm": panel.get_origin(), "fast": panel.get_fast_axis(), "slow": panel.get_slow_axis(),
            "pixel_mm": panel.get_pixel_size(), "size": panel.get_image_size(), "trusted": panel.get_trusted_range(),
            "distance_mm": panel.get_distance(), "thickness_mm": panel.get_thickness(),
            "material": panel.get_material(), "gain": panel.get_gain(), "pedestal": panel.get_pedestal(),
            # where a pixel 30 down and 40 right of the middle is, parallax corrected or not
            "place_mm": panel.pixel_to_millimeter((panel.get_image_size()[0] / 2.0 + 40.0,
                                                   panel.get_image_size()[1] / 2.0 + 30.0)),
        } for panel in experiment.detector],
    }


def main(out, sets):
    """Describe sets of images."""
    models, pixels = {}, {}
    for names in sets:
        (experiment,) = ExperimentListFactory.from_filenames(names.split(","))
        imageset = experiment.imageset
        models[names] = described(experiment)
        for image in range(len(imageset)):
            for panel, data in enumerate(imageset.get_raw_data(image)):
                pixels[f"{names}-{image}-{panel}"] = flumpy.to_numpy(data)
            for panel, mask in enumerate(imageset.get_mask(image)):
                pixels[f"mask-{names}-{image}-{panel}"] = flumpy.to_numpy(mask)
    np.savez(out + ".npz", **pixels)
    with open(out + ".json", "w") as file:
        json.dump(models, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
