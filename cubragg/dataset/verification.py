"""Compares the files of a data set with the checksums of its manifest."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from cubragg.dataset.digests import content_of
from cubragg.dataset.run_folder import SPEC, RunFolder
from cubragg.dataset.specification import digest_of
from cubragg.dataset.wedges import series_of
from cubragg.dataset.write_settings import shards_of
from cubragg.errors import CubraggError


def faults(path: Path | str) -> Iterator[str]:
    """What is missing or changed in the folder of a data set, a line each; none: it is complete and unchanged.

    Raises
    ------
    CubraggError
        If the folder holds no data set.
    """
    folder = RunFolder(Path(path))
    folder.read()
    spec = folder.path / SPEC
    if not folder.header or not spec.is_file():
        raise CubraggError(f"{path}: got a folder without a data set; one with {SPEC} and a manifest is accepted")
    document = tomllib.loads(spec.read_text(encoding="utf-8"))
    if digest_of(document) != folder.header["specification"]:
        yield f"{spec}: changed since the data set was begun"
    series = series_of(wedge["images"] for wedge in document.get("wedges", ())) or [range(document["shots"])]
    for number in range(len(shards_of(series, document["write"]["shard"]))):
        if number not in folder.records:
            yield f"{folder.path}: shard-{number:05d} is not complete"
            continue
        for name, file in sorted(folder.records[number]["files"].items()):
            yield from _file_faults(folder.path / name, file["content"])


def _file_faults(path: Path, content: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: missing"
        return
    try:
        found = content_of(path)
    except (OSError, KeyError, ValueError) as error:
        yield f"{path}: cannot be read ({error})"
        return
    if found != content:
        yield f"{path}: its content has the SHA-256 {found:.12}..., not {content:.12}... of the manifest"
