"""Reader of the experiment models of NXmx files: modules and goniometer by their chains of transformations.

NeXus has the laboratory frame of McStas, z along the beam and y up; models are in the frame of DIALS, rotated by 180
deg about y. Source: the NXmx application definition and its base classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cubragg import units
from cubragg.bounds import WAVELENGTH_A
from cubragg.crystallography.vectors import Vector, scale, unit
from cubragg.experiment.panel import Panel
from cubragg.experiment.sensor import attenuation_um, known_material
from cubragg.io.files.hdf5_source import hdf5_file, read_frame
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels, ScanModel
from cubragg.io.geometry.expt import stacked
from cubragg.io.geometry.nexus_values import NexusValues, Step, text_of_node

#: Detectors with a vertical spindle, by detector_number; from dxtbx 3.12.
_VERTICAL = {"E-32-0105"}
#: Panels whose normal is within this cosine of the beam face it.
_FACING = 0.99
#: A thinner sensor [um] is ignored: some files have one only because the format requires it.
_NO_SENSOR_UM = 0.1
#: Longest chain of transformations that is followed; longer ones are circular.
_MAX_STEPS = 100


def read_nxmx(path: Path | str) -> ExperimentModels:
    """Return the experiment models of the first entry, at the first image.

    Raises
    ------
    FormatError
        If the file is not HDF5, has no NXmx entry with beam and detector, or has a chain or unit that is not known.
    OSError
        If it cannot be read.
    """
    with hdf5_file(path) as file:
        return _Reader(path).models(file)


class _Reader(NexusValues):
    """Reader of one file."""

    def models(self, file: Any) -> ExperimentModels:
        entry = self._only(file, "NXentry")
        instrument = self._only(entry, "NXinstrument")
        sample = next(_of_class(entry, "NXsample"), None)
        detectors = list(_of_class(instrument, "NXdetector"))
        if not detectors:
            raise self.error(instrument, "there is no NXdetector in it")
        beams = [*_of_class(instrument, "NXbeam"), *(_of_class(sample, "NXbeam") if sample is not None else ())]
        beam = next((beam for beam in beams if "incident_wavelength" in beam or "incident_energy" in beam), None)
        if beam is None:
            raise self.error(entry, "there is no NXbeam with an incident_wavelength or incident_energy in it")
        wavelength = self._wavelength(beam)
        if wavelength not in WAVELENGTH_A:
            raise self.error(beam, f"got a wavelength of {wavelength:g} A; {WAVELENGTH_A} A is accepted")
        warnings = self.warnings
        if len(detectors) > 1:
            warnings.append(f"{self.path} has {len(detectors)} detectors, of which {detectors[0].name} is used")
        panels = self._panels(detectors[0], wavelength, warnings)
        exposure = next((self.scalar(detectors[0][name], "s") for name in ("count_time", "frame_time")
                         if name in detectors[0]), None)
        number = text_of_node(self.read(detectors[0]["detector_number"])) if "detector_number" in detectors[0] else ""
        spindle, scan = self._goniometer(sample, exposure or None, number)
        fraction, normal = self._polarization(beam)
        warnings += self.unit_warnings()
        return ExperimentModels(BeamModel((0.0, 0.0, -1.0), wavelength, fraction, normal), tuple(panels), spindle, scan,
                      warnings=tuple(warnings))

    def _only(self, group: Any, nx_class: str) -> Any:
        for node in _of_class(group, nx_class):
            return node
        raise self.error(group, f"there is no {nx_class} in it; an NXmx file has one")

    # beam

    def _wavelength(self, beam: Any) -> float:
        if "incident_wavelength" not in beam:
            node = beam["incident_energy"]
            energy = self.scalar(node, "eV")
            if not energy > 0.0:
                raise self.error(node, f"got {energy:g} eV; it must be > 0 eV")
            return units.angstrom_from_ev(energy)
        node = beam["incident_wavelength"]
        wavelengths = self.values(node, "A")
        if "incident_wavelength_weights" in beam and wavelengths.size > 1:
            weights = np.asarray(self.read(beam["incident_wavelength_weights"]), dtype=np.float64).ravel()
            if weights.size == wavelengths.size and weights.sum() > 0.0:
                return float(wavelengths @ weights / weights.sum())
        if not wavelengths[0] > 0.0:
            raise self.error(node, f"got {wavelengths[0]:g} A; it must be > 0 A")
        return self.scalar(node, "A", "wavelength")

    def _polarization(self, beam: Any) -> tuple[float | None, Vector | None]:
        """Return polarized fraction and polarization normal from Stokes parameters I, Q, U, V: E along x for Q > 0."""
        if "incident_polarization_stokes" not in beam:
            return None, None
        stokes = np.asarray(self.read(beam["incident_polarization_stokes"]), dtype=np.float64).ravel().tolist()
        if len(stokes) < 4 or not stokes[0] > 0.0:
            return None, None
        angle = math.atan2(stokes[2], stokes[1]) / 2.0
        return (1.0 + math.hypot(stokes[1], stokes[2]) / stokes[0]) / 2.0, (math.sin(angle), math.cos(angle), 0.0)

    # transformations

    def _chain(self, node: Any, depends_on: Any) -> list[Step]:
        """Return the steps from the first transformation to the laboratory."""
        steps: list[Step] = []
        name = text_of_node(depends_on)
        while name and name != ".":
            group = node if hasattr(node, "keys") else node.parent
            if name not in group:
                raise self.error(node, f"it depends on {name}, which is not in the file")
            node = group[name]
            steps.append(self._step(node))
            name = text_of_node(node.attrs.get("depends_on", "."))
            if len(steps) > _MAX_STEPS:
                raise self.error(node, f"its chain of depends_on has more than {_MAX_STEPS} steps; it must end with "
                                 f"'.'")
        return steps

    def _step(self, node: Any) -> Step:
        kind = text_of_node(node.attrs.get("transformation_type", "translation"))
        if kind not in ("rotation", "translation"):
            raise self.error(node, f"got the transformation_type {kind!r}; it must be rotation or translation")
        values = self.values(node, "deg" if kind == "rotation" else "mm")
        offset = np.zeros(3)
        if "offset" in node.attrs:
            factor = self.scale_of(node, "offset_units", "mm") if np.any(node.attrs["offset"]) else 1.0
            offset = np.asarray(node.attrs["offset"], dtype=np.float64).ravel() * factor
        if kind == "rotation":
            vector = self.vector(node, "vector")
            return Step(node, True, vector / np.linalg.norm(vector), values, offset)
        # Like other readers: value times vector, even if that is not a unit vector.
        return Step(node, False, self.vector(node, "vector") if values.any() else np.zeros(3), values, offset)

    def _goniometer(self, sample: Any, exposure_s: float | None, detector_number: str
                    ) -> tuple[Vector | None, ScanModel | None]:
        """Return the scanned axis in the laboratory, and the scan."""
        if sample is not None and "depends_on" not in sample and "goniometer/omega" in sample:
            return self._plain_goniometer(sample, exposure_s, detector_number)
        if sample is None or "depends_on" not in sample:
            return None, None
        rotations = [step for step in self._chain(sample, self.read(sample["depends_on"])) if step.rotates]
        if not rotations:
            return None, None
        scanned = next((i for i, step in enumerate(rotations) if np.ptp(step.values) > 0.0), 0)
        axis = rotations[scanned].vector
        for step in rotations[scanned + 1:]:
            axis = step.rotation(step.values[0]) @ axis
        if any(step.values[0] != 0.0 for step in rotations[:scanned]):
            self.warnings.append(f"{self.path}: goniometer axes between crystal and spindle are not at 0 deg; a matrix "
                            "given by -mat must include their rotation")
        start, width = self._scan(rotations[scanned])
        scan = ScanModel(start, width, exposure_s, rotations[scanned].values.size)
        if width >= 0.0:
            return _dials(axis), scan
        return _dials(-axis), replace(scan, phi_deg=-start, osc_deg=-width)

    def _plain_goniometer(self, sample: Any, exposure_s: float | None, detector_number: str
                          ) -> tuple[Vector | None, ScanModel | None]:
        """Return spindle and scan of a DECTRIS master file, which has the angles of omega without a chain.

        The axis is the ``vector`` of omega, where it has one, else +x, or +y for known detectors.
        """
        goniometer = sample["goniometer"]
        omega = goniometer["omega"]
        described = next((node for node in (omega, sample.get("transformations/omega"))
                          if node is not None and "vector" in node.attrs), None)
        axis = (0.0, 1.0, 0.0) if detector_number in _VERTICAL else (1.0, 0.0, 0.0)
        axis = axis if described is None else _dials(self.vector(described, "vector"))
        fixed = [f"{name} {angle:g} deg" for name in ("kappa", "chi", "phi") if hasattr(goniometer.get(name), "shape")
                 and (angle := self.scalar(goniometer[name], "deg")) != 0.0]
        if fixed:
            self.warnings.append(f"{self.path}: {', '.join(fixed)} of {goniometer.name} {'are' if fixed[1:] else 'is'} "
                                 "not used, because the file gives no axes for them; a matrix given by -mat must "
                                 "include their rotation")
        starts = self.values(omega, "deg")
        width = float(np.median(np.diff(starts))) if starts.size > 1 else 0.0
        if "omega_increment" in goniometer:
            width = self._increment(goniometer["omega_increment"], omega)
        sense = 1.0 if width >= 0.0 else -1.0
        return scale(axis, sense), ScanModel(sense * float(starts[0]), sense * width, exposure_s, starts.size)

    def _scan(self, step: Step) -> tuple[float, float]:
        name, parent, values = step.node.name, step.node.parent, step.values
        if f"{name}_increment_set" in parent:
            return float(values[0]), self._increment(parent[f"{name}_increment_set"], step.node)
        if f"{name}_end" in parent:
            return float(values[0]), self._increment(parent[f"{name}_end"], step.node) - values[0]
        return float(values[0]), float(np.median(np.diff(values))) if values.size > 1 else 0.0

    def _increment(self, node: Any, angles: Any) -> float:
        value = self.first(node)
        return value * self.scale_of(node if "units" in node.attrs else angles, "units", "deg")

    # detector

    def _panels(self, detector: Any, wavelength: float, warnings: list[str]) -> list[Panel]:
        sensor = self._sensor(detector, wavelength)
        mask = self._mask(detector)
        modules = list(_of_class(detector, "NXdetector_module"))
        panels = ([self._module(module, sensor, mask, self._has_fast_first(detector, module)) for module in modules]
                  or [self._from_beam_centre(detector, sensor, mask)])
        offsets = {panel.offset for panel in panels}
        if len(panels) > 1 and len(offsets) == 1:
            warnings.append(f"{self.path}: the file does not specify where its {len(panels)} modules are in the image: "
                           "they are stacked along the slow axis")
            panels = stacked(panels)
        if len(panels) == 1 and panels[0].origin_mm[2] > 0.0 and abs(panels[0].normal[2]) > _FACING:
            x, y, z = panels[0].origin_mm
            warnings.append(f"{self.path}: {detector.name} is {z:g} mm from the sample towards the source; it is "
                            "placed at this distance behind the sample, as by dxtbx")
            panels = [replace(panels[0], origin_mm=(x, y, -z))]
        return panels

    def _sensor(self, detector: Any, wavelength: float) -> dict[str, Any]:
        """Return sensor and trusted range, as settings of a panel."""
        found: dict[str, Any] = {}
        named = self.read(detector["sensor_material"]) if "sensor_material" in detector else ""
        material = known_material(text_of_node(named))
        if material and "sensor_thickness" in detector:
            thickness = 1000.0 * self.scalar(detector["sensor_thickness"], "mm", "thickness")
            if thickness > _NO_SENSOR_UM:
                found = {"thickness_um": thickness, "attenuation_um": attenuation_um(material, wavelength)}
        if "saturation_value" in detector:
            low = self.first(detector["underload_value"]) if "underload_value" in detector else 0.0
            found["trusted"] = (low, self.first(detector["saturation_value"]))
        return {**found, "material": material}

    def _mask(self, detector: Any) -> np.ndarray | None:
        """Return bool [slow, fast], True where the pixel mask is 0; ``None`` if there is no mask."""
        name = next((name for name in ("pixel_mask", "detectorSpecific/pixel_mask") if name in detector), None)
        if name is None:
            return None
        return read_frame(self.path, detector[name]) == 0 if detector[name].ndim > 1 else None

    def _module(self, module: Any, sensor: dict[str, Any], mask: np.ndarray | None, fast_first: bool
                ) -> Panel:
        for needed in ("data_size", "fast_pixel_direction", "slow_pixel_direction"):
            if needed not in module:
                raise self.error(module, f"there is no {needed} in it")
        sizes = self.whole(module["data_size"])[-2:]
        slow_pixels, fast_pixels = reversed(sizes) if fast_first else sizes
        origin = self.whole(module["data_origin"])[-2:] if "data_origin" in module else [0, 0]
        offset = (origin[1], origin[0])
        axes, edges = [], []
        for name in ("fast_pixel_direction", "slow_pixel_direction"):
            node = module[name]
            axis = self.vector(node, "vector")
            for step in self._chain(node, node.attrs.get("depends_on", ".")):
                axis = step.rotation(step.values[0]) @ axis
            axes.append(_dials(axis))
            edges.append(self.scalar(node, "mm"))
        corner = self._corner(module)
        window = None
        if mask is not None:
            window = mask[offset[1]:offset[1] + slow_pixels, offset[0]:offset[0] + fast_pixels]
            if window.shape != (slow_pixels, fast_pixels):
                raise self.error(module, f"its pixels are not all in the pixel_mask of {mask.shape[1]} x "
                                 f"{mask.shape[0]} pixels")
        return Panel(fast_pixels, slow_pixels, corner, scale(axes[0], edges[0]), scale(axes[1], edges[1]), offset,
                     module.name.rsplit("/", 1)[-1], mask=None if window is None or window.all() else window, **sensor)

    def _corner(self, module: Any) -> Vector:
        """Return the corner of the first pixel [mm], from module_offset or, without it, fast_pixel_direction."""
        node = module.get("module_offset")
        position = np.zeros(3)
        if node is not None:
            position = self._step(node).moved(position)
            steps = self._chain(node, node.attrs.get("depends_on", "."))
        else:
            node = module["fast_pixel_direction"]
            steps = self._chain(node, node.attrs.get("depends_on", "."))
            if "offset" in node.attrs and np.any(node.attrs["offset"]):
                factor = self.scale_of(node, "offset_units", "mm")
                position = np.asarray(node.attrs["offset"], dtype=np.float64) * factor
        for step in steps:
            position = step.moved(position)
        return _dials(position, is_length=True)

    def _from_beam_centre(self, detector: Any, sensor: dict[str, Any], mask: np.ndarray | None) -> Panel:
        """Return an untilted panel from beam centre and distance, for a detector without modules."""
        sizes = {"x_pixel_size": "mm", "y_pixel_size": "mm"}
        distance = next((name for name in ("distance", "detector_distance") if name in detector), "")
        shape = mask.shape if mask is not None else detector["data"].shape[-2:] if "data" in detector else None
        missing = [name for name in (*sizes, "beam_center_x", "beam_center_y") if name not in detector]
        if missing or not distance or shape is None:
            absent = ", ".join([*missing, *([] if distance else ["distance"]), *([] if shape else ["pixel_mask"])])
            raise self.error(detector, f"there is neither an NXdetector_module nor {absent} in it")
        fast, slow = (self.scalar(detector[name], unit_, "pixel") for name, unit_ in sizes.items())
        centre_x, centre_y = (self.first(detector[f"beam_center_{axis}"]) for axis in "xy")
        away = self.scalar(detector[distance], "mm", "distance")
        return Panel(shape[1], shape[0], (-centre_x * fast, centre_y * slow, -away),
                     (fast, 0.0, 0.0), (0.0, -slow, 0.0), mask=None if mask is None or mask.all() else mask, **sensor)

    def _has_fast_first(self, detector: Any, module: Any) -> bool:
        """Return whether data_size is (fast, slow), as in early files of Diamond, judged by the detector's size."""
        counts = [detector.get(f"detectorSpecific/{axis}_pixels_in_detector") for axis in "xy"]
        if any(count is None for count in counts):
            return False
        width, height = (self.whole(count)[0] for count in counts)
        return width != height and self.whole(module["data_size"])[-2:] == [width, height]


def _of_class(group: Any, nx_class: str) -> Iterator[Any]:
    """Yield the members of a NeXus class in file order, without broken links."""
    for name in group:
        member = group.get(name)
        if member is not None and text_of_node(member.attrs.get("NX_class", "")) == nx_class:
            yield member


def _dials(x: np.ndarray, *, is_length: bool = False) -> Vector:
    """Return a vector of the McStas frame in the frame of DIALS; a direction is normalized, a length is not."""
    rotated = (-float(x[0]) + 0.0, float(x[1]) + 0.0, -float(x[2]) + 0.0)
    return rotated if is_length else unit(rotated)
