"""`scripts/gpu_check.py` against a stand-in for cupy that runs the kernels on the CPU, and stand-ins for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A module cupy, also of processes that the script starts.
CUPY = """
import sys
sys.path.append({tests!r})
from support.cupy_stand_in import Cupy
cupy = sys.modules["cupy"] = Cupy(runs={runs})
{more}
"""
#: Stages of the script, in order.
STAGES = ["golden", "culling", "panels", "batches", "devices", "physical", "analytic", "response", "counts",
          "registers", "kernels", "images", "counting", "sets", "sanitizer", "tests", "programs"]
#: Programs, as shell scripts: one that runs the command after its options, a compiler, and ones with nanoBragg's flags.
SANITIZER = 'shift 4; exec "$@"'
NVCC = 'while [ "$1" != -o ]; do shift; done; cp "$3" "$2"; chmod +x "$2"'
RENDERS = "exit 0"
FAILS = "echo no such device >&2; exit 7"


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with two GPUs, in a folder; ``bin`` are programs before those of this one, ``variables`` its own."""

    def __init__(self, folder: Path, *, runs: bool = True, more: str = "") -> None:
        self.out, self.bin, modules = folder / "out", folder / "bin", folder / "modules"
        self.bin.mkdir()
        modules.mkdir()
        (modules / "cupy.py").write_text(CUPY.format(tests=str(ROOT / "tests"), runs=runs, more=more))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NB_")}
        self.variables = {**kept, "PYTHONPATH": os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])}
        self.path = os.environ["PATH"]

    def check(self, *options: str | Path) -> tuple[int, dict, str]:
        """Exit status, results and output of the script."""
        ended = subprocess.run(
            [sys.executable, "scripts/gpu_check.py", "--out", self.out, "--quick", "--runs", "1", *options],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**self.variables, "PATH": os.pathsep.join([str(self.bin), self.path])})
        file = self.out / "gpu-stand-in.json"
        assert file.exists(), ended.stderr
        return ended.returncode, json.loads(file.read_text()), ended.stdout + ended.stderr


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.slow
@pytest.mark.requirement("AT-PERF-012")
def test_every_stage(machine):
    """All that a GPU machine may have is there: compute-sanitizer, nvcc, the C program, the PyTorch port."""
    program(machine.bin / "compute-sanitizer", SANITIZER)
    program(machine.bin / "nvcc", NVCC)
    source = program(machine.bin / "nanoBraggCUDA.cu", RENDERS)
    machine.variables |= {"NB_C_BIN": str(program(machine.bin / "nanoBragg", RENDERS)),
                          "NB_TORCH": str(program(machine.bin / "port", FAILS)), "NB_CUDA_SOURCES": str(source)}
    status, results, output = machine.check()
    assert list(results["stages"]) == STAGES
    assert results["wrong"] == []
    assert (status, results["not_run"]) == (0, []), output
    stages = results["stages"]
    for name in ("golden", "culling", "panels", "batches", "devices", "registers", "kernels"):
        assert {row["precision"] for row in stages[name]} == {"double", "mixed", "single"}, name
    assert "2 GPUs" in stages["devices"][0]["what"]
    assert " passed" in stages["tests"][0]["note"]
    assert [row["what"].split()[-1] for row in stages["sanitizer"]] == ["memcheck", "racecheck", "initcheck"]
    assert all(row["right"] and row["note"] == "" for row in stages["sanitizer"])
    rows = {(row["program"], row.get("workload")): row for row in stages["programs"]}
    assert all(rows[name, workload]["process_s"] > 0.0 for name in ("C", "nanoBraggCUDA") for workload in ("W1", "W2"))
    assert rows["torch", "W1"]["note"] == "no such device"
    assert stages["kernels"][0]["of_floor"] > 0.0
    assert [row["equal"] for row in stages["counts"]] == [4] * 5
    ways = ("in the kernels", "in steps", "on the host")
    assert [row["what"] for row in stages["counting"]] == [
        f"{method}, {how}" for method in ("sampled", "analytic") for how in ways]
    assert all(row["images_per_s"] > 0.0 for row in stages["sets"])
    assert {row["what"] for row in stages["images"]} == {"stills", "stills on the device", "series of W3, culled"}


def test_stages_are_added_and_those_without_time_are_listed(machine):
    """Nothing is installed that a check can do without."""
    status, first, _ = machine.check("--only", "batches", "sanitizer")
    assert (status, first["wrong"]) == (0, [])
    status, both, _ = machine.check("--only", "programs")
    assert (status, both["wrong"]) == (0, [])
    assert list(both["stages"]) == ["batches", "sanitizer", "programs"]
    assert both["stages"]["sanitizer"] == [{"what": "compute-sanitizer", "note": "not installed", "right": True}]
    assert [row["note"] for row in both["stages"]["programs"]] == [
        f"not measured, {name} is not set" for name in ("NB_C_BIN", "NB_TORCH", "NB_CUDA_BIN")]
    status, none, output = machine.check("--limit", "-1", "--only", "golden", "kernels")
    assert (status, none["not_run"]) == (1, ["golden", "kernels"])
    assert list(none["stages"]) == ["batches", "sanitizer", "programs"]
    assert "not run in -1 s: golden, kernels" in output


