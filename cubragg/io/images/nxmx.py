"""Writer of NeXus NXmx files: many images in one HDF5 file, with any panel geometry.

The geometry is in the McStas frame (x to the left looking along the beam, y up, z along the beam): the frame of
DIALS rotated by 180 deg about y. Besides the groups of the NXmx definition a file has those that the XDS plugins
neggia and durin need (detectorSpecific, data_000001). `specs/file-formats.md`
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cubragg.crystallography.frames import to_frame
from cubragg.crystallography.vectors import Vector, dot, norm, scale, unit
from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import FormatError
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.goniometer_axes import GoniometerAxis, place_of
from cubragg.experiment.panel import Panel, panel_in_beam
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import atomic_path
from cubragg.io.files.hdf5_sink import Sink
from cubragg.io.files.held_signals import hold_signals
from cubragg.io.images.image_panels import sensor_in_common
from cubragg.io.images.nexus_nodes import field, group, set_text
from cubragg.io.images.nxmx_beam import describe_beam
from cubragg.io.images.scene import Scene
from cubragg.io.images.writer import What
from cubragg.io.perpendicular import squared_panels

if TYPE_CHECKING:
    import h5py

_DETECTOR = "/entry/instrument/detector"
_SAMPLE_AXES = "/entry/sample/transformations"
_DETECTOR_Z = f"{_DETECTOR}/transformations/detector_z"
#: sensor_thickness of files without rendered sensor layers [m]. dxtbx always corrects for the depth of absorption and
#: refuses a thickness of 0; with this one its correction is negligible.
_NO_SENSOR_M = 1e-9
#: Bit of the pixel mask for gaps.
_GAP = 1


#: Types of pixels by name. dxtbx reads integers as signed, and treats the two highest values as marks of bad pixels;
#: XDS treats all values as such that are not positive 32-bit integers.
TYPES = {kind.name: kind for kind in (
    PixelType("uint32", 2**31 - 3, 2**32 - 1), PixelType("int32", 2**31 - 3, -1),
    PixelType("uint16", 2**16 - 3, 2**16 - 1), PixelType("float32", float(np.finfo(np.float32).max), -1))}
#: Compressions of pixels.
COMPRESSIONS = ("bslz4", "gzip", "none")
#: Writes more into a file of a number of images.
More = Callable[["h5py.File", int], None]


def image_count(path: Path | str) -> int:
    """Return the number of images in an NXmx file; 0 for any other file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            data = file.get("entry/data/data")
            return len(data) if isinstance(data, h5py.Dataset) and data.ndim == 3 else 0
    except (OSError, RuntimeError, KeyError, ValueError):  # any error of h5py
        return 0


