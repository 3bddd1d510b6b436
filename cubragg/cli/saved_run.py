"""The settings of a run that ``--save-config`` writes beside the experiment, so that it reproduces the files."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from cubragg.cli.flags import FLAGS
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: What decides pixels and formats. Backend, device and threads are the machine's; output files are named each time.
SAVED = ("method", "images", "seed", "noise_rng", "precision", "cull", "scale", "pgm_scale", "adc", "truth_min",
         "smv_flavor", "cbf_convention", "nxmx_type", "tiff_type")
_FLAGS = {field: flag for flag in FLAGS for field in flag.fields}


def saved_run(settings: DataclassInstance) -> dict[str, Any]:
    """Return the section ``run`` for the settings of a command line: the seed, and what differs from its default."""
    defaults = {part.name: part.default for part in dataclasses.fields(settings)}
    chosen = {name: getattr(settings, name) for name in SAVED}
    return {name: value for name, value in chosen.items() if name == "seed" or value != defaults[name]}


def check_saved(where: str, name: str, value: Any) -> None:
    """Refuse a setting that is not one of `SAVED`, and a value that its flag does not accept.

    Raises
    ------
    ConfigError
        With ``where``, which names file and setting.
    """
    if name not in SAVED:
        raise ConfigError(where, f"no such setting; accepted are {', '.join(SAVED)}")
    flag = _FLAGS[f"run.{name}"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    accepted = {"choice": value in flag.choices if isinstance(value, str) else False, "number": number,
                "count": number and isinstance(value, int)}[flag.kind]
    if not accepted:
        raise ConfigError(where, f"got {value!r:.60}; {flag.accepted()}")
