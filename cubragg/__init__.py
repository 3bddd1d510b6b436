"""cubragg: the X-ray diffraction image of a small crystal on a pixel detector."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, FormatError
from cubragg.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Panel,
    Sampling,
    Source,
    StructureFactors,
)
from cubragg.render.batch import render_many, render_series
from cubragg.render.render import Image, simulate

try:
    __version__ = version("cubragg")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "BackendUnavailable", "Beam", "ConfigError", "Crystal", "CubraggError", "Detector", "Experiment", "FormatError",
    "Goniometer", "Image", "Panel", "Sampling", "Source", "StructureFactors", "render_many", "render_series",
    "simulate",
]
