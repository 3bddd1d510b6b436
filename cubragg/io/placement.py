"""Where the detector of an image stood, from the header of the image."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg.experiment.detector import Detector, DetectorGeometry

if TYPE_CHECKING:
    import h5py

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: The keys that only images of cubragg and nanoBragg have together: they fix the detector however it leans.
_OWN_SMV = ("PIXEL_SIZE", "DISTANCE", "WAVELENGTH", "CLOSE_DISTANCE", "XDS_ORGX", "XDS_ORGY", "DENZO_X_BEAM",
            "DENZO_Y_BEAM")
#: Units as HDF5 files name them, in millimetres and in Angstrom.
_MILLIMETRES = {"m": 1000.0, "mm": 1.0, "um": 1e-3}
_ANGSTROMS = {"angstrom": 1.0, "Angstrom": 1.0, "A": 1.0, "nm": 10.0}


@dataclass(frozen=True)
class Placement:
    """What is known about detector and beam; ``None``: not known.

    Attributes
    ----------
    wavelength_A, distance_mm, pixel_size_mm
        Wavelength, distance along the beam, edge of a pixel.
    beam_px
        Where the beam hits, along fast and slow, from the outer corner of the first pixel [pixel].
    foot_px, close_distance_mm
        The point nearest to the sample [pixel] and its distance, of a detector that may lean; ``None``: upright.
    twotheta_deg
        A detector arm that the header tells without its axis: the detector is taken as upright nevertheless.
    """

    wavelength_A: float | None = None
    distance_mm: float | None = None
    pixel_size_mm: float | None = None
    beam_px: tuple[float, float] | None = None
    foot_px: tuple[float, float] | None = None
    close_distance_mm: float | None = None
    twotheta_deg: float = 0.0

    def missing(self) -> list[str]:
        """The first four that are not known, by their names here."""
        return [item.name for item in fields(self)[:4] if getattr(self, item.name) is None]

    def overlaid(self, *, wavelength_A: float | None, distance_mm: float | None, pixel_size_mm: float | None,
                 beam_px: tuple[float, float] | None) -> Placement:
        """With what is given in the place of what was known; then a lean is no longer known."""
        given = {name: value for name, value in (("wavelength_A", wavelength_A), ("distance_mm", distance_mm),
                                                 ("pixel_size_mm", pixel_size_mm), ("beam_px", beam_px))
                 if value is not None}
        if given.keys() - {"wavelength_A"}:
            return replace(self, foot_px=None, close_distance_mm=None, **given)  # type: ignore[arg-type]
        return replace(self, **given)  # type: ignore[arg-type]

    def geometry(self, shape: tuple[int, int]) -> DetectorGeometry:
        """The detector [slow, fast] pixels, in a frame of its own: fast, slow and normal are x, y and z.

        Raises
        ------
        ConfigError
            For values that no detector can have.
        """
        assert self.pixel_size_mm is not None
        assert self.beam_px is not None
        assert self.distance_mm is not None
        pixel = self.pixel_size_mm
        foot, close = self.foot_px or self.beam_px, self.close_distance_mm or self.distance_mm
        beam = ((self.beam_px[0] - foot[0]) * pixel, (self.beam_px[1] - foot[1]) * pixel, close)
        return Detector(
            convention="custom", pixel_size_mm=pixel, fast_pixels=shape[1], slow_pixels=shape[0],
            close_distance_mm=close, pivot="sample", orgx=foot[0] + 0.5, orgy=foot[1] + 0.5,
            fast_axis=(1.0, 0.0, 0.0), slow_axis=(0.0, 1.0, 0.0), normal_axis=(0.0, 0.0, 1.0), beam_axis=beam,
            polar_axis=(1.0, 0.0, 0.0)).geometry((1.0, 0.0, 0.0), "physical")


def from_smv(header: Mapping[str, str]) -> Placement:
    """From the header of an SMV image.

    Of other makers' images, BEAM_CENTER_X and _Y are taken as MOSFLM does: from the corner of the first pixel, X
    along slow and Y along fast [mm].
    """
    values = {key: value for key in (*_OWN_SMV, "BEAM_CENTER_X", "BEAM_CENTER_Y", "TWOTHETA")
              if (value := first_number(header.get(key))) is not None}
    pixel = values.get("PIXEL_SIZE")
    placement = Placement(values.get("WAVELENGTH"), values.get("DISTANCE"), pixel or None)
    if not pixel:
        return placement
    if values.get("DISTANCE") and all(key in values for key in _OWN_SMV):
        return _leaning(placement, values, pixel)
    if "BEAM_CENTER_X" in values and "BEAM_CENTER_Y" in values:
        placement = replace(placement, beam_px=(values["BEAM_CENTER_Y"] / pixel, values["BEAM_CENTER_X"] / pixel))
    return replace(placement, twotheta_deg=values.get("TWOTHETA", 0.0))


def _leaning(placement: Placement, values: Mapping[str, float], pixel: float) -> Placement:
    """From the keys of cubragg's and nanoBragg's images.

    DISTANCE leaves a two-theta out and the beam centre in it is laid off with that distance, along the true beam:
    so their quotient is the direction of the beam on the axes of the detector, whatever its lean.
    """
    foot = (values["XDS_ORGX"] - 0.5, values["XDS_ORGY"] - 0.5)
    along_fast, along_slow = ((values[key] - pixel * start) / values["DISTANCE"]
                              for key, start in zip(("DENZO_Y_BEAM", "DENZO_X_BEAM"), foot, strict=True))
    along_normal = math.sqrt(max(0.0, 1.0 - along_fast**2 - along_slow**2))
    if along_normal == 0.0:
        return placement
    distance = values["CLOSE_DISTANCE"] / along_normal
    return replace(placement, distance_mm=distance, foot_px=foot, close_distance_mm=values["CLOSE_DISTANCE"],
                   beam_px=(foot[0] + distance * along_fast / pixel, foot[1] + distance * along_slow / pixel))


def from_minicbf(header: Mapping[str, str]) -> Placement:
    """From the short header of a CBF image, in metres, Angstrom and pixels."""
    metres = {key: None if (value := first_number(header.get(key))) is None else 1000.0 * value
              for key in ("Pixel_size", "Detector_distance")}
    centre = _numbers(header.get("Beam_xy"))
    return Placement(first_number(header.get("Wavelength")), metres["Detector_distance"], metres["Pixel_size"],
                     (centre[0], centre[1]) if len(centre) >= 2 else None,
                     twotheta_deg=first_number(header.get("Detector_2theta")) or 0.0)


def from_nexus(path: Path | str) -> Placement:
    """From the fields of NXdetector and NXbeam in an HDF5 file, as DECTRIS and NXmx have them."""
    import h5py

    with h5py.File(path, "r") as file:
        centre = [_scalar(file, f"entry/instrument/detector/beam_center_{axis}", None) for axis in "xy"]
        return Placement(
            _scalar(file, "entry/instrument/beam/incident_wavelength", _ANGSTROMS),
            _scalar(file, "entry/instrument/detector/detector_distance", _MILLIMETRES)
            or _scalar(file, "entry/instrument/detector/distance", _MILLIMETRES),
            _scalar(file, "entry/instrument/detector/x_pixel_size", _MILLIMETRES),
            None if centre[0] is None or centre[1] is None else (centre[0], centre[1]))


def _scalar(file: h5py.File, name: str, unit_sizes: Mapping[str, float] | None) -> float | None:
    """A number in the unit of ``unit_sizes``; ``None`` if there is none, or in a unit that is not known."""
    found = file.get(name)
    if found is None or not hasattr(found, "dtype") or found.dtype.kind not in "iuf" or found.size != 1:
        return None
    value = float(found[()].ravel()[0])
    if unit_sizes is None:
        return value
    unit = found.attrs.get("units", "")
    size = unit_sizes.get(unit.decode() if isinstance(unit, bytes) else str(unit))
    return None if size is None else value * size


def _numbers(text: str | None) -> list[float]:
    return [float(word) for word in _NUMBER.findall(text or "")]


def first_number(text: str | None) -> float | None:
    """The first number in a header line; ``None`` without one."""
    return next(iter(_numbers(text)), None)
