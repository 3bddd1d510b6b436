"""Settings whose numbers are those of a file: an experiment in TOML names it, with its SHA-256.

``image_file`` and ``image_sha256`` take the place of ``image`` in the section ``background``, and so on; paths are
relative to the folder of the TOML file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.io.files.checksum import check_sha256


class NamedFile(NamedTuple):
    """File of a setting: its path, its contents as read, and what names it, a flag or setting."""

    path: str
    value: Any
    provenance: str


def background_image(path: Path | str) -> np.ndarray:
    """Return the photons of an image [slow, fast], 0 in masked pixels."""
    from cubragg.io.images.read_image import read_image

    image = read_image(path)
    return image.pixels if image.mask is None else np.where(image.mask, image.pixels, 0.0)


def radial_table(path: Path | str) -> np.ndarray:
    """Return a table of sin(theta)/lambda [1/A] and photons per pixel."""
    from cubragg.io.form_factor_file import read_form_factor

    return read_form_factor(path, quantity="photons/pixel")


def bad_pixel_map(path: Path | str) -> np.ndarray:
    """Return a map of bad pixels [slow, fast]."""
    from cubragg.io.images.read_image import read_image

    return read_image(path).pixels


def spectrum_tables(path: Path | str) -> list[dict[str, float]]:
    """Return the channels of a spectrum, each as a table."""
    from cubragg.io.geometry.spectrum import read_spectrum

    return [dict(vars(channel)) for channel in read_spectrum(path)]


def smv_mask(path: Path | str) -> np.ndarray:
    """Return the pixels to render, bool [slow, fast]: those that are not 0 in an SMV image."""
    from cubragg.io.images.smv import read_smv

    return read_smv(path).pixels != 0


#: What reads the file of a setting.
READERS: Mapping[str, Callable[[Path | str], Any]] = MappingProxyType({
    "background.image": background_image, "background.radial": radial_table, "beam.spectrum": spectrum_tables,
    "response.bad_pixels": bad_pixel_map, "sampling.mask": smv_mask})


def with_named_settings(path: Path, document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NamedFile]]:
    """Return the document of a TOML file with the contents of the files that it names, and these by setting.

    Raises
    ------
    ConfigError
        For what is no file name, and a file that is missing or has changed.
    FormatError
        If a file breaks its format.
    OSError
        If it cannot be read.
    """
    result = {name: dict(part) if isinstance(part, dict) else part for name, part in document.items()}
    files = {}
    for setting, read in READERS.items():
        section, _, name = setting.partition(".")
        settings = result.get(section)
        if not isinstance(settings, dict) or f"{name}_file" not in settings:
            continue
        where = f"{path}: {setting}_file"
        named, expected = settings.pop(f"{name}_file"), settings.pop(f"{name}_sha256", None)
        if not isinstance(named, str) or not named or "\0" in named:
            raise ConfigError(where, f"got {named!r:.60}; it must be a file name")
        if name in settings:
            raise ConfigError(where, f"got a file, and {name} as well; leave one of them out")
        file = path.parent / named
        if file.is_dir():
            raise ConfigError(where, f"got {str(file)!r}; that is a folder, a file is accepted")
        check_sha256(where, file, expected, f"{name}_sha256")
        settings[name] = read(file)
        files[setting] = NamedFile(str(file), settings[name], where)
    return result, files


def document_of(experiment: Experiment, folder: Path | str, files: Mapping[str, NamedFile]) -> dict[str, Any]:
    """Return the document of an experiment for a TOML file in a folder, which names these files.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    document = experiment.document(folder, leave_out=tuple(files))
    for setting, file in files.items():
        section, _, name = setting.partition(".")
        document.setdefault(section, {}).update({
            f"{name}_file": os.path.relpath(file.path, folder),
            f"{name}_sha256": check_sha256(f"{section}.{name}_file", file.path, None)})
    return document
