"""Checksums of what the files of a shard hold: pixels and tables, not bytes of HDF5."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg.dataset.write_settings import SINGLE_ENDINGS
from cubragg.io.files.parquet_table import read_parquet
from cubragg.io.images.nxmx_master import DATA

if TYPE_CHECKING:
    import h5py

#: What headers of files of one image have of the time.
_TIMES = ("timestamp", "DATE")
#: The groups with the values of the parameters, with the crystals, and with positions of a detector that moves, in an
#: image file.
PARAMETERS, CRYSTALS, POSITIONS = "/entry/parameters", "/entry/crystals", "/entry/crystfel"


class PixelDigest:
    """SHA-256 of images that are added one after the other."""

    def __init__(self) -> None:
        self._found = hashlib.sha256()

    def add(self, pixels: np.ndarray) -> None:
        """Add an image [slow, fast]."""
        little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
        self._found.update(f"{little.dtype.str} {little.shape}".encode())
        self._found.update(memoryview(little.data).cast("B"))

    def hexdigest(self) -> str:
        """The digest."""
        return self._found.hexdigest()


def tables_digest(group: h5py.Group) -> str:
    """SHA-256 of the names and numbers of all data sets in a group."""
    import h5py

    columns: dict[str, np.ndarray] = {}

    def add(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            columns[name] = np.asarray(node[()])

    group.visititems(add)
    return columns_digest(columns)


def columns_digest(columns: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the names and numbers of arrays."""
    found = hashlib.sha256()
    for name, array in columns.items():
        little = array if array.dtype.kind == "O" else np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        found.update(f"{name} {little.dtype.str} {little.shape} ".encode())
        found.update(repr(array.tolist()).encode() if array.dtype.kind == "O" else little.tobytes())
    return found.hexdigest()


def content_of(path: Path) -> str:
    """The checksum of the content of a file of a shard, as `shard` records it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    if path.suffix in SINGLE_ENDINGS:
        return single_image_digest(path, pixels_of(path))
    if path.suffix == ".parquet":
        return columns_digest(read_parquet(path))
    if path.suffix not in (".nxs", ".h5"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with h5py.File(path, "r") as file:
        if path.suffix == ".h5":
            return tables_digest(file)
        pixels = PixelDigest()
        for number in range(len(file[DATA])):
            pixels.add(file[DATA][number])
        return image_digest(pixels, file)


def single_image_digest(path: Path, pixels: np.ndarray) -> str:
    """The checksum of a file of one image: its pixels [slow, fast], and its header without the time.

    Raises
    ------
    FormatError
        If it has no such header.
    OSError
        If it cannot be read.
    """
    found = PixelDigest()
    found.add(pixels)
    header = sorted((name, value) for name, value in _header_of(path).items() if name not in _TIMES)
    return hashlib.sha256(f"{found.hexdigest()} {header}".encode()).hexdigest()


def _header_of(path: Path) -> dict[str, str]:
    from cubragg.io.images.cbf_parts import split_cbf
    from cubragg.io.images.smv import read_smv_header

    return split_cbf(path).lines if path.suffix == ".cbf" else read_smv_header(path).header


def pixels_of(path: Path) -> np.ndarray:
    """The pixels of a file of one image [slow, fast], as they are stored."""
    from cubragg.io.images.cbf import read_cbf
    from cubragg.io.images.smv import read_smv

    return read_cbf(path)[0] if path.suffix == ".cbf" else read_smv(path).pixels


def image_digest(pixels: PixelDigest, file: h5py.File) -> str:
    """The checksum of an image file: its pixels, and wavelengths, parameters and crystals of its shots."""
    beam = file["/entry/instrument/beam"]
    wavelengths = np.asarray(beam["incident_wavelength"][()], dtype="<f8").tobytes()
    spectrum = {name: beam[name][()] for name in sorted(beam) if name.startswith("incident_wavelength_")}
    tables = " ".join(tables_digest(file[group]) for group in (PARAMETERS, CRYSTALS, POSITIONS) if group in file)
    tables += columns_digest(spectrum) if spectrum else ""
    return hashlib.sha256(f"{pixels.hexdigest()} {wavelengths.hex()} {tables}".encode()).hexdigest()
