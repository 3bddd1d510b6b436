"""Writer of a NeXus NXmx file whose images are in other files: a virtual data set (VDS) over them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cubragg.io.files.atomic import atomic_path
from cubragg.io.files.hdf5_sink import Sink
from cubragg.io.images.nxmx import More, describe
from cubragg.io.images.scene import Scene

#: Where the images of an NXmx file are.
DATA = "/entry/data/data"


def write_master(path: Path | str, scene: Scene, type_name: str, parts: Sequence[tuple[str, int]],
                 more: More | None = None) -> None:
    """Write a master file.

    Parameters
    ----------
    path
        The file.
    scene
        The experiment that it describes.
    type_name
        Type of pixels, a key of `nxmx.TYPES`.
    parts
        Name, in the folder of the file, and number of images of each file, in the order of the images.
    more
        Called at the end with the file and the number of its images, to write more than the scene.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import h5py

    images = sum(count for _, count in parts)
    layout = h5py.VirtualLayout((images, *scene.live.shape), type_name)
    first = 0
    for name, count in parts:
        layout[first:first + count] = h5py.VirtualSource(name, DATA, (count, *scene.live.shape))
        first += count
    with atomic_path(path) as temporary, closing(Sink(temporary)) as sink:
        # HDF5 1.10 has virtual data sets; readers of that version do not know later forms.
        with h5py.File(sink, "w", libver=("earliest", "v110")) as file:
            data = file.create_group("entry").create_group("data")
            file["entry"].attrs["NX_class"] = "NXentry"
            data.attrs["NX_class"], data.attrs["signal"] = "NXdata", "data"
            data.create_virtual_dataset("data", layout, fillvalue=0)
            for number, (name, _) in enumerate(parts, start=1):
                data[f"data_{number:06d}"] = h5py.ExternalLink(name, DATA)
            describe(file, scene, images, type_name)
            if more is not None:
                more(file, images)
        sink.check()
