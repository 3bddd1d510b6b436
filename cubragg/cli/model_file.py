"""MODEL of ``simulate``, ``sweep`` and ``stills``: a file of atoms, whose structure factors are computed, or a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg.cli.factors import FileCell, cell_given
from cubragg.cli.flags import SPELLINGS
from cubragg.cli.inputs import InputFile, model_path, reading
from cubragg.cli.parser import Given
from cubragg.cli.settings_builder import Replay
from cubragg.errors import ConfigError
from cubragg.io.files.checksum import check_sha256

if TYPE_CHECKING:
    from cubragg.crystallography.structure import AtomicModel
    from cubragg.experiment.experiment import Experiment

MODEL = "MODEL"


def resolve_model(name: str, line: Sequence[Given]) -> tuple[InputFile | None, list[Given]]:
    """Return the file of atoms, and the line; a list of reflections becomes its ``-hkl``.

    Raises
    ------
    ConfigError
        For a file that holds neither, and a line with structure factors of its own.
    """
    from cubragg.io.geometry.sniff import geometry_kind
    from cubragg.run.model_factors import holds_atoms

    source = InputFile(model_path(name), MODEL)
    with reading(source):
        atoms = holds_atoms(source.path)
        kind = "" if atoms else geometry_kind(source.path)
    if Path(source.path).suffix.lower() == ".toml":
        raise ConfigError(MODEL, f"got {name!r}, an experiment; --config {name} reads it")
    if kind:
        raise ConfigError(MODEL, f"got {name!r}, a geometry; --from {name} reads it")
    for given in line:
        if "input.hkl" in given.flag.fields:
            raise ConfigError(given.spelling, f"got {given.values[0]!r} beside {name}; one of them is accepted")
    if atoms:
        return source, list(line)
    return None, [Given(SPELLINGS["-hkl"], "-hkl", (source.path,)), *line]


def read_atoms(replay: Replay, source: InputFile) -> tuple[AtomicModel, FileCell]:
    """Return the atoms of a file and its cell, which becomes the crystal's where nothing else gives one.

    Raises
    ------
    ConfigError
        If the file is not the one of the experiment file that names it.
    FormatError
        If it is malformed.
    """
    from cubragg.io.atoms import read_model

    with reading(source):
        check_sha256(source.provenance, source.path, replay.get("run.model_sha256"), "model_sha256")
        with replay.naming():
            model = read_model(source.path, replay.get("run.space_group"))
    replay.warnings += model.warnings
    return model, cell_given(replay, source.path, model.cell)


def with_factors(replay: Replay, experiment: Experiment, model: AtomicModel, dmin_A: float | None) -> Experiment:
    """Return the experiment with the structure factors of atoms, and add a line about them to the provenance.

    ``dmin_A`` is the resolution of an option of its own; without it that of the experiment file, of ``-dmin``, or the
    corner of the detector.
    """
    from cubragg.run.model_factors import factors_of_model

    limit = experiment.sampling.dmin_A
    given = dmin_A or (limit if "sampling.dmin_A" in replay.flagged else None) or replay.get("run.model_dmin_A")
    try:
        found = factors_of_model(model, experiment, given or limit or None, space_group=replay.get("run.space_group"),
                                 default_F=replay.get("structure_factors.default_F", 0.0))
    except ConfigError as error:
        raise ConfigError("--dmin" if error.where == "dmin" else replay.source_of(error.where), error.what) from None
    dmin = found.computed.dmin_A
    replay.provenance_lines.append(f"structure factors: {model.path} to {dmin:g} A (--dmin), {found}")
    return replace(experiment, structure_factors=replace(found.factors, F000=experiment.structure_factors.F000))