@pytest.mark.slow
def test_an_error_in_a_stage_is_a_row(tmp_path):
    """A program that does not start or takes too long, and a compiler that fails, too."""
    machine = Machine(tmp_path, more="del Cupy.asarray")
    machine.variables |= {"NB_C_BIN": "/no/such/program", "NB_CUDA_SOURCES": "nanoBraggCUDA.cu"}
    program(machine.bin / "nvcc", FAILS)
    program(machine.bin / "compute-sanitizer", "echo 7 of 9; sleep 60")
    status, results, output = machine.check("--device", "1", "--limit", "3", "--only", "response", "programs",
                                            "sanitizer")
    notes = {row["program"]: row["note"] for row in results["stages"]["programs"]}
    assert "/no/such/program" in notes["C"]
    assert notes["nanoBraggCUDA"] == "nvcc: no such device"
    assert all("not at its end" in row["note"] and row["note"].endswith("; 7 of 9")
               for row in results["stages"]["sanitizer"])
    response, = results["stages"]["response"]
    assert response["note"].startswith("AttributeError: ")
    assert "Traceback" in output
    assert (status, len(results["wrong"])) == (1, 4)


#: A kernel that leaves the device unusable in its process.
BREAKS = """
broken, zeros = [], Cupy.zeros
def asarray(given):
    broken.append(True)
    raise cupy.cuda.runtime.CUDARuntimeError(700, "cudaErrorIllegalAddress")
def checked(*arguments, **names):
    if broken:
        raise cupy.cuda.runtime.CUDARuntimeError(700, "cudaErrorIllegalAddress")
    return zeros(*arguments, **names)
Cupy.asarray, Cupy.zeros = staticmethod(asarray), staticmethod(checked)
"""


@pytest.mark.slow
def test_stages_after_a_broken_device_run_in_a_new_process(tmp_path):
    machine = Machine(tmp_path, more=BREAKS)
    status, results, output = machine.check("--only", "response", "batches", "programs")
    assert list(results["stages"]) == ["response", "batches", "programs"]
    assert "cudaErrorIllegalAddress" in results["stages"]["response"][0]["note"]
    assert all(row["right"] for row in results["stages"]["batches"])
    assert "a new one runs batches, programs" in output
    assert (status, results["wrong"]) == (1, ["response: the stage itself"])
    assert "--only response batches programs" in results["command"]


@pytest.mark.slow
def test_without_compiler_and_other_modules(tmp_path):
    """The kernels of this stand-in render nothing: images are wrong, but only a stage that reads reflections has an
    error, which names what is missing."""
    machine = Machine(tmp_path, runs=False)
    machine.path = str(machine.bin)
    machine.variables.pop("CXX", None)
    for name in ("gemmi", "fabio"):
        (tmp_path / "modules" / f"{name}.py").write_text(
            f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n")
    status, results, output = machine.check("--only", "panels", "physical", "analytic", "kernels")
    assert status == 1
    assert output.count("Traceback") == 1
    assert results["stages"]["kernels"][0]["note"] == "ModuleNotFoundError: No module named 'gemmi'"
    assert {row["what"] for name in ("physical", "analytic") for row in results["stages"][name]} == {
        "random, physical: of the bound", "constants of spots", "spots in closed form"}
    assert {row["precision"] for row in results["stages"]["panels"]} == {"double", "mixed", "single"}
    assert not results["stages"]["panels"][0]["right"]


@pytest.mark.slow
def test_wheels(machine, tmp_path):
    """Modules of a folder of wheels are found by the script and by what it starts."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    assert "without a .whl file" in subprocess.run(
        [sys.executable, "scripts/gpu_check.py", "--wheels", folder], cwd=ROOT, capture_output=True, text=True,
        check=False).stderr
    with zipfile.ZipFile(folder / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "")
        for name, text in (
                ("METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n"), ("RECORD", ""),
                ("WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")):
            wheel.writestr(f"carried-1.0.dist-info/{name}", text)
    program(machine.bin / "compute-sanitizer", f"{sys.executable} -c 'import carried; print(carried.__name__)'")
    status, results, _ = machine.check("--wheels", folder, "--only", "sanitizer")
    assert status == 0
    assert {row["note"] for row in results["stages"]["sanitizer"]} == {"carried"}


def test_without_a_device(tmp_path):
    ended = subprocess.run([sys.executable, "scripts/gpu_check.py", "--out", tmp_path], cwd=ROOT, capture_output=True,
                           text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "backend cuda" in ended.stderr
    assert not list(tmp_path.iterdir())
