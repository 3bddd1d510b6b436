"""Files of other programs on the command line: stills, several crystals, polarization, lists of sources."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.run.read_file import read
from support.command import invoke
from support.header_variants import smv
from support.messages import refused, warned

GEOMETRY = Path(__file__).parents[1] / "data/geometry"
CRYSTAL = "-cell 50 60 70 90 90 90 -default_F 10 -N 2 -oversample 1"
RENDER = "--backend numpy -floatfile o.bin -roi 0 1 0 1"
STILL = GEOMETRY / "still_scan0.expt"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def goniometer(line: str):
    return build(parse(line.split())).experiment.goniometer


@pytest.mark.requirement("AT-FROM-080")
@pytest.mark.parametrize(("flags", "steps", "width"), [
    ("", 1, 0.0), ("-phisteps 5", 1, 0.0), ("-phistep 0.1", 1, 0.0), ("-osc 1", 2, 1.0), ("-osc 1 -phisteps 5", 5, 1.0),
    ("-phi 3", 1, 0.0)])
def test_a_still_stays_a_still(flags, steps, width):
    """A scan of width 0 is no rotation of 1 deg, nanoBragg's default for a number of steps."""
    sweep = goniometer(f"--from {STILL} {CRYSTAL} {flags}").sweep()
    assert (sweep.count, sweep.width) == (steps, pytest.approx(math.radians(width)))
    result = invoke(f"--from {STILL} {CRYSTAL} {RENDER} {flags}")
    assert result.exit_code == 0
    flag = flags.partition(" ")[0]
    assert warned(result.stderr, flag, "", "effect", "still", "-osc") == (flags in ("-phisteps 5", "-phistep 0.1"))


@pytest.mark.requirement("AT-FROM-080")
def test_a_list_without_a_scan_is_a_still():
    document = json.loads(STILL.read_text())
    for experiment in document["experiment"]:
        experiment.pop("scan", None)
    document["crystal"] = [{"real_space_a": [50, 0, 0], "real_space_b": [0, 60, 0], "real_space_c": [0, 0, 70]}]
    document["experiment"][0]["crystal"] = 0
    Path("a.expt").write_text(json.dumps(document))
    assert goniometer("--from a.expt -default_F 10 -N 2 -phisteps 5").sweep().width == 0.0
    assert goniometer("--from a.expt -default_F 10 -N 2 -phisteps 5 -osc 1").sweep().count == 5


@pytest.mark.requirement("AT-FROM-080")
def test_a_still_in_python():
    still = read(STILL).goniometer
    assert (still.sweep().count, still.sweep().width) == (1, 0.0)


def several(*cells: float) -> str:
    """An experiment list with a cubic crystal of each cell, on one image."""
    document = json.loads(STILL.read_text())
    first = document["experiment"][0]
    document["crystal"] = [{"real_space_a": [a, 0, 0], "real_space_b": [0, a, 0], "real_space_c": [0, 0, a]}
                           for a in cells]
    document["experiment"] = [{**first, "crystal": number} for number in range(len(cells))]
    Path("several.expt").write_text(json.dumps(document))
    return "several.expt"


@pytest.mark.requirement("AT-FROM-081")
@pytest.mark.parametrize(("flags", "edge"), [("", 50.0), ("--crystal 1", 50.0), ("--crystal 2", 60.0),
                                             ("--crystal 3", 70.0)])
def test_one_of_several_crystals(flags, edge):
    path = several(50.0, 60.0, 70.0)
    job = build(parse(f"--from {path} -default_F 10 -N 2 {flags}".split()))
    assert math.hypot(*job.experiment.crystal.lattice("physical").a) == pytest.approx(edge)
    result = invoke(f"--from {path} -default_F 10 -N 2 -oversample 1 {RENDER} {flags}")
    assert warned(result.stderr, path, "3 crystals", "first", "--crystal 2") == (not flags)


@pytest.mark.requirement("AT-FROM-081")
@pytest.mark.parametrize(("flags", "status", "says"), [
    ("--from several.expt --crystal 4", 1, ("several.expt", "crystal 4", "3")),
    ("--from several.expt --crystal 0", 1, ("several.expt", "crystal 0", "3", "from 1")),
    ("--from several.expt#1 --crystal 2", 2, ("--crystal", "2", "list")),
    ("--crystal 2", 2, ("--crystal", "2", "--from")),
    ("--from a.img --crystal 2", 2, ("--crystal", "2", "list")),
])
def test_crystals_that_are_not_there(flags, status, says):
    several(50.0, 60.0, 70.0)
    Path("a.img").write_bytes(smv())
    refused(invoke(f"{CRYSTAL} {RENDER} {flags}"), status, *says)


@pytest.mark.requirement("AT-FROM-082")
def test_polarization_that_a_file_does_not_give():
    """Dxtbx assumes a fraction of 0.999, a Kahn factor of 0.998; nanoBragg none. The file tells what was rendered."""
    Path("a.img").write_bytes(gzip.decompress((GEOMETRY / "n457_001.img.gz").read_bytes()))

    def fraction(flags: str) -> tuple[float, bool]:
        result = invoke(f"--from a.img {CRYSTAL} {RENDER} --expt o.expt {flags}")
        assert result.exit_code == 0
        return (json.loads(Path("o.expt").read_text())["beam"][0]["polarization_fraction"],
                warned(result.stderr, "a.img", "0.5", "polarization", "0.999", "-polar"))

    assert fraction("--semantics nanobragg") == (0.5, True)
    assert fraction("--semantics physical") == (pytest.approx(0.999), False)
    assert fraction("--semantics nanobragg -polar 0.9") == (pytest.approx(0.95), False)
    assert fraction("--semantics nanobragg -nopolar") == (0.5, False)
    assert "does not give the polarization" in invoke(f"--from a.img {CRYSTAL} {RENDER} --semantics physical").stderr


@pytest.mark.requirement("AT-FROM-083")
@pytest.mark.parametrize(("text", "status", "says"), [
    ("9500 0.2\n9510 0.8\n", 1, ("s.txt:1", "two columns", "energy", "weight", "--spectrum")),
    ("10 0 0 1 1e-10\n", 2, ("-sourcefile", "10 0 0", "behind", "detector")),
    ("-10 0 0\n2 10 0\n", 2, ("-sourcefile", "source 2", "behind")),
    ("0.98 1.0\n", 2, ("-sourcefile", "0.98 1 0", "behind")),
])
def test_lists_that_are_no_sources(text, status, says):
    Path("s.txt").write_text(text)
    refused(invoke(f"{CRYSTAL} -lambda 1 -detpixels 4 -pixel 1 {RENDER} -sourcefile s.txt"), status, *says)
    assert not Path("o.bin").exists()
