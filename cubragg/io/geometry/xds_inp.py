"""Writer of XDS.INP, with a segment for each panel.

Source: the XDS documentation (coordinate systems, input parameters). XDS counts pixels from 1, so that the outer
corner of the first pixel is at 0.5; its detector system begins at pixel 0 and has the axes of the whole image.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector, combine, cross, dot
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel, image_shape, live_pixels, panel_in_beam
from cubragg.io.geometry.experiment_models import ExperimentModels, ScanModel, cell_of, crystal_at, rectangles
from cubragg.io.perpendicular import squared_panels

#: Relative tolerance for sizes of pixels to be equal, for rounding.
_SAME_SIZE = 1e-9
_COUNTED = re.compile(r"(\d+)(?=\.\w+$)")


class Data(NamedTuple):
    """The images for XDS: file of the first one, XDS name of the detector, lowest and highest trusted count.

    ``whole``: all images are in one file, which XDS reads with a plugin.
    """

    image: str | None
    detector: str
    lowest: int
    overload: int
    whole: bool = False


def xds_inp_text(where: str, models: ExperimentModels, data: Data) -> str:
    """Return XDS.INP for models in the frame of DIALS (`frames.dials_rotation`).

    Raises
    ------
    FormatError
        If the image has no rotation, panels have pixels of different sizes or axes too far from perpendicular, or the
        models have no detector or no wavelength; ``where`` begins the message.
    """
    return "\n".join([*_lines(where, models, data), ""])


def _lines(where: str, models: ExperimentModels, data: Data) -> Iterator[str]:
    beam, scan, spindle = models.beam, models.scan, models.spindle
    if beam is None or beam.wavelength_A is None or not models.panels:
        raise FormatError(f"{where}: got models without a wavelength or a detector; XDS needs both")
    if scan is None or spindle is None or not scan.osc_deg > 0.0:
        raise FormatError(f"{where}: got an image without rotation; XDS needs a rotation range (-osc)")
    try:
        panels = squared_panels(models.panels)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    edges = panels[0].pixel_mm
    if any(not math.isclose(mine, edge, rel_tol=_SAME_SIZE)
           for panel in panels for mine, edge in zip(panel.pixel_mm, edges, strict=True)):
        raise FormatError(f"{where}: got panels with pixels of different sizes; XDS has one size for all")
    plane = _plane(panels, beam.direction)
    normal = cross(plane.fast, plane.slow)
    height, width = image_shape(panels)
    yield "JOB= XYCORR INIT COLSPOT IDXREF DEFPIX INTEGRATE CORRECT"
    yield from _frames(data, scan)
    yield f"DETECTOR= {data.detector}  MINIMUM_VALID_PIXEL_VALUE= {data.lowest}  OVERLOAD= {data.overload}"
    yield from _sensor(panels[0])
    yield f"NX= {width}  NY= {height}  QX= {edges[0]!r}  QY= {edges[1]!r}"
    yield f"DIRECTION_OF_DETECTOR_X-AXIS= {_numbers(plane.fast)}"
    yield f"DIRECTION_OF_DETECTOR_Y-AXIS= {_numbers(plane.slow)}"
    yield f"DETECTOR_DISTANCE= {dot(plane.origin_mm, normal)!r}"
    yield (f"ORGX= {-dot(plane.origin_mm, plane.fast) / edges[0] + 0.5!r}  "
           f"ORGY= {-dot(plane.origin_mm, plane.slow) / edges[1] + 0.5!r}")
    yield f"ROTATION_AXIS= {_numbers(spindle)}"
    yield f"X-RAY_WAVELENGTH= {beam.wavelength_A!r}"
    yield f"INCIDENT_BEAM_DIRECTION= {_numbers(beam.direction)}"
    if beam.polarization_fraction is not None and beam.polarization_normal is not None:
        yield f"FRACTION_OF_POLARIZATION= {beam.polarization_fraction!r}"
        yield f"POLARIZATION_PLANE_NORMAL= {_numbers(beam.polarization_normal)}"
    yield "TRUSTED_REGION= 0.0 1.42"
    yield from _crystal(models)
    yield from _untrusted(panels)
    if len(panels) > 1 or panels[0].offset != (0, 0):
        for panel in panels:
            yield from _segment(panel, plane, normal)


def _plane(panels: Sequence[Panel], beam: Vector) -> Panel:
    """Return the panel in the beam, extended to begin at the first pixel of the image."""
    base = panel_in_beam(panels, beam)
    return replace(base, origin_mm=base.place_mm(-base.offset[0], -base.offset[1]), offset=(0, 0))


def _numbers(x: Vector) -> str:
    return " ".join(repr(component + 0.0) for component in x)


def _frames(data: Data, scan: ScanModel) -> Iterator[str]:
    """Yield the name template, with ``?`` for the digits before the suffix, and the numbers of the images."""
    name, first = data.image or "image_0001.cbf", 1
    if data.whole:
        yield "! LIB= /path/to/durin-plugin.so"
    elif found := _COUNTED.search(name):
        name, first = _COUNTED.sub(lambda digits: "?" * len(digits[1]), name), int(found[1])
    yield f"NAME_TEMPLATE_OF_DATA_FRAMES= {name}"
    last = first + scan.images - 1
    yield f"DATA_RANGE= {first} {last}  SPOT_RANGE= {first} {last}"
    yield f"STARTING_FRAME= {first}  STARTING_ANGLE= {scan.phi_deg!r}  OSCILLATION_RANGE= {scan.osc_deg!r}"


def _sensor(panel: Panel) -> Iterator[str]:
    """Yield the sensor; thickness 0 if none was rendered, because XDS corrects for some detectors by default."""
    if panel.thickness_um and panel.attenuation_um:
        yield f"SENSOR_THICKNESS= {panel.thickness_um / 1000.0!r}  SILICON= {1000.0 / panel.attenuation_um!r}"
    else:
        yield "SENSOR_THICKNESS= 0.0"


def _crystal(models: ExperimentModels) -> Iterator[str]:
    """Yield the true crystal as comments, for comparison with what XDS finds."""
    a_matrix = crystal_at(models, 0.0)
    if models.crystal is None or a_matrix is None:
        return
    yield "! SPACE_GROUP_NUMBER= 1  UNIT_CELL_CONSTANTS= " + " ".join(f"{x:.6g}" for x in cell_of(models.crystal))
    real = np.linalg.inv(np.reshape(a_matrix, (3, 3)))
    for name, axis in zip("ABC", real.tolist(), strict=True):
        yield f"! UNIT_CELL_{name}-AXIS= {_numbers(axis)}"


def _untrusted(panels: Sequence[Panel]) -> Iterator[str]:
    """Yield gaps and masked pixels; the limits of an XDS rectangle are excluded."""
    live = live_pixels(panels)
    for f0, f1, s0, s1 in [] if live is None else rectangles(~live):
        yield f"UNTRUSTED_RECTANGLE= {f0} {f1 + 1} {s0} {s1 + 1}"


def _segment(panel: Panel, plane: Panel, normal: Vector) -> Iterator[str]:
    axes = (plane.fast, plane.slow, normal)

    def within(x: Vector) -> Vector:
        return (dot(x, axes[0]), dot(x, axes[1]), dot(x, axes[2]))

    fast, slow = within(panel.fast), within(panel.slow)
    half = (0.5 * plane.pixel_mm[0], 0.5 * plane.pixel_mm[1], 0.0)
    corner = combine((1.0, within(combine((1.0, panel.origin_mm), (-1.0, plane.origin_mm)))), (1.0, half))
    first = (panel.offset[0] + 1, panel.offset[1] + 1)
    last = (panel.offset[0] + panel.fast_pixels, panel.offset[1] + panel.slow_pixels)
    yield f"SEGMENT= {first[0]} {last[0]} {first[1]} {last[1]}"
    yield f"DIRECTION_OF_SEGMENT_X-AXIS= {_numbers(fast)}"
    yield f"DIRECTION_OF_SEGMENT_Y-AXIS= {_numbers(slow)}"
    yield f"SEGMENT_DISTANCE= {dot(corner, cross(fast, slow))!r}"
    yield (f"SEGMENT_ORGX= {first[0] - 0.5 - dot(corner, fast) / panel.pixel_mm[0]!r}  "
           f"SEGMENT_ORGY= {first[1] - 0.5 - dot(corner, slow) / panel.pixel_mm[1]!r}")
