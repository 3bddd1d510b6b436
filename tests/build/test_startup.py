"""What a start of the command loads: each module here costs a tenth of a second or is of no use to that command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = "-default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 5 -distance 100 -pixel 0.1 -detpixels 4 --backend numpy"
FOREIGN = {"numpy", "fabio", "h5py", "hdf5plugin", "gemmi", "matplotlib", "cupy", "PIL", "nxmx", "tomli_w"}


def loaded(code: str, folder: Path) -> set[str]:
    """Top-level modules and those of cubragg that ``code`` leaves loaded."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True,
                             text=True).stdout
    return set(printed.splitlines()[-1].split())


def command(line: str) -> str:
    return (f"from cubragg.cli.commands import cli\nsys.argv = ['cubragg', *{line.split()!r}]\n"
            "try:\n    cli(prog_name='cubragg')\nexcept SystemExit as end:\n    assert not end.code")


@pytest.mark.requirement("AT-PERF-002")
def test_the_package_alone_loads_nothing(tmp_path):
    modules = loaded("import cubragg", tmp_path)
    assert not modules & (FOREIGN | {"click", "importlib.metadata"})
    assert {name for name in modules if name.startswith("cubragg")} == {"cubragg", "cubragg.errors"}


@pytest.mark.requirement("AT-PERF-002")
@pytest.mark.parametrize("line", ["-h", "--version", "simulate -h", "compare -h", "trace -h", "sf -h", "doctor -h",
                                  "sweep -h", "stills -h",
                                  "compare --c-bin nb -phi 5 -help"])
def test_help_and_version_load_no_numpy(tmp_path, line):
    modules = loaded(command(line), tmp_path)
    assert not modules & FOREIGN
    assert not {name for name in modules if name.startswith(
        ("cubragg.engine", "cubragg.plan", "cubragg.experiment", "cubragg.io"))}
    assert ("importlib.metadata" in modules) == (line == "--version")


@pytest.mark.requirement("AT-PERF-002")
def test_an_image_loads_what_it_needs(tmp_path):
    modules = loaded(command(f"{TINY} -floatfile a.bin"), tmp_path)
    assert modules & FOREIGN == {"numpy"}
    assert "numpy.typing" not in modules  # 6 ms, and of use to type checkers only
    assert not {name for name in modules if name.startswith(
        ("cubragg.compare", "cubragg.io.images.smv", "cubragg.io.images.cbf", "cubragg.io.reflections.hkl",
         "cubragg.io.reflections.fdump", "cubragg.parity", "cubragg.run.batch", "cubragg.device.cuda_device",
         "cubragg.engine.cuda.cuda_engine", "importlib.metadata"))}


def test_public_names_come_when_they_are_asked_for(tmp_path):
    code = ("import cubragg\nfor name in cubragg.__all__:\n    assert getattr(cubragg, name).__name__ == name\n"
            "assert set(cubragg.__all__) <= set(dir(cubragg))\nassert cubragg.__version__\n"
            "from cubragg import *\nassert simulate is cubragg.simulate\nassert cubragg.testing.experiment\n"
            "try:\n    cubragg.Beems\nexcept AttributeError as error:\n    assert 'Beems' in str(error)\n"
            "else:\n    raise SystemExit('no error')")
    assert "numpy" in loaded(code, tmp_path)
