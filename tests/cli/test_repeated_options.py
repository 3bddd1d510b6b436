"""Options given twice with different values: refused in one line, but nanoBragg's own flags and those for several."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import cubragg
from cubragg.cli.flag_kinds import HANDED_ON
from cubragg.cli.flags import SPELLINGS
from cubragg.cli.parser import parse
from cubragg.errors import ConfigError
from support.command import SMALL, invoke
from support.messages import refusal, refused

MODEL = Path(cubragg.__file__).parent / "examples" / "helix_bundle.pdb"
SET = f"{MODEL} --detector pilatus100k --distance 100 -o run"


@pytest.mark.requirement("AT-CLI-002")
@pytest.mark.parametrize(("line", "where", "values"), [
    (f"simulate {SMALL} --save a.npy --save b.npy", "--save", "a.npy and b.npy"),
    (f"{SMALL} --save a.npy --method sampled --save b.cbf --save c.h5", "--save", "a.npy and b.cbf"),
    (f"{SMALL} --semantics physical --response kind=integrating --response gain=2 --save a.npy", "--response",
     "kind=integrating and gain=2"),
    (f"{SMALL} --cull=1e-4 --cull 0.001 --save a.npy", "--cull", "0.0001 and 0.001"),
    (f"{SMALL} --png a.png --png-colors sea --png-colours fire", "--png-colours", "sea and fire"),
    (f"stills {SET} -n 2 --seed 1 --seed=2", "--seed", "1 and 2"),
    (f"stills {SET} -n 2 -n 3", "-n", "2 and 3"),
    (f"stills {SET} -n 2 --truth h5 -o other", "-o", "run and other"),
    (f"stills {SET} -n 2 --detector eiger2-1m", "--detector", "pilatus100k and eiger2-1m"),
    (f"sweep {SET} --images 2 --images 3 --osc 1", "--images", "2 and 3"),
    ("view a.npy --png b.png -o c.png", "-o", "b.png and c.png"),
    ("compare a.npy b.npy --png b.png --png c.png", "--png", "b.png and c.png"),
    (f"sf {MODEL} -o a.mtz -o b.mtz --dmin 4", "-o", "a.mtz and b.mtz"),
    (f"sf {MODEL} -o a.mtz --dmin 4 --anomalous S 0.3 0.5 --anomalous Se -8 4 --anomalous s 0.3 0.6", "--anomalous S",
     "0.3 0.5 and 0.3 0.6"),
])
def test_two_values_of_one_option_are_refused(line, where, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(invoke(line), 1 if line.startswith("compare") else 2, where, values, "twice", "once")
    assert not list(tmp_path.iterdir())


def test_of_every_flag_that_nanobragg_has_not_two_values_are_refused():
    several, one = set(), set()
    for flag in dict.fromkeys(SPELLINGS.values()):
        if not flag.least:
            continue
        first, second = flag.choices[:2] if flag.choices else ("3", "7")
        twice = [flag.name, *[first] * flag.least, flag.name, *[second] * flag.least]
        if not flag.name.startswith("--") or flag.name in ("--from", "--mosaicity"):
            several.add(parse(twice)[0].flag)
            continue
        with refusal(ConfigError, flag.name, "", "twice", "once"):
            parse(twice)
        one.add(flag)
    assert all(flag.c_program != HANDED_ON for flag in one)
    assert len(several) > 50
    assert len(one) > 50


def test_the_last_of_nanobraggs_own_flags_counts_and_the_same_value_may_come_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = (f"{SMALL} -lambda 5 -seed 4 --quiet --quiet --save a.npy --save a.npy --save-config a.toml --cull 0 "
            "--cull 0.0")
    assert invoke(line).exit_code == 0
    assert tomllib.loads((tmp_path / "a.toml").read_text())["beam"]["wavelength_A"] == 5.0
    assert invoke("view a.npy --png b.png --png b.png").exit_code == 0
