"""`scripts/gpu_check.py` against a stand-in for cupy that runs the kernels on the CPU, as far as that goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Runs the script with cupy replaced, and without what a stand-in has no numbers for.
WITH_STAND_IN = """
import runpy, sys
sys.path.insert(0, "tests")
from support.cupy_stand_in import Cupy
sys.modules["cupy"] = Cupy(runs=True)
sys.argv = ["scripts/gpu_check.py", *sys.argv[1:]]
sys.path[0] = "scripts"
runpy.run_path("scripts/gpu_check.py", run_name="__main__")
"""


def checked(folder: Path, *stages: str) -> tuple[int, dict]:
    ended = subprocess.run([sys.executable, "-c", WITH_STAND_IN, "--out", folder, "--quick", "--runs", "1", "--only",
                            *stages], cwd=ROOT, capture_output=True, text=True, check=False)
    file = folder / "gpu-stand-in.json"
    assert file.exists(), ended.stderr
    return ended.returncode, json.loads(file.read_text())


@pytest.mark.slow
def test_stages_with_a_stand_in(tmp_path):
    """Stages are added to the same file; what is right or wrong is the exit status."""
    status, first = checked(tmp_path, "culling")
    assert (status, first["wrong"]) == (0, [])
    status, both = checked(tmp_path, "panels", "batches", "analytic", "sanitizer")
    assert (status, both["wrong"]) == (0, [])
    assert list(both["stages"]) == ["culling", "panels", "batches", "analytic", "sanitizer"]
    assert {row["precision"] for row in both["stages"]["panels"]} == {"double", "mixed", "single"}


def test_without_a_device(tmp_path):
    ended = subprocess.run([sys.executable, "scripts/gpu_check.py", "--out", tmp_path], cwd=ROOT, capture_output=True,
                           text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "backend cuda" in ended.stderr
    assert not list(tmp_path.iterdir())
