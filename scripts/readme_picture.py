#!/usr/bin/env python3
"""Make the picture of the README, specs/pictures/rotation.png, with the commands that the README prints.

    python scripts/readme_picture.py

Each channel of the picture of `cubragg view` is rounded to 25 levels, for a small file.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "specs/pictures/rotation.png"
#: Commands of the README's first picture, run in an empty folder; MODEL is the model of the package.
COMMANDS = ("cubragg sweep MODEL --detector eiger2-1m --distance 70 --crystal-size 0.1 --mosaicity 0.12 --flux 5e13 "
            "--background water=30,air=2:5 --images 1 --osc 0.5 -o run",
            "cubragg view run/master.nxs --png-rings --png-zoom -o picture.png")
#: Levels of a channel, less one.
_LEVELS = 24


def main() -> None:
    """Run the commands and write the picture."""
    model = ROOT / "cubragg/examples/helix_bundle.pdb"
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            words = [str(model) if word == "MODEL" else word for word in shlex.split(command)]
            subprocess.run([sys.executable, "-m", "cubragg", *words[1:]], cwd=folder, check=True)
        with Image.open(Path(folder) / "picture.png") as picture:
            rounded = picture.convert("RGB").point(lambda level: round(round(level / 255 * _LEVELS) / _LEVELS * 255))
        shades = rounded.convert("P", palette=Image.Palette.ADAPTIVE, dither=Image.Dither.NONE)
    PICTURE.parent.mkdir(exist_ok=True)
    shades.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
