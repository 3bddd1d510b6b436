"""Streams that are closed, full or not read, and names that are no UTF-8."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import cubragg
from support.command import SMALL
from support.messages import refused, states

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
ROOT = Path(cubragg.__file__).parents[1]


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    """A line of the shell, in which ``$cubragg`` is the command; status of the last program that failed."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, check=False, timeout=60,
                          env={**os.environ, "cubragg": f"{shlex.quote(sys.executable)} -m cubragg",
                               "PYTHONPATH": str(ROOT)})


@pytest.mark.requirement("AT-CLI-011")
@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
def test_a_run_without_stderr_is_not_lost(streams, folder):
    done = shell(f"$cubragg {SMALL} -floatfile a.bin --nxmx s.h5 {streams}")
    assert done.returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "s.h5"]
    assert (folder / "a.bin").stat().st_size == 4 * 12 * 12


@pytest.mark.requirement("AT-CLI-011")
@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_the_status_of_an_error_does_not_need_stderr(streams):
    assert shell(f"$cubragg {SMALL} -lamda 2 {streams}").returncode == 2


@pytest.mark.requirement("AT-CLI-011")
@pytest.mark.parametrize("line", ["-h", "simulate -h", "--version", "view a.bin -o a.png"])
def test_a_full_stdout(line, folder):
    (folder / "a.bin").write_bytes(bytes(4 * 12 * 12))
    done = shell(f"$cubragg {line} >/dev/full")
    assert done.returncode == 1
    message, = done.stderr.decode().splitlines()
    states(message, "stdout", "", "No space left")
    assert (folder / "a.png").exists() == ("view" in line)


@pytest.mark.requirement("AT-CLI-011")
@pytest.mark.parametrize("line", ["simulate -h", "view a.bin -o a.png", f"{SMALL} -printout -floatfile b.bin --quiet"])
def test_a_reader_that_has_seen_enough(line, folder):
    (folder / "a.bin").write_bytes(bytes(4 * 12 * 12))
    done = shell(f"$cubragg {line} | head -1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1
    assert (folder / ("a.png" if "view" in line else "b.bin")).exists() or line == "simulate -h"


def name(suffix: str) -> str:
    """A name whose first byte is no UTF-8, as Linux permits."""
    return os.fsdecode(b"\xfe") + suffix


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8")
@pytest.mark.parametrize("flag", ["-floatfile .bin", "-intfile .img", "-cbffile .cbf", "--nxmx .h5", "--tiff .tif",
                                  "--png-zoom --png .png", "--truth .csv", "--truth .refl", "--geom .geom",
                                  "--xds-inp .INP", "--save-config .toml"])
def test_names_that_are_not_utf8(flag, run, folder):
    *flags, suffix = flag.split()
    readable = "" if "--nxmx" in flags else "--nxmx s.h5"
    result = run([*f"{SMALL} -osc 1 {readable} --quiet".split(), *flags, name(suffix)])
    assert (result.exit_code, result.output) == (0, "")
    assert (folder / name(suffix)).stat().st_size > 0
    if suffix in (".img", ".cbf", ".tif"):
        done = shell(f"$cubragg view {name(suffix)} -o {name('.png')} --png-zoom")
        assert (done.returncode, done.stderr) == (0, b"")
        assert rb"\udcfe.png" in done.stdout
        assert (folder / name(".png")).stat().st_size > 0


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8")
def test_structure_factors_and_images_in_names_that_are_not_utf8(run, folder):
    model = folder / name(".pdb")
    model.write_bytes((ROOT / "cubragg" / "examples" / "helix_bundle.pdb").read_bytes())
    assert run(["sf", str(model), "-o", name(".mtz"), "--dmin", "5", "--quiet"]).exit_code == 0
    hkl = [*SMALL.split(), "-hkl", name(".mtz"), "--quiet", "-floatfile", "a.bin"]
    assert run(hkl).exit_code == 0
    refused(run([*hkl, "--save-config", "a.toml"]), 2, "--save-config", "", "UTF-8")
    series = [*SMALL.split(), "-osc", "1", "--nxmx", name(".h5"), "--quiet"]
    refused(run([*series, "--expt", "a.expt"]), 1, "--expt", "", "UTF-8")
    assert run([*series, "--xds-inp", "XDS.INP"]).exit_code == 0
    assert b"NAME_TEMPLATE_OF_DATA_FRAMES= \xfe.h5\n" in (folder / "XDS.INP").read_bytes()
