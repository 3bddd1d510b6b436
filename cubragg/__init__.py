"""cubragg: X-ray diffraction images of crystals on pixel detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, FormatError

if TYPE_CHECKING:
    from cubragg.crystallography.orientations import random_orientations
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
    from cubragg.reflections.reflection_table import ReflectionTable
    from cubragg.run.batch import render_many, render_series
    from cubragg.run.image import Image
    from cubragg.run.predicted_reflections import predict
    from cubragg.run.render import simulate

    __version__: str

__all__ = [
    "BackendUnavailable",
    "Beam",
    "ConfigError",
    "Crystal",
    "CubraggError",
    "Detector",
    "Experiment",
    "FormatError",
    "Goniometer",
    "Image",
    "Panel",
    "ReflectionTable",
    "Sampling",
    "Source",
    "StructureFactors",
    "predict",
    "random_orientations",
    "render_many",
    "render_series",
    "simulate",
]

#: Modules of the public names that are not in `experiment`.
_MODULES = {"Image": "cubragg.run.image", "ReflectionTable": "cubragg.reflections.reflection_table",
          "predict": "cubragg.run.predicted_reflections", "random_orientations": "cubragg.crystallography.orientations",
          "render_many": "cubragg.run.batch", "render_series": "cubragg.run.batch", "simulate": "cubragg.run.render"}

if not TYPE_CHECKING:
    def __getattr__(name: str) -> object:
        """Import a public name at its first use, so that ``cubragg --help`` starts without importing NumPy."""
        if name == "__version__":
            from cubragg.version import version

            value: object = version()
        elif name in __all__:
            from importlib import import_module

            value = getattr(import_module(_MODULES.get(name, "cubragg.experiment")), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
