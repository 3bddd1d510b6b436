#!/usr/bin/env python3
"""Make the picture of the README, specs/pictures/rotation.png, with the commands that the README prints.

    python scripts/readme_picture.py

The picture of `cubragg view` is reduced to 18 shades, for a small file.
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
COMMANDS = ("cubragg sweep MODEL --detector pilatus300k --distance 90 --crystal-size 0.1 --images 1 --osc 1 -o run",
            "cubragg view run/master.nxs --png-rings -o picture.png")
#: Levels of grey, of 256, that become one.
_STEP = 15


def main() -> None:
    """Run the commands and write the picture."""
    model = ROOT / "cubragg/examples/helix_bundle.pdb"
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            words = [str(model) if word == "MODEL" else word for word in shlex.split(command)]
            subprocess.run([sys.executable, "-m", "cubragg", *words[1:]], cwd=folder, check=True)
        with Image.open(Path(folder) / "picture.png") as picture:
            shades = picture.convert("L").point(lambda level: level // _STEP * _STEP).quantize()
    PICTURE.parent.mkdir(exist_ok=True)
    shades.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
