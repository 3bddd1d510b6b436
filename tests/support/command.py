"""The command, run in this process, and files that it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from cubragg.cli.commands import cli

#: A picture of 12 x 12 pixels in no time.
SMALL = ("-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 -distance 100 -pixel 0.5 -detpixels 12 "
         "-oversample 1 -seed 1 ")


def invoke(arguments: list[str] | str) -> Result:
    """The result of a command line, with exit_code, stdout and stderr; a bug is raised."""
    words = arguments.split() if isinstance(arguments, str) else arguments
    result = CliRunner().invoke(cli, words, prog_name="cubragg")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def simulated(arguments: str) -> tuple[int, str]:
    """Exit status and stderr of a command line."""
    result = invoke(arguments)
    return result.exit_code, result.stderr


def smv(path: Path, pixels: np.ndarray, **header: object) -> None:
    """An SMV file as nanoBragg would find it."""
    slow, fast = pixels.shape
    keys = {"HEADER_BYTES": 512, "DIM": 2, "BYTE_ORDER": "little_endian", "TYPE": "unsigned_short",
            "SIZE1": fast, "SIZE2": slow, **header}
    text = "{\n" + "".join(f"{key}={value};\n" for key, value in keys.items()) + "}\f"
    path.write_bytes(text.encode().ljust(512) + pixels.astype("<u2").tobytes())
