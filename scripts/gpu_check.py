#!/usr/bin/env python3
"""Check and time the CUDA backend on this machine's GPU: one command, under six minutes.

    python scripts/gpu_check.py [--device N] [--out FOLDER] [--only STAGE ...] [--wheels FOLDER] [--runs N] [--limit S]

Correctness: the golden set in three precisions against the C program's images, forced culling, panels, batches, several
GPUs where there are, random experiments in physical semantics, spots in closed form, counts of means and counts that
kernels draw as they render. Speed: registers and local bytes, kernels (CUDA events) and whole images of W1, W2, W3 and
R16 with the fraction of the least time by issued instructions, stills and series a second, counts of 16 megapixels in
the kernels and in steps, data sets with files. Then what takes processes of its own: compute-sanitizer where it is
installed, `pytest tests/gpu`; other programs that NB_C_BIN, NB_TORCH and NB_CUDA_BIN name, and nanoBraggCUDA compiled
by nvcc from the files that NB_CUDA_SOURCES lists. Tables are printed, and after each stage a JSON with the device's
name is written; `--only` adds stages to it. An error in a stage is a row of its table, and the others go on, in a new
process if the device cannot be used in this one any more; stages that `--limit` leaves no time for are listed. It needs
numpy, click, h5py and CuPy; `--wheels` installs others that are missing from a folder: gemmi and fabio; hdf5plugin,
pillow, tomli-w and msgpack for data sets; pytest, hypothesis and what they need. No C++ compiler is needed: NumPy
computes what to compare with. Without a device: one line, exit status 1; also 1 if anything is outside its bounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This folder last: it has a module of the name of one in the standard library, profile.
SCRIPTS = ROOT / "scripts"
sys.path = [str(ROOT), str(ROOT / "tests"),
            *(entry for entry in sys.path if Path(entry).resolve() != SCRIPTS), str(SCRIPTS)]

#: Stages in order: checks and times of a few seconds each, then those that may take all of the time that is left.
STAGES = ("golden", "culling", "panels", "batches", "devices", "physical", "analytic", "response", "counts",
          "registers", "kernels", "images", "counting", "sets", "sanitizer", "tests", "programs")
#: Packages without which stages that read reflections or images fail.
NEEDED = ("gemmi", "fabio")


def install(wheels: Path) -> None:
    """Install the wheels of a folder, without a network, where only this process and those that it starts find them."""
    target = tempfile.mkdtemp(prefix="cubragg-wheels-")
    files = sorted(str(path) for path in wheels.glob("*.whl"))
    if not files:
        raise SystemExit(f"--wheels: got {wheels}, without a .whl file; the folder of the wheels is accepted")
    for file in files:  # one at a time: one of another Python leaves out no other
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", target, file]
        ended = subprocess.run(pip, check=False, capture_output=True, text=True)
        if ended.returncode != 0:
            lines = (ended.stderr + ended.stdout).strip().splitlines() or [f"exit status {ended.returncode}"]
            print(f"--wheels: {file} is not installed ({lines[-1]})", file=sys.stderr)
    sys.path.append(target)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), target]))


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = (format(value, ".4g") if isinstance(value, float) else str(value)
                 for value in (row.get(column, "") for column in columns))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def head(device: Any, command: str) -> dict[str, Any]:
    """What the results were measured with."""
    import cupy
    from benchmarks.gpu_times import nvidia_smi
    from benchmarks.machine import commit

    from cubragg import __version__

    return {"device": device._asdict(), "cubragg": __version__, "commit": commit(), "cupy": cupy.__version__,
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(), "driver": cupy.cuda.runtime.driverGetVersion(),
            "nvidia_smi": nvidia_smi(), "python": platform.python_version(), "machine": platform.platform(),
            "command": command}


def run(device: Any, options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Run the stages, print their tables, and write the results after each."""
    from benchmarks import gpu_correctness, gpu_times
    from benchmarks.machine import Setup

    setup = Setup(device.number, options.runs, options.quick, time.monotonic() + options.limit)
    command = " ".join([Path(sys.executable).name, "scripts/gpu_check.py", *sys.argv[1:]])
    result: dict[str, Any] = json.loads(path.read_text()) if options.only and path.exists() else {}
    result = {**result, **head(device, command)}
    stages, seconds = result.setdefault("stages", {}), result.setdefault("seconds", {})
    result["not_run"] = []
    names = options.only or STAGES
    for place, name in enumerate(names):
        if time.monotonic() > setup.deadline:
            result["not_run"].append(name)
            continue
        start = time.perf_counter()
        try:
            stages[name] = {**gpu_correctness.STAGES, **gpu_times.STAGES}[name](setup)
        except Exception as error:
            traceback.print_exc()
            stages[name] = [{"what": "the stage itself", "note": f"{type(error).__name__}: {error}", "right": False}]
        seconds[name] = time.perf_counter() - start
        print(f"\n{name} ({seconds[name]:.1f} s)\n\n{table(stages[name])}", flush=True)
        result["wrong"] = list(gpu_correctness.wrong(stages))
        path.write_text(json.dumps(result, indent=1) + "\n")
        if names[place + 1:] and not answers(device.number):
            rest = again(options, names[place + 1:], setup.deadline - time.monotonic(), path)
            result = {**rest, "command": command}
            break
    path.write_text(json.dumps(result, indent=1) + "\n")
    return result


