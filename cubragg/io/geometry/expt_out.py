"""Writer of DIALS experiment lists (``.expt``), for dxtbx 3.12 and later."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from cubragg.crystallography.cell import dual_axes
from cubragg.crystallography.vectors import Matrix, Vector, unit
from cubragg.errors import FormatError
from cubragg.experiment.goniometer_axes import fixed_axes, place_of, turned
from cubragg.experiment.panel import Panel
from cubragg.io.files.names import is_utf8
from cubragg.io.geometry.experiment_models import ExperimentModels, ScanModel, crystal_at, rectangles
from cubragg.io.perpendicular import squared_panels

_HDF5_ENDINGS = (".nxs", ".h5", ".hdf5", ".cxi")
_COUNTED = re.compile(r"\d+(?=\.\w+$)")
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def expt_text(where: str, models: ExperimentModels, *, image: str | None, trusted: tuple[float, float]) -> str:
    """Return the experiment list of an image or a series, from models in the frame of DIALS (`frames.dials_rotation`).

    ``image`` is the file of the image, or of the first of a series; ``None``: no imageset. ``trusted`` is the range of
    trusted counts (limits excluded) of the file, which also limits that of a panel. An image without rotation is a
    still: it has no goniometer,
    and its A matrix is rotated to the spindle angle of the image.

    Raises
    ------
    FormatError
        If the models have no wavelength or no detector, or the axes of a panel are too far from perpendicular;
        ``where`` begins the message.
    """
    return json.dumps(expt_document(where, models, image, trusted), indent=2) + "\n"


def expt_document(where: str, models: ExperimentModels, image: str | None, trusted: tuple[float, float]
                  ) -> dict[str, Any]:
    """Return the experiment list as nested dictionaries; see `expt_text`."""
    beam, scan = models.beam, models.scan
    if beam is None or beam.wavelength_A is None or not models.panels:
        raise FormatError(f"{where}: got models without a wavelength or a detector; DIALS needs both")
    try:
        panels = squared_panels(models.panels)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    rotating = scan is not None and scan.osc_deg > 0.0
    tables: dict[str, dict[str, Any]] = {
        "beam": {
            "__id__": "monochromatic", "direction": [0.0 - component for component in beam.direction],
            "wavelength": beam.wavelength_A,
            "divergence": 0.0, "sigma_divergence": 0.0,
            "polarization_normal": [*(beam.polarization_normal or (0.0, 1.0, 0.0))],
            "polarization_fraction": 0.5 if beam.polarization_fraction is None else beam.polarization_fraction,
            "flux": 0.0, "transmission": 1.0},
        "detector": {"panels": [_panel(number, panel, trusted) for number, panel in enumerate(panels)]}}
    if rotating and scan is not None and models.spindle is not None:
        tables["goniometer"] = _goniometer(models.spindle, models)
        tables["scan"] = _scan(scan)
    a_matrix = crystal_at(models, 0.0 if rotating or scan is None else scan.phi_deg)
    if rotating and a_matrix is not None:
        a_matrix = _dismounted(a_matrix, models)
    if a_matrix is not None:
        tables["crystal"] = crystal_entry(a_matrix)
    if image is not None:
        _check_name(where, image)
        tables["imageset"] = _imageset(os.path.abspath(image), scan if rotating else None)
    kinds = ("imageset", "beam", "detector", "goniometer", "scan", "crystal", "profile", "scaling_model")
    return {"__id__": "ExperimentList",
            "experiment": [{"__id__": "Experiment", "identifier": "", **dict.fromkeys(tables, 0)}],
            **{kind: [tables[kind]] if kind in tables else [] for kind in kinds}}


def _goniometer(spindle: Vector, models: ExperimentModels) -> dict[str, Any]:
    if not models.axes:
        return {"rotation_axis": [*spindle], "fixed_rotation": _IDENTITY, "setting_rotation": _IDENTITY}
    return {"axes": [[*unit(axis.direction)] for axis in models.axes],
            "angles": [axis.angle_deg for axis in models.axes], "names": [axis.name for axis in models.axes],
            "scan_axis": place_of(models.axes, models.scan_axis)}


def _dismounted(m: Matrix, models: ExperimentModels) -> Matrix:
    """The A matrix with all angles of the goniometer at 0, from that in the laboratory at a scan angle of 0."""
    if not models.axes:
        return m
    fixed = fixed_axes(models.axes, models.scan_axis)
    columns = [turned((m[i], m[3 + i], m[6 + i]), fixed, -1.0) for i in range(3)]
    return tuple(column[i] for i in range(3) for column in columns)  # type: ignore[return-value]


def _check_name(where: str, image: str) -> None:
    if not is_utf8(os.path.abspath(image)):
        raise FormatError(f"{where}: got the image {os.path.abspath(image)!r}, whose name is not UTF-8; a .expt file, "
                          "which is JSON, needs a name in UTF-8")


def _imageset(image: str, scan: ScanModel | None) -> dict[str, Any]:
    """Return the imageset; in the template of a series the digits before the suffix become ``#``."""
    found: dict[str, Any] = {"__id__": "ImageSet", "images": [image]}
    if scan is not None:
        whole = image.endswith(_HDF5_ENDINGS)
        template = image if whole or scan.images == 1 else _COUNTED.sub(lambda digits: "#" * len(digits[0]), image)
        found = {"__id__": "ImageSequence", "template": template}
        if whole:
            found["single_file_indices"] = [*range(scan.images)]
    return {**found, "mask": "", "gain": "", "pedestal": "", "dx": "", "dy": "", "params": {}}


def _panel(number: int, panel: Panel, trusted: tuple[float, float]) -> dict[str, Any]:
    absorbing = panel.thickness_um is not None and bool(panel.attenuation_um)
    gaps = [] if panel.mask is None else rectangles(~panel.mask)
    return {
        "name": panel.name or f"panel{number}", "type": "SENSOR_PAD", "fast_axis": [*panel.fast],
        "slow_axis": [*panel.slow], "origin": [*panel.origin_mm], "raw_image_offset": [*panel.offset],
        "image_size": [panel.fast_pixels, panel.slow_pixels], "pixel_size": [*panel.pixel_mm],
        "trusted_range": [*trusted] if panel.trusted is None else [panel.trusted[0], min(panel.trusted[1], trusted[1])],
        "thickness": (panel.thickness_um or 0.0) / 1000.0 if absorbing else 0.0, "material": panel.material,
        "mu": 1000.0 / panel.attenuation_um if absorbing and panel.attenuation_um else 0.0, "identifier": "",
        "mask": [[f0, s0, f1, s1] for f0, f1, s0, s1 in gaps], "gain": 1.0, "pedestal": 0.0,
        "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy" if absorbing else "SimplePxMmStrategy"}}


def _scan(scan: ScanModel) -> dict[str, Any]:
    return {"image_range": [1, scan.images], "batch_offset": 0, "oscillation": [scan.phi_deg, scan.osc_deg],
            "exposure_time": [scan.exposure_s or 0.0] * scan.images, "epochs": [0.0] * scan.images,
            "valid_image_ranges": {}}


def crystal_entry(m: Matrix) -> dict[str, Any]:
    """The entry of an experiment list for a crystal of P 1 with an A matrix [1/A] by rows."""
    real = dual_axes(*((m[i], m[3 + i], m[6 + i]) for i in range(3)))
    return {"__id__": "crystal", **{f"real_space_{name}": [*axis] for name, axis in zip("abc", real, strict=True)},
            "space_group_hall_symbol": " P 1"}
