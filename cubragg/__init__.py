"""cubragg: the X-ray diffraction image of a small crystal on a pixel detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, FormatError

if TYPE_CHECKING:
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
    from cubragg.render.predict import Truth, predict
    from cubragg.render.render import Image, simulate

    __version__: str

__all__ = [
    "BackendUnavailable", "Beam", "ConfigError", "Crystal", "CubraggError", "Detector", "Experiment", "FormatError",
    "Goniometer", "Image", "Panel", "Sampling", "Source", "StructureFactors", "Truth", "predict", "render_many",
    "render_series", "simulate",
]

#: Where a public name lives that is not of `experiment`.
_HOMES = {"Image": "cubragg.render.render", "Truth": "cubragg.render.predict", "predict": "cubragg.render.predict",
          "render_many": "cubragg.render.batch", "render_series": "cubragg.render.batch",
          "simulate": "cubragg.render.render"}

if not TYPE_CHECKING:
    def __getattr__(name: str) -> object:
        """Import a name when it is asked for: help and version of the command need none, nor NumPy."""
        if name == "__version__":
            value = _version()
        elif name in __all__:
            from importlib import import_module

            value = getattr(import_module(_HOMES.get(name, "cubragg.experiment")), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cubragg")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0+unknown"