def answers(device: int) -> bool:
    """Whether the device can be used in this process: not after a kernel has accessed memory that is not its own."""
    import cupy

    try:
        with cupy.cuda.Device(device):
            cupy.cuda.get_current_stream().synchronize()
            cupy.zeros(1, dtype="f4").get()
    except Exception:
        return False
    return True


def again(options: argparse.Namespace, names: Sequence[str], seconds: float, path: Path) -> dict[str, Any]:
    """Run stages in a new process, and return the results with those of before."""
    print(f"\nthe device cannot be used in this process any more; a new one runs {', '.join(names)}", flush=True)
    wheels = [] if options.wheels is None else ["--wheels", str(options.wheels)]
    subprocess.run([sys.executable, __file__, "--device", str(options.device), "--out", str(options.out), "--runs",
                    str(options.runs), "--limit", f"{seconds:.0f}", *["--quick"] * options.quick, *wheels, "--only",
                    *names], check=False)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def main() -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=int, default=0, help="number of the GPU (default 0)")
    parser.add_argument("--out", type=Path, default=ROOT / "specs" / "benchmarks", help="folder of the JSON")
    parser.add_argument("--only", nargs="+", choices=STAGES, metavar="STAGE",
                        help=f"stages to run, of {', '.join(STAGES)}")
    parser.add_argument("--wheels", type=Path, help="install these wheels first, for this run only")
    parser.add_argument("--runs", type=int, default=7, help="runs of which the median is reported (default 7)")
    parser.add_argument("--limit", type=float, default=540.0, metavar="S",
                        help="start no stage after so many seconds (default 540); --only runs the others later")
    parser.add_argument("--quick", action="store_true", help="small images and a part of the checks, to try the script")
    options = parser.parse_args()
    if options.wheels is not None:
        install(options.wheels)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{', '.join(missing)} not installed: stages that read reflections fail; --wheels FOLDER installs them",
              file=sys.stderr)
    from cubragg.device.cuda_device import describe_devices
    from cubragg.errors import CubraggError

    # What single precision cannot represent is rendered in double, with a warning.
    warnings.simplefilter("ignore")
    try:
        devices = describe_devices()
        if not 0 <= options.device < len(devices):
            raise CubraggError(f"backend cuda: got device {options.device}; this machine has {len(devices)}")
    except CubraggError as error:
        print(error, file=sys.stderr)
        return 1
    device = devices[options.device]
    print(f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB, compute capability {device.compute_capability}, "
          f"double:single 1:{device.single_to_double}")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"gpu-{re.sub(r'[^A-Za-z0-9]+', '-', device.name).strip('-').lower()}.json"
    result = run(device, options, path)
    left_out = f"; not run in {options.limit:g} s: {', '.join(result['not_run'])}" if result["not_run"] else ""
    print(f"\n{path}: {'; '.join(result['wrong']) or 'all right'}, {sum(result['seconds'].values()):.0f} s{left_out}")
    return 1 if result["wrong"] or left_out else 0


if __name__ == "__main__":
    sys.exit(main())
