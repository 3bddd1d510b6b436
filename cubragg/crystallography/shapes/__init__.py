"""The shapes of the coherent block: one module a shape, found by its name ``shape_*.py``.

A new shape is a module here with a ``SHAPE``, and `kernels/shape_<name>.cuh` with its amplitude and its bound for
culling. Engines, culling, reflections and the command line find it in `SHAPES`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from cubragg.crystallography.shapes.crystal_shape import CoherentBlock, CrystalShape
from cubragg.errors import ConfigError

__all__ = ["DEFAULT_SHAPE", "SETTINGS", "SHAPES", "CoherentBlock", "CrystalShape", "resolve_shape"]

#: The value of ``Crystal.shape`` that none asked for.
DEFAULT_SHAPE = "square"


def _found() -> dict[str, CrystalShape]:
    """The shapes of this folder's modules by name, the default one first."""
    modules = [importlib.import_module(f"{__name__}.{file.stem}")
               for file in Path(__file__).parent.glob("shape_*.py")]
    shapes: list[CrystalShape] = sorted((module.SHAPE for module in modules),
                                        key=lambda shape: (shape.setting != DEFAULT_SHAPE, shape.setting, shape.name))
    return {shape.name: shape for shape in shapes}


#: Name -> shape; the names are those of `Plan.crystal_shape` and of the kernels' ``-DSHAPE``.
SHAPES = _found()
#: What ``Crystal.shape`` accepts: a setting may mean another shape in each semantics.
SETTINGS = tuple(dict.fromkeys(shape.setting for shape in SHAPES.values()))


def resolve_shape(setting: str, semantics: str) -> CrystalShape:
    """The shape that a value of ``Crystal.shape`` means in a semantics.

    Raises
    ------
    ConfigError
        If that semantics lacks it.
    """
    known = [shape for shape in SHAPES.values() if semantics in shape.semantics]
    for shape in known:
        if shape.setting == setting:
            return shape
    others = dict.fromkeys(one for shape in SHAPES.values() if shape.setting == setting for one in shape.semantics)
    raise ConfigError("crystal.shape", f"got {setting} in {semantics} semantics, which has "
                      f"{', '.join(shape.setting for shape in known)} only"
                      + "".join(f"; --semantics {one} has {setting}" for one in others))
