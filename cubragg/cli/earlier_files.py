"""Files of earlier runs, which a shorter series must not replace unless ``--overwrite`` is given."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg.cli import formats
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.build import Output


def existing_images(targets: Mapping[str, Output]) -> dict[str, int]:
    """Return the number of images in the existing files among ``targets``, which hold all images of a run."""
    existing = [kind for kind, target in targets.items() if Path(target.path).is_file()]
    if not existing:
        return {}
    from cubragg.io.images.nxmx import image_count

    return {kind: image_count(targets[kind].path) for kind in existing}


def check_no_shorter(targets: Mapping[str, Output], numbered: Mapping[str, Output], images: int) -> None:
    """Refuse a run of fewer images than the files that it would replace.

    Parameters
    ----------
    targets
        The files by kind.
    numbered
        Those of them of which a series has one for each image, with the names of the first image.

    Raises
    ------
    ConfigError
        Naming the flag of the file, and the file.
    """
    for kind, count in existing_images({kind: target for kind, target in targets.items()
                                        if formats.holds_series(kind, target)}).items():
        if count > images:
            raise ConfigError(targets[kind].provenance, f"got {targets[kind].path!r}, which has {count} images of an "
                              f"earlier run, more than this run of {images}; another name or --overwrite is accepted")
    for target in numbered.values() if images > 1 else ():
        later = _later_files(target.path, images)
        if later:
            raise ConfigError(target.provenance, f"got {target.path!r} to number {images}, beside {later[0]!r} of a "
                              "longer series; another name or --overwrite is accepted")


def _later_files(first: str, images: int) -> list[str]:
    """Return the files of a numbered series, whose first is ``first``, with numbers above ``images``."""
    folder, name = os.path.split(first)
    stem, suffix = os.path.splitext(name)
    pattern = re.compile(re.escape(stem.removesuffix("0001")) + r"(\d{4,})" + re.escape(suffix))
    try:
        names = os.listdir(folder or ".")
    except OSError:  # there is no such folder, which is reported as such
        return []
    later = [(int(found[1][:18]), entry) for entry in names if (found := pattern.fullmatch(entry))]
    return [os.path.join(folder, entry) for number, entry in sorted(later) if number > images]
