"""Files that are read along with a file because of its name or its links."""

from __future__ import annotations

from pathlib import Path

#: Suffixes of the files with cell and symmetry beside a SHELX reflection file.
SHELX_PARAMETERS = (".ins", ".res", ".cif")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def companions(path: Path | str) -> list[Path]:
    """Return the existing files beside ``path`` that readers of it may read as well.

    Those with cell and symmetry of a SHELX file, and the files that an HDF5 file links to.
    """
    path = Path(path)
    if not path.is_file():
        return []
    if path.suffix.lower() == ".hkl":
        return [beside for suffix in SHELX_PARAMETERS if (beside := path.with_suffix(suffix)).is_file()]
    try:
        with open(path, "rb") as file:
            linked = _linked(path) if file.read(len(_HDF5)) == _HDF5 else set()
    except OSError:  # the reader of the file reports it
        return []
    return sorted(beside for name in linked if (beside := path.parent / name).is_file())


def _linked(path: Path) -> set[str]:
    """Return the names of the files that links and virtual datasets of an HDF5 file lead to."""
    import h5py

    names: set[str] = set()

    def visit(_: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Group):
            links = (node.get(name, getlink=True) for name in node)
            names.update(link.filename for link in links if isinstance(link, h5py.ExternalLink))
        elif node.is_virtual:
            names.update(source.file_name for source in node.virtual_sources())

    try:
        with h5py.File(path, "r") as file:
            visit("/", file)
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError):
        return set()
    return names - {"."}
