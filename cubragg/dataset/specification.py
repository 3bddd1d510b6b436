"""The resolved specification of a data set: a TOML document that reproduces it, with files by name and SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from cubragg import checks
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.distribution_tables import distribution_of
from cubragg.dataset.distributions import Distribution, Table
from cubragg.dataset.spectrum_draws import SpectrumChoice
from cubragg.dataset.write_settings import WriteSettings
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.io.files.checksum import check_sha256
from cubragg.run.experiment_file import experiment_of_document

SPEC, FACTORS = "spec.toml", "structure_factors.npz"
#: Settings of a rendering that change its bits.
_RENDERING = ("method", "backend", "precision", "cull")
_EXPERIMENT = [field.name for field in fields(Experiment)]
#: Tables and numbers of a specification.
_TABLES = ("kind", "shots", "seed", "wedges", "crystals", "rendering", "vary", "write", "model", "experiment")
_MODEL = ("file", "sha256", "dmin_A", "wavelength_A", "space_group")
#: Parameters of data sets that have another name in the specification.
_SETTINGS = {"n": "shots", "crystals": "crystals.count", "blank": "crystals.blank"}


@dataclass(frozen=True)
class Specification:
    """A specification for a folder.

    Attributes
    ----------
    document
        The document, nested dictionaries as of TOML.
    files
        Contents of the files that it names and that no other program wrote, by name in the folder.
    """

    document: dict[str, Any]
    files: dict[str, bytes]

    @property
    def text(self) -> str:
        """The document as TOML."""
        import tomli_w

        return tomli_w.dumps(self.document)

    @property
    def sha256(self) -> str:
        """SHA-256 of the document."""
        return digest_of(self.document)


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def specification_of(data: DataSet, settings: WriteSettings, folder: Path) -> Specification:
    """The specification of a data set that is written to a folder."""
    files: dict[str, bytes] = {}
    document: dict[str, Any] = {"kind": data.kind, "shots": len(data), "seed": data.seed, **data.own_settings()}
    rendering = {name: getattr(data.rendering, name) for name in _RENDERING}
    document["rendering"] = {name: value for name, value in rendering.items() if value is not None}
    vary = {parameter.name: _table_of(parameter.name, parameter.distribution, folder, files)
            for parameter in data.parameters}
    if vary:
        document["vary"] = vary
    document["write"] = {**vars(settings), "shard": settings.shots_in_shard(len(data)),
                         "truth": list(settings.truth), "labels": list(settings.labels)}
    if data.source:
        document["model"] = {**data.source, "file": os.path.relpath(data.source["file"], folder)}
    document["experiment"] = _experiment_of(data.experiment, folder, files)
    return Specification(tomllib.loads(Specification(document, {}).text), files)


def _table_of(name: str, distribution: Distribution, folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    """The distribution in TOML; arrays become files of the folder."""
    found = distribution.to_dict()
    if isinstance(distribution, SpectrumChoice):
        return found | _spectra_of(name, distribution, folder, files)
    if isinstance(distribution, Table):
        from cubragg.io.column_file import split_column

        if distribution.source:
            path, column = split_column(distribution.source)
            found["sha256"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            found["column"] = os.path.relpath(path, folder) + (f":{column}" if column else "")
        else:
            file = f"vary-{name}.npy"
            files[file] = _npy(distribution.column)
            found |= {"column": file, "sha256": hashlib.sha256(files[file]).hexdigest()}
    return found


def _spectra_of(name: str, distribution: SpectrumChoice, folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    """The files of the spectra and their SHA-256; those given in Python become files of the folder."""
    names, digests = [], []
    for number, (source, spectrum) in enumerate(zip(distribution.sources, distribution.spectra, strict=True)):
        if source:
            names.append(os.path.relpath(source, folder))
            digests.append(hashlib.sha256(Path(source).read_bytes()).hexdigest())
        else:
            names.append(f"vary-{name}-{number}.npy")
            files[names[-1]] = _npy(spectrum)
            digests.append(hashlib.sha256(files[names[-1]]).hexdigest())
    return {"choice": names, "sha256": digests}


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _experiment_of(experiment: Experiment, folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    factors = experiment.structure_factors
    if factors.grid is None or factors.file is not None:
        return tomllib.loads(experiment.to_toml(folder))
    document = tomllib.loads(replace(experiment, structure_factors=StructureFactors(1.0)).to_toml(folder))
    stream = io.BytesIO()
    np.savez_compressed(stream, grid=factors.grid, origin=np.array(factors.origin))
    files[FACTORS] = stream.getvalue()
    F000 = {} if factors.F000 is None else {"F000": factors.F000}
    document["structure_factors"] = {"default_F": factors.default_F, "grid_file": FACTORS,
                                     "grid_sha256": _grid_digest(factors), **F000}
    return document


def _grid_digest(factors: StructureFactors) -> str:
    """SHA-256 of the numbers of a grid, which no version of a compression changes."""
    assert factors.grid is not None
    found = hashlib.sha256(json.dumps([factors.grid.shape, factors.origin]).encode())
    found.update(np.ascontiguousarray(factors.grid, dtype="<f8").tobytes())
    return found.hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two documents, a line for each setting."""
    before, after = dict(_flat(old)), dict(_flat(new))
    absent = "nothing"
    return [f"{key}: {_shown(before.get(key, absent))}, now {_shown(after.get(key, absent))}"
            for key in sorted(before.keys() | after.keys()) if before.get(key, absent) != after.get(key, absent)]


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# Reading