class NxmxWriter:
    """Writer of a file to which images are appended; the file appears at the end of the ``with`` block.

    After Ctrl-C the file has the images that were appended; after any other exception there is no file. Only one image
    is in memory at a time.

    Parameters
    ----------
    path
        The file.
    scene
        The experiment that the file describes.
    images
        Largest number of images.
    type_name
        A key of `TYPES`.
    compression
        A key of `COMPRESSIONS`.
    more
        Called at the end with the file and the number of its images, to write more than the scene.

    Attributes
    ----------
    done, complete
        Number of images appended so far, and whether the file is complete.

    Raises
    ------
    FormatError
        If the panels differ in their sensors, or are too far from perpendicular.
    OSError
        If the file cannot be written.
    """

    def __init__(self, path: Path | str, scene: Scene, images: int, type_name: str = "uint32", *,
                 compression: str = "bslz4", more: More | None = None) -> None:
        sensor_in_common(scene.panels)
        scene = replace(scene, panels=squared_panels(scene.panels))
        self.done, self.complete = 0, False
        self._path, self._scene, self._images, self._type = path, scene, images, type_name
        self._compression, self._more = compression, more
        self._stack = ExitStack()

    def __enter__(self) -> NxmxWriter:
        try:
            with hold_signals():  # HDF5 must not lose a call in its middle
                self._open()
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
        return self

    def _open(self) -> None:
        import h5py
        import hdf5plugin

        # If HDF5_PLUGIN_PATH is the folder of hdf5plugin, as DIALS may need it, HDF5 would load a filter from there
        # that does not find the HDF5 library of this h5py.
        hdf5plugin.register("bshuf", force=True)
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self._path))
            self._sink = stack.enter_context(closing(Sink(temporary)))
            # Old-style groups and superblock 0, because neggia reads no others.
            self._file = stack.enter_context(h5py.File(self._sink, "w", libver="earliest"))
            shape = self._scene.live.shape
            entry = group(self._file, "entry", "NXentry")
            data = group(entry, "data", "NXdata", signal="data")
            self._data = data.create_dataset(
                "data", (self._images, *shape), self._type, maxshape=(self._images, *shape), chunks=(1, *shape),
                fillvalue=0, **filters_of(self._compression))
            data["data_000001"] = self._data
            self._stack = stack.pop_all()

    def append(self, image: np.ndarray) -> None:
        """Append an image [slow, fast] of the type of the file, as returned by `stored_pixels`.

        Raises
        ------
        FormatError
            If the image has another type or size.
        OSError
            If it cannot be written.
        """
        image = checked_image(self._path, image, self._type, "this NXmx file")
        shape = self._scene.live.shape
        if image.shape != shape:
            raise FormatError(f"{self._path}: got an image of shape {image.shape}; "
                              f"the images of this file have shape {shape}")
        with hold_signals():
            self._data[self.done] = image
            self._file.flush()
            self._sink.check()
            self.done += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        keep = kind is None or (issubclass(kind, KeyboardInterrupt) and self.done > 0)
        with hold_signals():
            if not keep:
                self._stack.__exit__(kind, error, trace)
                return
            self._finish()

    def _finish(self) -> None:
        with self._stack:
            self._data.resize(self.done, axis=0)
            describe(self._file, self._scene, self.done, self._type)
            if self._more is not None:
                self._more(self._file, self.done)
            self._file.flush()
            self._sink.check()
        self.complete = True


class NxmxImageWriter:
    """Writer of counts as uint32, expected photons as float32, or both as a given type of pixels."""

    title: ClassVar[str] = "an NXmx file"
    holds_series: ClassVar[bool] = True
    perpendicular: ClassVar[bool] = True
    offset = 0.0

    def __init__(self, scene: Scene, type_name: str | None = None) -> None:
        self.scene, self.live, self._type = scene, scene.live, type_name
        self.file: NxmxWriter | None = None

    def check(self) -> None:
        """Raise `FormatError` for a curved detector, and for panels with different sensors or too oblique axes."""
        if self.scene.curved:
            raise FormatError("got a curved detector")
        sensor_in_common(self.scene.panels)
        squared_panels(self.scene.panels)

    def pixel_type(self, what: What) -> PixelType:
        """Return one of `TYPES`."""
        return TYPES[self._type or ("uint32" if what == "counts" else "float32")]

    def open(self, path: Path | str, images: int, type_name: str) -> None:
        """Start a temporary file, which `close` renames to ``path``."""
        self.file = NxmxWriter(path, self.scene, images, type_name)
        self.file.__enter__()

    def append(self, pixels: np.ndarray) -> None:
        """Append an image [slow, fast] of the type of the file."""
        assert self.file is not None, "open comes first"
        self.file.append(pixels)

    def close(self, keep: bool = True) -> bool:
        """Finish the file, or remove it if it has no images or ``keep`` is False; return whether there is a file."""
        assert self.file is not None, "open comes first"
        error = None if keep and self.file.done else Exception()
        self.file.__exit__(None if error is None else Exception, error, None)
        return self.file.complete


