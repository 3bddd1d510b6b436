"""Representation of settings in the interpreter: those that differ from their defaults."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

#: Largest number of panels, channels or the like that are shown one by one.
_MOST_PARTS = 8


def settings_repr(settings: Any) -> str:
    """Return a dataclass as the call with the settings that are not at their defaults, arrays by type and shape.

    It is the ``__repr__`` of the parts of an experiment, most of which have dozens of settings.
    """
    given = ", ".join(f"{field.name}={_shown(value)}" for field in dataclasses.fields(settings) if field.init
                      and not _is_default(field, value := getattr(settings, field.name)))
    return f"{type(settings).__name__}({given})"


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return value is default or (type(value) is type(default) and not isinstance(value, np.ndarray)
                                and bool(value == default))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {list(value.shape)}>"
    if type(value) is tuple and len(value) > _MOST_PARTS:
        return f"({_shown(value[0])}, ..., {_shown(value[-1])}: {len(value)} in all)"
    return repr(value)
