"""The truth of a shard as tables for Parquet: reflections, crystals, and parameters of the shots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cubragg.dataset.shot_tables import parameter_arrays
from cubragg.io.reflections.write_reflection_table import UNITS
from cubragg.reflections.reflection_table import Flags

#: Columns -> unit.
TABLE_UNITS = {**UNITS, "A_dials": "1/A", "cell": "A, deg"}
_WHOLE = ("shot", "crystal", "h", "k", "l", "panel")
_FLAGS = [flag.name.lower() for flag in Flags if flag.name]
#: Columns that the method sampled does not have.
_WIDTHS = ("fast_sigma", "slow_sigma", "phi_sigma")


def reflection_columns(parts: Sequence[Mapping[str, np.ndarray]], method: str) -> dict[str, np.ndarray]:
    """The reflections of shots [n] by column, the same columns without a reflection."""
    names = [name for name in ("shot", "crystal", *UNITS) if method == "analytic" or name not in _WIDTHS]
    full = [part for part in parts if len(part["crystal"])]
    return {name: np.concatenate([np.zeros(0, _kind(name)), *(part[name] for part in full)]).astype(_kind(name))
            for name in names}


def _kind(name: str) -> type:
    return bool if name in _FLAGS else np.int64 if name in _WHOLE else np.float64


def crystal_columns(crystals: Sequence[Mapping[str, Any]], shots: Sequence[tuple[int, Mapping[str, Any]]],
                    example: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The crystals by column, with the parameters of each.

    Parameters
    ----------
    crystals
        Shot, number in the shot, experiment, A matrix and cell of each.
    shots
        Number and parameters of each shot.
    example
        A value of each parameter, for the columns of a shard without crystals.
    """
    given = dict(shots)
    names = [name for name in example if name.startswith("crystal.")]
    rows = [{name: given[one["shot"]].get(f"{name}#{one['crystal']}" if one["crystal"] else name) for name in names}
            for one in crystals]
    found: dict[str, np.ndarray] = {name: np.array([one[name] for one in crystals], dtype=np.int64)
                                    for name in ("shot", "crystal", "experiment")}
    for name, shape in (("A_dials", (3, 3)), ("cell", (6,))):
        found[name] = np.array([one[name] for one in crystals], dtype=np.float64).reshape(len(crystals), *shape)
    return found | _columns(rows, {name: example[name] for name in names})


def parameter_columns(shots: Sequence[tuple[int, Mapping[str, Any]]], example: Mapping[str, Any]
                      ) -> dict[str, np.ndarray]:
    """The parameters of the shots by column, but those of crystals."""
    rows = [dict(_of_shot(parameters)) for _, parameters in shots]
    return {"shot": np.array([number for number, _ in shots], dtype=np.int64),
            **_columns(rows, dict(_of_shot(example)))}


def _of_shot(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in parameters.items() if not name.startswith("crystal."))


def _columns(rows: Sequence[Mapping[str, Any]], example: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Columns of parameters, which have the form of the example's where no row has a value."""
    known = {name: value for name, value in example.items() if value is not None}
    return {name: column[1:] for name, column in parameter_arrays([known, *rows]).items()}
