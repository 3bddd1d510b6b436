"""The judge of fuzzed commands: each outcome that no file may cause is seen, and the script reports it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.scripts import ROOT

#: Commands by the outcome that they must be judged as; a process of its own runs them, as forks of it.
PLANTED = r"""
import json, os, signal, sys, tempfile, time, warnings
from pathlib import Path
import numpy as np
sys.path.append(sys.argv[1])
from fuzzing import sandbox

sandbox.CPU_S, sandbox.WALL_S, sandbox.RESIDENT_BYTES = 1, 20, 3 * 10**8

def says(text, status):
    sys.stderr.write(text)
    return status

def burn():
    while True:
        pass

def wrote(pixels):
    np.array(pixels, "<f4").tofile("out.bin")
    return 0

COMMANDS = {
    "read": lambda: wrote([0.0, 1.0]),
    "read, warned": lambda: (wrote([0.0, 1.0]), says("warning: NaN\n", 0))[1],
    "refused": lambda: says("warning: a\nError: in.txt: b\n", 1),
    "traceback": lambda: 1 // 0,
    "signal": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": burn,
    "memory": lambda: len(np.ones(4 * 10**8, np.uint8)) * 0,
    "not one error": lambda: says("Error: a\nError: b\n", 1),
    "python warning": lambda: (warnings.warn("x"), 0)[1],
    "image": lambda: wrote([-1.0, 1.0]),
    "left over": lambda: (Path("rest.tmp").touch(), says("Error: a\n", 1))[1],
}
found = {}
with tempfile.TemporaryDirectory() as name:
    for number, (outcome, command) in enumerate(COMMANDS.items()):
        sandbox._command = lambda line, command=command: command()
        case = sandbox.Case(number, "", "", Path(name) / str(number), ("out.bin",))
        sandbox.start(case, lambda folder: None)
        while (judged := sandbox.finished(case)) is None:
            time.sleep(0.01)
        found[outcome] = judged
print(json.dumps(found))
"""


def test_every_outcome_is_seen():
    """Each planted command is judged as what it does."""
    run = subprocess.run([sys.executable, "-c", PLANTED, str(ROOT / "scripts")], capture_output=True, text=True,
                         check=True)
    found = json.loads(run.stdout)
    assert found == {outcome: outcome for outcome in found}
    assert len(found) == 11


@pytest.mark.requirement("AT-TOOLS-007")
def test_a_run_prints_its_seed_and_a_table(tmp_path):
    script = ROOT / "scripts" / "fuzz_files.py"
    run = subprocess.run([sys.executable, script, "-n", "6", "--seed", "3", "--kinds", "hkl", "matrix", "expt"],
                         capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    lines = [line.split() for line in run.stdout.splitlines()]
    assert lines[0][:2] == ["seed", "3,"]
    assert [line[:2] for line in lines[2:]] == [["expt", "2"], ["hkl", "2"], ["matrix", "2"], ["all", "6"]]
    assert list(tmp_path.iterdir()) == []
