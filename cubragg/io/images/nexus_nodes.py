"""Groups, data sets and text attributes of NeXus files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py


def set_text(node: h5py.Group | h5py.Dataset, **attributes: str) -> None:
    """Set text attributes as variable-length ASCII, the only form that durin reads."""
    import h5py

    for key, text in attributes.items():
        node.attrs.create(key, text, dtype=h5py.string_dtype("ascii"))


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    set_text(group, NX_class=nx_class, **attributes)
    return group


def field(group: h5py.Group, name: str, value: Any, units: str) -> None:
    group[name] = value
    set_text(group[name], units=units)