@dataclass(frozen=True)
class Document:
    """A specification that was read; files that it names are read when they are asked for.

    Attributes
    ----------
    path
        The file.
    tables
        Its contents, nested dictionaries.
    """

    path: Path
    tables: dict[str, Any]

    @property
    def kind(self) -> str:
        """The kind of data set."""
        return str(self.tables["kind"])

    def section(self, name: str, accepted: Sequence[str]) -> dict[str, Any]:
        """A table of settings, empty if there is none.

        Raises
        ------
        ConfigError
            If it is no table, or has a setting that is not accepted.
        """
        return _table(f"{self.path}: {name}", self.tables.get(name, {}), accepted)

    def source(self) -> dict[str, Any]:
        """Where structure factors came from, as `DataSet.source`.

        Raises
        ------
        ConfigError
            For settings that there are not.
        """
        found = self.section("model", _MODEL)
        return found | {"file": str(self.path.parent / found["file"])} if "file" in found else {}

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name the file and the setting in the errors of a data set about its parameters."""
        try:
            yield
        except ConfigError as error:
            if error.where.startswith(f"{self.path}: "):
                raise
            where = f"rendering.{error.where}" if error.where in _RENDERING else _SETTINGS.get(error.where, error.where)
            raise ConfigError(f"{self.path}: {where}", error.what) from None

    def settings(self) -> WriteSettings:
        """How the data set was written.

        Raises
        ------
        ConfigError
            For settings that there are not, or that are not valid.
        """
        with self.naming():
            return WriteSettings(**self.section("write", [field.name for field in fields(WriteSettings)]))

    def experiment(self) -> Experiment:
        """The experiment, with its structure factors.

        Raises
        ------
        ConfigError
            If it is not valid, or files are missing or have changed.
        """
        document = _table(f"{self.path}: experiment", self.tables["experiment"], _EXPERIMENT)
        try:
            return _read_experiment(self.path, document)
        except ConfigError as error:
            if error.where.startswith(f"{self.path}: "):
                raise
            raise ConfigError(f"{self.path}: experiment.{error.where}", error.what) from None

    def keywords(self) -> dict[str, Any]:
        """Keywords of data sets of every kind: seed, what varies, and how to render.

        Raises
        ------
        ConfigError
            For what is no distribution, and files that are missing or have changed.
        """
        varied = self.tables.get("vary", {})
        if not isinstance(varied, Mapping):
            raise ConfigError(f"{self.path}: vary", f"got {varied!r:.60}; a table of distributions is accepted")
        vary = {name: _read_distribution(self.path, name, table) for name, table in varied.items()}
        return {"seed": self.tables["seed"], "vary": vary, **self.section("rendering", _RENDERING)}


def _table(where: str, table: Any, accepted: Sequence[str]) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError(where, f"got {table!r:.60}; a table of settings is accepted")
    checks.known(table, accepted, f"{where}.")
    return dict(table)


def read_document(path: Path | str) -> Document:
    """Read a ``spec.toml``.

    Raises
    ------
    ConfigError
        For a document that is no specification.
    FormatError
        If it is not TOML.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not TOML: {error}") from None
    missing = {"kind", "shots", "seed", "experiment"} - tables.keys()
    if missing or tables["kind"] not in ("stills", "sweep"):
        raise ConfigError(str(path), f"got a document without {', '.join(sorted(missing)) or 'a known kind'}; the "
                          "spec.toml of a data set is accepted")
    checks.known(tables, _TABLES, f"{path}: ")
    return Document(path, tables)


def _read_distribution(path: Path, name: str, table: Any) -> Distribution:
    if not isinstance(table, Mapping):
        return distribution_of(f"{path}: vary {name}", table)  # which refuses it
    table = dict(table)
    expected = table.pop("sha256", None)
    if isinstance(expected, list):
        table["choice"] = [str(path.parent / file) for file in table["choice"]]
        for file, digest in zip(table["choice"], expected, strict=False):
            check_sha256(f"{path}: vary {name}", Path(file), digest)
    elif "column" in table:
        from cubragg.io.column_file import split_column

        table["column"] = str(path.parent / table["column"])
        if expected is not None:
            check_sha256(f"{path}: vary {name}", Path(split_column(table["column"])[0]), expected)
    return distribution_of(f"{path}: vary {name}", table)


def _read_experiment(path: Path, document: dict[str, Any]) -> Experiment:
    section = document.get("structure_factors", {})
    if "grid_file" in section:
        file = path.parent / section["grid_file"]
        if not file.is_file():
            raise ConfigError(f"{path}: structure_factors.grid_file", f"got {file}; there is no such file")
        with np.load(file, allow_pickle=False) as arrays:
            factors = StructureFactors(section["default_F"], arrays["grid"], tuple(arrays["origin"].tolist()),
                                       F000=section.get("F000"))
        if _grid_digest(factors) != section["grid_sha256"]:
            raise ConfigError(f"{path}: structure_factors.grid_file", f"got {file} with other numbers; the file of the "
                              "specification is accepted")
    else:
        return experiment_of_document(path, document)
    document["structure_factors"] = {"default_F": 1.0}
    return replace(Experiment.from_dict(document), structure_factors=factors)
