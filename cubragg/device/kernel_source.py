"""Assembles the kernels' source into one self-contained text, the same for NVRTC and the C++ compiler.

``#line`` directives make compiler messages refer to the original file and line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(SHAPE_HEADER))')


def kernel_folder() -> Traversable:
    """The folder of the kernel files, of the installed package or of the checkout."""
    checkout = Path(__file__).resolve().parents[2] / "kernels"
    try:
        folder = files("cubragg.kernels")
    except ModuleNotFoundError:
        return checkout
    return folder if folder.joinpath("render.cu").is_file() else checkout


@functools.cache
def kernel_text(shape: str, name: str = "render.cu") -> str:
    """The text of a kernel file, with each quoted include inlined once; ``shape`` as for `inlined`."""
    return inlined(name, [kernel_folder()], shape)


@functools.cache
def host_text(name: str, folder: Path, shape: str = "") -> str:
    """The text of a C++ source for the CPU; it may include kernels and `host_launch.hpp`; ``shape`` as in `inlined`."""
    return inlined(name, [folder, Path(__file__).parent, kernel_folder()], shape)


def inlined(name: str, folders: Sequence[Traversable], shape: str) -> str:
    """The text of a file with quoted includes from ``folders`` inlined; SHAPE_HEADER is that of a crystal ``shape``.

    Raises
    ------
    FileNotFoundError
        If a file is in none of them.
    """
    seen: set[str] = set()

    def lines(wanted: str) -> list[str]:
        seen.add(wanted)
        path = next((folder.joinpath(wanted) for folder in folders if folder.joinpath(wanted).is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{wanted}: no such kernel file in {', '.join(map(str, folders))}")
        result = [f'#line 1 "{wanted}"']
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            include = _INCLUDE.match(line)
            if include is None:
                result.append(line)
                continue
            header = include[1] or f"shape_{shape}.cuh"
            result += [""] if header in seen else [*lines(header), f'#line {number + 1} "{wanted}"']
        return result

    return "\n".join(lines(name)) + "\n"