def filters_of(compression: str) -> dict[str, Any]:
    """The arguments of h5py's ``create_dataset`` for a key of `COMPRESSIONS`."""
    import hdf5plugin

    filters: dict[str, dict[str, Any]] = {
        "bslz4": dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4")), "none": {},
        "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True}}
    return filters[compression]


def describe(file: h5py.File, scene: Scene, images: int, type_name: str) -> None:
    """Write everything but the pixels."""
    set_text(file, NX_class="NXroot", default="entry")
    entry = file["entry"]
    set_text(entry, default="data")
    start = scene.timestamp.replace(tzinfo=None)
    end = start + timedelta(seconds=images * max(scene.exposure_s, 0.0))
    for name, text in (("definition", "NXmx"), ("start_time", start.isoformat(timespec="milliseconds")),
                       ("end_time", end.isoformat(timespec="milliseconds")),
                       ("end_time_estimated", end.isoformat(timespec="milliseconds"))):
        entry[name] = text
    if scene.counts_per_photon != 1.0:
        entry["data/data_scale_factor"] = 1.0 / scene.counts_per_photon
    group(entry, "source", "NXsource")["name"] = "cubragg, simulated"
    instrument = group(entry, "instrument", "NXinstrument")
    instrument["name"] = "cubragg, simulated"
    frame = _Frame(scene.frame)
    describe_beam(group(instrument, "beam", "NXbeam"), scene, frame.polar)
    _sample(group(entry, "sample", "NXsample"), scene, images, frame)
    _detector(group(instrument, "detector", "NXdetector"), scene, images, type_name, frame)


class _Frame:
    """Rotation from the laboratory of a detector into the McStas frame."""

    def __init__(self, frame: DetectorFrame) -> None:
        self._rotation = frame.dials_rotation()
        self.polar = self(frame.polar)

    def __call__(self, vector: Vector) -> Vector:
        x, y, z = to_frame(self._rotation, vector)
        return (0.0 - x, y, 0.0 - z)


def _axis(group: h5py.Group, name: str, value: Any, kind: str, vector: Vector, depends_on: str) -> None:
    """Write a rotation [deg] about, or a translation [m] along, a unit vector."""
    field(group, name, value, "deg" if kind == "rotation" else "m")
    axis = group[name].attrs
    axis["vector"] = np.array(vector)
    axis["offset"] = np.zeros(3)
    set_text(group[name], transformation_type=kind, offset_units="m", depends_on=depends_on)


def _sample(sample: h5py.Group, scene: Scene, images: int, frame: _Frame) -> None:
    sample["name"] = "crystal, simulated"
    if not scene.range_deg > 0.0:
        sample["depends_on"] = "."
        return
    axes = group(sample, "transformations", "NXtransformations")
    # Of several axes each turns the ones before it in the list. In one image none changes, so that readers would not
    # know which one turns: it has the spindle in the laboratory only.
    several = scene.axes if images > 1 else ()
    chain = several or (GoniometerAxis("omega", scene.frame.spindle),)
    scanned = place_of(several, scene.scan_axis) if several else 0
    paths = [*(f"{_SAMPLE_AXES}/{axis.name}" for axis in chain), "."]
    sample["depends_on"] = paths[0]
    starts = scene.start_deg + scene.range_deg * np.arange(images)
    for place, axis in enumerate(chain):
        angles = starts if place == scanned else np.array([axis.angle_deg])
        _axis(axes, axis.name, angles, "rotation", frame(unit(axis.direction) if several else axis.direction),
              paths[place + 1])
    name = chain[scanned].name
    field(axes, f"{name}_end", starts + scene.range_deg, "deg")
    field(axes, f"{name}_increment_set", np.full(images, scene.range_deg), "deg")
    field(group(sample, "goniometer", "NXcollection"), f"{name}_range_average", scene.range_deg, "deg")


def _detector(detector: h5py.Group, scene: Scene, images: int, type_name: str, frame: _Frame) -> None:
    reference = panel_in_beam(scene.panels, scene.frame.beam)
    spot, edges_mm = reference.spot(scene.frame.beam), reference.pixel_mm
    material, thickness = sensor_in_common(scene.panels)
    detector["description"] = "cubragg, simulated"
    detector["type"] = "Pixel"
    detector["depends_on"] = _DETECTOR_Z
    for name, value, units in (
            ("x_pixel_size", edges_mm[0] / 1000.0, "m"), ("y_pixel_size", edges_mm[1] / 1000.0, "m"),
            ("sensor_thickness", thickness or _NO_SENSOR_M, "m"), ("count_time", scene.exposure_s, "s"),
            ("frame_time", scene.exposure_s, "s")):
        field(detector, name, np.float64(value), units)
    if spot is not None:
        for name in ("distance", "detector_distance"):
            field(detector, name, np.float64(spot.distance_mm / 1000.0), "m")
        field(detector, "beam_center_x", reference.offset[0] + spot.fast_px, "pixel")
        field(detector, "beam_center_y", reference.offset[1] + spot.slow_px, "pixel")
    detector["sensor_material"] = material
    lowest, highest = scene.trusted or (0.0, TYPES[type_name].highest)
    number = float if type_name == "float32" else int
    detector["underload_value"] = number(max(lowest, 0.0))
    detector["saturation_value"] = number(min(highest, TYPES[type_name].highest))
    if type_name != "float32":
        detector["bit_depth_readout"] = 8 * np.dtype(type_name).itemsize
    _specific(group(detector, "detectorSpecific", "NXcollection"), scene, images)
    if all(panel.fast_pixels == scene.live.shape[1] for panel in scene.panels):
        # Not for narrower panels, because dxtbx 3.12 fails on a slice of a mask that is not contiguous; there gaps are
        # marked by the values of pixels only.
        detector["pixel_mask"] = detector["detectorSpecific/pixel_mask"]
    detector["pixel_mask_applied"] = True
    depth = frame(reference.origin_mm)[2] / 1000.0
    _axis(group(detector, "transformations", "NXtransformations"), "detector_z", depth, "translation",
          (0.0, 0.0, 1.0), ".")
    width = len(str(len(scene.panels) - 1))
    for number_, panel in enumerate(scene.panels):
        name = "module" if len(scene.panels) == 1 else f"module_{number_:0{width}}"
        _module(group(detector, name, "NXdetector_module"), panel, depth, frame)


def _specific(specific: h5py.Group, scene: Scene, images: int) -> None:
    """Write the entries of Dectris detectors that the plugins of XDS read."""
    slow, fast = scene.live.shape
    specific["nimages"] = images
    specific["ntrigger"] = 1
    specific["x_pixels_in_detector"] = fast
    specific["y_pixels_in_detector"] = slow
    # Not chunked, because neggia reads the bytes directly.
    specific["pixel_mask"] = np.where(scene.live, 0, _GAP).astype(np.uint32)


def _module(module: h5py.Group, panel: Panel, depth: float, frame: _Frame) -> None:
    path = module.name
    if panel.name:
        module["description"] = panel.name
    module["data_origin"] = np.array(panel.offset[::-1])
    module["data_size"] = np.array((panel.slow_pixels, panel.fast_pixels))
    x, y, z = scale(frame(panel.origin_mm), 1e-3)
    offset = (x, y, z - depth)
    length = norm(offset)
    direction = scale(offset, 1.0 / length) if dot(offset, offset) > 0.0 else (1.0, 0.0, 0.0)
    _axis(module, "module_offset", length, "translation", direction, _DETECTOR_Z)
    for name, size_mm, axis in (("fast_pixel_direction", panel.pixel_mm[0], panel.fast),
                                ("slow_pixel_direction", panel.pixel_mm[1], panel.slow)):
        _axis(module, name, size_mm / 1000.0, "translation", frame(axis), f"{path}/module_offset")
