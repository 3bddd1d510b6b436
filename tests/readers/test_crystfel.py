"""Our geometry files as CrystFEL itself understands them.

adjust_detector, of CrystFEL 0.11 and later, loads a geometry, moves panels (here: by nothing) and writes what it has.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.command import simulated
from support.scripts import script

PROGRAM = shutil.which("adjust_detector")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="CrystFEL 0.11 or later is not installed: no adjust_detector")

LINE = ("-default_F 100 -cell 50 60 70 80 90 100 -lambda 1.1 -N 3 -distance 120 -detector_rotx 9 -detector_roty -4 "
        "-twotheta 7 -oversample 1 -roi 0 9 0 9 -seed 1 --quiet --geom a.geom ")
#: CrystFEL writes six decimals.
DIGITS = 1e-6


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def adjusted(name: str) -> tuple[int, str]:
    """Exit status and error of CrystFEL about a geometry file, which it writes to theirs.geom."""
    done = subprocess.run([PROGRAM, "-g", name, "-o", "theirs.geom"], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def settings(name: str) -> dict[str, list[float] | str]:
    """``panel/key`` and what it is set to, numbers in their order."""
    found = {}
    for key, value in re.findall(r"^(\w+/\w+) = (.*)$", Path(name).read_text(), re.MULTILINE):
        numbers = [float(text) for text in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", value)]
        found[key] = value if key.endswith("/panel") else numbers
    return found


@pytest.mark.requirement("AT-FROM-024")
@pytest.mark.parametrize(("images", "panels"), [("--nxmx a.h5", 8), ("-cbffile a_0001.cbf", 1)])
def test_crystfel_has_our_panels_and_bad_regions(images, panels):
    line = LINE if panels == 8 else re.sub(r"-detector_rot\w -?\d+|-twotheta \d+", "", LINE)
    assert simulated(f"{line} --detector {'jungfrau4m' if panels == 8 else 'pilatus300k'} {images}") == (0, "")
    assert adjusted("a.geom")[0] == 0
    ours, theirs = settings("a.geom"), settings("theirs.geom")
    assert theirs.keys() == ours.keys()
    assert sum(key.endswith("/corner_x") for key in ours) == panels
    assert sum(key.startswith("bad_") for key in ours) == (0 if panels == 8 else 10)
    for key, value in ours.items():
        assert theirs[key] == (value if isinstance(value, str) else pytest.approx(value, abs=DIGITS)), key


@pytest.mark.requirement("AT-FROM-024")
def test_crystfel_refuses_what_it_cannot_use():
    """So that the tests above can fail."""
    assert simulated(f"{LINE} --detector jungfrau4m --nxmx a.h5") == (0, "")
    Path("b.geom").write_text(Path("a.geom").read_text().replace("m3/corner_x", "m3/corner_z"))
    status, error = adjusted("b.geom")
    assert status != 0
    assert "m3" in error


#: Stills whose detector moves, so that camera length, shift and wavelength of each image are those of its file.
MOVING = "--vary distance_mm=uniform:75,85 --vary beam_centre_mm=normal:0.5 --vary wavelength_A=normal:0.01"


@pytest.mark.slow
@pytest.mark.parametrize("vary", ["", MOVING])
def test_indexamajig_indexes_stills_by_our_geometry(tmp_path, vary):
    report = script("crystfel_report")
    status, error = simulated("stills helix_bundle.pdb --detector eiger2-1m --distance 80 -n 4 --seed 7 "
                              f"-o run --quiet {vary}")
    assert status == 0, error
    out = tmp_path / "crystfel"
    report.report(Path("run"), out)
    stills = report.crystfel_route.stills_result(Path("run"), out / report.crystfel_route.STREAM)
    assert [one.shot for one in stills] == [0, 1, 2, 3]
    assert all(one.lattice is not None and one.lattice.same for one in stills)
    assert max(one.lattice.orientation_deg for one in stills) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("program", ["process_hkl --polarisation=none", "partialator --model=xsphere --iterations=0"])
def test_programs_of_crystfel_read_our_stream(program):
    """Intensities of two shards, each with two shots and a known mean of reflections that both have."""
    words = program.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} of CrystFEL is not installed")
    status, error = simulated("stills helix_bundle.pdb --detector eiger2-1m --distance 80 -n 4 --seed 7 --shard 2 "
                              "--truth stream --crystals 2 --blank 0.2 -o run --quiet")
    assert status == 0, error
    texts = [path.read_text() for path in sorted(Path("run").glob("truth-*.stream"))]
    Path("all.stream").write_text("".join(texts))
    done = subprocess.run([*words, "-i", "all.stream", "-o", "all.hkl", "-y", "1", "--min-measurements=1"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    merged = {tuple(map(int, line.split()[:3])): float(line.split()[3])
              for line in Path("all.hkl").read_text().splitlines() if re.match(r"\s*-?\d+\s+-?\d+\s+-?\d+\s", line)}
    measured: dict[tuple[int, ...], list[float]] = {}
    for line in re.findall(r"^ *(-?\d+ +-?\d+ +-?\d+ +\S+) +\S+ +\S+ +\S+ +\S+ +\S+ eiger2_1m$", "".join(texts), re.M):
        *hkl, intensity = line.split()
        measured.setdefault(tuple(map(int, hkl)), []).append(float(intensity))
    assert len(measured) > 500
    if words[0] == "process_hkl":
        assert merged.keys() == measured.keys()
        for hkl, found in measured.items():
            # CrystFEL reads single-precision numbers and writes two decimals.
            assert merged[hkl] == pytest.approx(sum(found) / len(found), rel=1e-6, abs=0.01)
    else:
        assert len(merged) > 0.5 * len(measured)
