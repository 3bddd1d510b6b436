"""cubragg: X-ray diffraction images of crystals on pixel detectors."""

from __future__ import annotations

from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, CubraggWarning, FormatError

TYPE_CHECKING = False  #: As in typing, whose import takes longer than all else here.
if TYPE_CHECKING:
    from cubragg import testing as testing
    from cubragg import torch as torch
    from cubragg.crystallography.orientations import random_orientations
    from cubragg.dataset.distribution_functions import (
        choice,
        constant,
        gamma,
        lognormal,
        near,
        normal,
        of_shot,
        poisson,
        sase,
        table,
        uniform,
    )
    from cubragg.dataset.rotation_series import Sweep
    from cubragg.dataset.still_shots import Stills
    from cubragg.dataset.wedges import Wedge
    from cubragg.experiment import (
        Background,
        Beam,
        BeamStop,
        Channel,
        Crystal,
        Detector,
        Experiment,
        ExperimentParts,
        Goniometer,
        GoniometerAxis,
        Panel,
        Response,
        Sampling,
        Scatterer,
        Source,
        StructureFactors,
    )
    from cubragg.reflections.reflection_table import ReflectionTable
    from cubragg.run.batch import render_many, render_series
    from cubragg.run.file_image import FileImage
    from cubragg.run.image import Image
    from cubragg.run.predicted_reflections import predict
    from cubragg.run.read_file import read
    from cubragg.run.render import simulate, simulate_counts
    from cubragg.run.simulated_image import SimulatedImage

    __version__: str

__all__ = [
    "BackendUnavailable",
    "Background",
    "Beam",
    "BeamStop",
    "Channel",
    "ConfigError",
    "Crystal",
    "CubraggError",
    "CubraggWarning",
    "Detector",
    "Experiment",
    "ExperimentParts",
    "FileImage",
    "FormatError",
    "Goniometer",
    "GoniometerAxis",
    "Image",
    "Panel",
    "ReflectionTable",
    "Response",
    "Sampling",
    "Scatterer",
    "SimulatedImage",
    "Source",
    "Stills",
    "StructureFactors",
    "Sweep",
    "Wedge",
    "choice",
    "constant",
    "gamma",
    "lognormal",
    "near",
    "normal",
    "of_shot",
    "poisson",
    "predict",
    "random_orientations",
    "read",
    "render_many",
    "render_series",
    "sase",
    "simulate",
    "simulate_counts",
    "table",
    "uniform",
]

#: Public modules that are imported at their first use as well.
_PUBLIC_MODULES = ("testing", "torch")
#: Modules of the public names that are not in `experiment`.
_MODULES = {"FileImage": "cubragg.run.file_image", "Image": "cubragg.run.image",
          "SimulatedImage": "cubragg.run.simulated_image", "ReflectionTable": "cubragg.reflections.reflection_table",
          "predict": "cubragg.run.predicted_reflections", "random_orientations": "cubragg.crystallography.orientations",
          "read": "cubragg.run.read_file",
          "render_many": "cubragg.run.batch", "render_series": "cubragg.run.batch", "simulate": "cubragg.run.render",
          "simulate_counts": "cubragg.run.render",
          "Stills": "cubragg.dataset.still_shots", "Sweep": "cubragg.dataset.rotation_series",
          "Wedge": "cubragg.dataset.wedges",
          **dict.fromkeys(("choice", "constant", "gamma", "lognormal", "near", "normal", "of_shot", "poisson", "sase",
                           "table", "uniform"), "cubragg.dataset.distribution_functions")}

if not TYPE_CHECKING:
    def __getattr__(name: str) -> object:
        """Import a public name at its first use, so that ``cubragg --help`` starts without importing NumPy."""
        if name == "__version__":
            from cubragg.version import version

            value: object = version()
        elif name in _PUBLIC_MODULES or name in __all__:
            from importlib import import_module

            value = (import_module(f"cubragg.{name}") if name in _PUBLIC_MODULES else
                     getattr(import_module(_MODULES.get(name, "cubragg.experiment")), name))
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
