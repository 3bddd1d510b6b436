"""The profile of a command: its parts are those of the run, and add up to the wall time of the process."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.scripts import script

ROOT = Path(__file__).resolve().parents[2]
LINE = "-default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 5 -distance 100 -pixel 0.1 -detpixels 8 --backend numpy"


profile, profiled = script("profile_command"), script("profiled")


def names(found) -> list[str]:
    return [part.name for part in found.parts]


@pytest.mark.requirement("AT-PERF-007")
def test_parts_of_an_image(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "F.hkl").write_text("1 0 0 10\n0 1 0 20\n")
    found = profile.profile([*LINE.split(), "-hkl", "F.hkl", "-floatfile", "a.bin", "-intfile", "a.img", "-seed", "1"])
    assert found.status == 0
    assert found.wall_s > 0.0
    assert sum(part.seconds for part in found.parts) == pytest.approx(found.wall_s, rel=1e-9)
    assert all(part.seconds >= 0.0 for part in found.parts)
    expected = ["start of the interpreter", "imports", "flags", "read reflections", "read hkl",
                "grid of structure factors", "plan",
                "choose and set up backend", "render", "table of structure factors", "figures of the image",
                "write float", "write int", "whole counts", "summary", "everything else", "end of the interpreter",
                "not accounted for"]
    assert names(found) == expected
    assert (tmp_path / "a.bin").stat().st_size == 4 * 8 * 8
    assert "Image" in capfd.readouterr().err  # the command says what it says
    peaks = [part.peak_MB for part in found.parts if part.peak_MB is not None]
    assert min(peaks) > 5.0
    printed = profile.table(found).splitlines()
    assert len(printed) == len(expected) + 2
    shares = [float(line.split("%")[0].split()[-1]) for line in printed[1:]]
    assert shares[-1] == 100.0
    assert sum(shares[:-1]) == pytest.approx(100.0, abs=0.05 * len(expected))


def test_the_command_s_exit_status(capfd):
    found = profile.profile(["-lamda", "3"])
    assert found.status == 2
    assert "render" not in names(found)
    assert "-lambda" in capfd.readouterr().err


@pytest.mark.requirement("AT-PERF-007")
def test_time_of_a_part_is_its_own(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(profiled, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = profiled.Clock()

    def spend(seconds, inner=None):
        now[0] += seconds
        if inner:
            clock.timed(*inner, {})
        now[0] += seconds

    spend(0.5)
    clock.timed("outer", spend, (2.0, ("inner", spend, (1.0, ("outer", spend, (4.0,))))), {})
    assert [(name, seconds) for name, seconds, _ in clock.result()] == [
        ("outer", 12.0), ("inner", 2.0), ("everything else", 1.0)]


def test_every_part_is_a_function_that_exists():
    for name in profiled.PARTS:
        home, _, path = name.partition(":")
        if home.endswith("*"):
            continue
        found = importlib.import_module(home)
        for step in path.split("."):
            if step.endswith("*"):
                assert [each for each in vars(found) if each.startswith(step[:-1])], name
            else:
                found = getattr(found, step)


def test_hottest_functions(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile.hottest([*LINE.split(), "-floatfile", "a.bin"], 3)
    assert "List reduced from" in capfd.readouterr().out
