"""Reads experiments in TOML, with the structure factors of the file that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cubragg.documents import toml_document
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import FILES, Experiment
from cubragg.experiment.structure_factors import FactorFile, StructureFactors
from cubragg.io.files.checksum import check_sha256
from cubragg.run.model_factors import factors_of_model
from cubragg.run.named_settings import with_named_settings

_SECTION = "structure_factors"
#: Settings beside the name of a file, by type.
_TEXTS = ("hkl_file", "hkl_sha256", "hkl_column", "model_file", "model_sha256", "space_group")
_NUMBERS = ("model_dmin_A", "default_F", "F000")


def read_experiment(path: Path | str) -> Experiment:
    """Return the experiment of a TOML file, as `Experiment.to_toml` and ``cubragg simulate --save-config`` write it.

    Raises
    ------
    ConfigError
        If it is not TOML or not valid, or a file that it names is missing or has changed.
    FormatError
        If that file breaks its format.
    OSError
        If a file cannot be read.
    """
    path = Path(path)
    try:
        document = toml_document(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError("config", f"not TOML: {error}") from None
    return experiment_of_document(path, document)


def experiment_of_document(path: Path, document: Mapping[str, Any]) -> Experiment:
    """Return the experiment of the contents of the file ``path``, as `read_experiment`."""
    document, _ = with_named_settings(path, document)
    section = document.get(_SECTION)
    if not isinstance(section, dict) or not FILES & section.keys():
        return Experiment.from_dict(dict(document))
    for key, value in section.items():
        if key not in _NUMBERS and not (isinstance(value, str) and value):
            raise ConfigError(f"{path}: {_SECTION}.{key}", f"got {value!r:.60}; a text is accepted")
        if key not in (*_NUMBERS, *_TEXTS):
            raise ConfigError(f"{path}: {_SECTION}.{key}", f"no such setting beside a file; accepted are "
                              f"{', '.join((*_TEXTS, *_NUMBERS))}")
    F000 = {"F000": section["F000"]} if "F000" in section else {}
    experiment = Experiment.from_dict({**document, _SECTION: {"default_F": 1.0, **F000}})
    factors = _factors(path, section, experiment)
    return replace(experiment, structure_factors=replace(factors, F000=experiment.structure_factors.F000))


def _factors(path: Path, section: Mapping[str, Any], experiment: Experiment) -> StructureFactors:
    default_F, group = section.get("default_F", StructureFactors.default_F), section.get("space_group")
    if "model_file" in section:
        from cubragg.io.atoms import read_model

        file = path.parent / section["model_file"]
        check_sha256(f"{path}: {_SECTION}.model_file", file, section.get("model_sha256"))
        dmin = section.get("model_dmin_A")
        return factors_of_model(read_model(file, group), experiment, dmin, space_group=group,
                                default_F=default_F).factors
    from cubragg.io.reflections.read import read_reflections

    file = path.parent / section["hkl_file"]
    sha256 = check_sha256(f"{path}: {_SECTION}.hkl_file", file, section.get("hkl_sha256"))
    column = section.get("hkl_column")
    found = read_reflections(file, column, group)
    return replace(found.structure_factors(default_F), file=FactorFile(str(file), sha256, column, group,
                                                                       symbol=found.space_group))
