"""Read the input files of a command line: experiment files, SMV headers, lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cubragg import units
from cubragg.documents import toml_document
from cubragg.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from cubragg.io.images.smv import SmvFile
    from cubragg.run.named_settings import NamedFile

#: Files that a TOML experiment may name in place of inline data, and the input each becomes.
REFERENCES = {("structure_factors", "hkl_file"): "hkl", ("structure_factors", "model_file"): "model",
              ("beam", "source_file"): "sources",
              ("crystal", "matrix_file"): "matrix"}
#: Settings of structure factors that describe their file, and the setting of the run that each becomes.
FILE_DETAILS = {"hkl_column": "column", "hkl_sha256": "hkl_sha256", "space_group": "space_group",
                "model_sha256": "model_sha256", "model_dmin_A": "model_dmin_A"}

#: Models that come with cubragg.
_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_NUMBERED = re.compile(r"(.+)#(\d+)")
_HEADER_FIELDS = {
    "PIXEL_SIZE": "detector.pixel_size_mm", "DISTANCE": "detector.distance_mm",
    "CLOSE_DISTANCE": "detector.close_distance_mm", "WAVELENGTH": "beam.wavelength_A",
    "BEAM_CENTER_X": "detector.xbeam_mm", "BEAM_CENTER_Y": "detector.ybeam_mm", "ORGX": "detector.orgx",
    "ORGY": "detector.orgy", "PHI": "goniometer.phi_deg", "OSC_RANGE": "goniometer.osc_deg",
}


class InputFile(NamedTuple):
    """File to read, and what names it: a flag as spelled, or a setting of the config file."""

    path: str
    provenance: str


@contextmanager
def reading(source: InputFile) -> Iterator[None]:
    """Convert an `OSError` of reading ``source`` into a `ConfigError` that names the flag; refuse pipes and devices."""
    from cubragg.io.files.compression import is_stream

    if is_stream(source.path):
        raise ConfigError(source.provenance, f"got {source.path!r}, a pipe or device, which can be read only once; "
                          "a file is accepted")
    try:
        yield
    except FileNotFoundError:
        raise ConfigError(source.provenance, f"got {source.path!r}; there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(source.provenance, f"got {source.path!r}; that is a folder, a file is accepted") from None
    except OSError as error:
        raise ConfigError(source.provenance, f"got {source.path!r}; it cannot be read ({error.strerror})") from None


def read_setting(setting: str, path: str, where: str, files: dict[str, NamedFile] | None) -> Any:
    """Return the contents of the file of a setting, one of `READERS`, and add it to ``files``."""
    from cubragg.run.named_settings import READERS, NamedFile

    with reading(InputFile(path, where)):
        value = READERS[setting](path)
    if files is not None:
        files[setting] = NamedFile(path, value, where)
    return value


def model_path(name: str) -> str:
    """The path of a model: as given, or of a model that comes with cubragg if there is no other file of its name."""
    shipped = _EXAMPLES / name
    return str(shipped) if shipped.parent == _EXAMPLES and shipped.is_file() and not Path(name).exists() else name


def numbered(name: str) -> tuple[str, int | None]:
    """Split ``list.expt#2`` into path and number, unless a file of that very name exists."""
    found = _NUMBERED.fullmatch(name)
    if found and not Path(name).exists():
        return found[1], int(found[2])
    return name, None


def load_config(source: InputFile) -> tuple[dict[str, Any], dict[str, InputFile], dict[str, NamedFile]]:
    """Read a TOML experiment as nested dictionaries, and the files it refers to, relative to its own folder.

    The last are those of settings whose contents are in the dictionaries.

    Raises
    ------
    ConfigError
        If there is no such file, or a section is not a table.
    FormatError
        If it is not TOML.
    """
    path = Path(source.path)
    with reading(source):
        data = path.read_bytes()
    try:
        document = toml_document(data.decode("utf-8"))
    except ValueError as error:
        raise FormatError(f"{path}: not TOML: {error}") from None
    for name, section in document.items():
        if name != "semantics" and not isinstance(section, dict):
            raise ConfigError(f"{path}: {name}", f"got {section!r}; it must be a table")
    files = {}
    for (section_name, key), kind in REFERENCES.items():
        named = document.get(section_name, {}).pop(key, None)
        if named is None:
            continue
        where = f"{path}: {section_name}.{key}"
        if not isinstance(named, str) or not named or "\0" in named:
            raise ConfigError(where, f"got {named!r:.60}; it must be a file name")
        files[kind] = InputFile(str(path.parent / named), where)
    from cubragg.run.named_settings import with_named_settings

    document, named = with_named_settings(path, document)
    return document, files, named


def header_settings(header: SmvFile, *, is_mask: bool, pixel_size_mm: float) -> Iterator[tuple[str, str, Any]]:
    """Yield (key, setting, value) of an SMV header, in the order of the C program.

    ``pixel_size_mm`` is used until the header gives one. From a mask, the vertical beam centre is counted from the
    other edge, in metres as in C: `units.value_for` finds the millimetres that give the same bits.
    """
    from cubragg.io.images.smv import header_value

    slow_pixels, fast_pixels = header.pixels.shape
    yield "SIZE1", "detector.fast_pixels", int(fast_pixels)
    yield "SIZE2", "detector.slow_pixels", int(slow_pixels)
    for key, setting in _HEADER_FIELDS.items():
        value = header_value(header.text, key)
        if value is None:
            continue
        if key == "PIXEL_SIZE":
            pixel_size_mm = value
        if key == "BEAM_CENTER_Y" and is_mask:
            centre = units.m_from_mm(pixel_size_mm) * slow_pixels - units.m_from_mm(value)
            value = units.value_for(centre, units.m_from_mm)
        yield key, setting, value
    twotheta = header_value(header.text, "TWOTHETA")
    if twotheta:
        yield "TWOTHETA", "", twotheta
