#!/usr/bin/env python3
"""Count the machine instructions of the kernels for GPUs, without a GPU.

    python scripts/sass_report.py [--arch 80 90] [--only TEXT] [--json FILE] [--against CHECKOUT]
    python scripts/sass_report.py --spots [--arch 80 90]

NVRTC compiles variants of `render`, and of `count`, which renders counts, with the options of the program, and nvdisasm
lists their instructions (SASS). The table has, for one sample of the inner loop (one orientation, pixel, sub-pixel and
source), the number of instructions by class; the registers of a thread, the bytes that it spills (stored and loaded)
and those of them in the loop, the shared memory of a block, and the warps that fit into a multiprocessor. Slow paths of
divisions and square roots, which few samples take, are counted in a column of their own. `--against` compiles the
variants of another checkout as well and prints both.

With `--spots` the rows are of the method analytic: a sample of a spot with second-order terms in a rotation image; the
box and the constants of a spot, with nine passes of their loop over places of the box.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_INSTALL = "pip install nvidia-cuda-nvrtc-cu12 nvidia-cuda-nvdisasm"

#: Instruction names -> class, by the longest prefix.
_CLASSES = {
    "FP32": ("FADD", "FMUL", "FFMA", "FSEL", "FSETP", "FMNMX", "FCHK", "FSET"),
    "FP64": ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX"),
    "convert": ("FRND", "F2F", "F2I", "I2F"),
    "MUFU": ("MUFU",),
    "shared": ("LDS", "STS"),
    "global": ("LDG", "STG"),
    "local": ("LDL", "STL"),
    "branch": ("BRA", "BSSY", "BSYNC", "CALL", "RET", "EXIT", "WARPSYNC", "BREAK", "BMOV", "YIELD"),
}
#: Of a multiprocessor: threads, blocks, bytes of shared memory. CUDA C++ Programming Guide, compute capabilities.
_LIMITS = {75: (1024, 16, 65536), 80: (2048, 32, 167936), 86: (1536, 16, 102400), 89: (1536, 24, 102400),
           90: (2048, 32, 233472), 100: (2048, 32, 233472), 120: (1536, 24, 102400)}
#: Most instructions of the slow path of a division or square root, which calls a function.
_SLOW_PATH = 24
_REGISTERS, _RESERVED = 65536, 1024  # registers of a multiprocessor; shared memory that CUDA takes of each block
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(?P<name>[A-Z][\w.]*)(?P<rest>[^;]*);")
_LABEL = re.compile(r"^(?P<label>\.L_x?_?\d+|[\w.$]+):\s*$")
_TARGET = re.compile(r"`\((?P<label>[\w.$]+)\)")
_USED = re.compile(r"Compiling entry function '(?:render|count)'.*?(?P<stores>\d+) bytes spill stores, "
                   r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers[^\n]*?"
                   r"(?:(?P<shared>\d+) bytes smem|$)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Instruction:
    """A name, as ``FADD.FTZ``; the label that it branches to, or an empty string; and the label before it."""

    name: str
    target: str
    label: str

    @property
    def kind(self) -> str:
        """Its class; ``integer`` includes moves and constants."""
        first = self.name.split(".")[0]
        return next((kind for kind, names in _CLASSES.items() if first in names), "integer")


def instructions(listing: str, entry: str = "render") -> list[Instruction]:
    """The instructions of an entry point in nvdisasm's listing, in order, without the padding."""
    found, label, inside = [], "", False
    for line in listing.splitlines():
        if line.startswith("\t.section\t") or line.startswith(".section"):
            inside = f".text.{entry}" in line
        named = _LABEL.match(line)
        if named:
            label = named["label"]
        match = _INSTRUCTION.search(line) if inside else None
        if match and match["name"] != "NOP":
            target = _TARGET.search(match["rest"])
            found.append(Instruction(match["name"], target["label"] if target else "", label))
            label = ""
    return found


class SampleLoop(NamedTuple):
    """Instructions of a loop without slow paths, number of samples of a pass, and number of all its instructions."""

    body: list[Instruction]
    samples: int
    size: int


def sample_loop(code: list[Instruction], roundings: int, ceil: bool) -> SampleLoop:
    """The innermost loop with most samples.

    Parameters
    ----------
    roundings
        How often a sample rounds.
    ceil
        Whether roundings are upwards; otherwise to the nearest.

    Raises
    ------
    ValueError
        If no loop has samples.
    """
    place = {instruction.label: number for number, instruction in enumerate(code) if instruction.label}
    best = SampleLoop([], 0, 0)
    for start, end in _innermost(code, place):
        body = _usual_path(code, place, start, end)
        rounded = sum(instruction.name.startswith("FRND") and (".CEIL" in instruction.name or not ceil)
                      for instruction in body)
        if rounded // roundings > best.samples:
            best = SampleLoop(body, rounded // roundings, end + 1 - start)
    if not best.samples:
        raise ValueError("no loop over samples in the listing")
    return best


def _usual_path(code: list[Instruction], place: dict[str, int], start: int, end: int) -> list[Instruction]:
    """The instructions of a loop without blocks that call a function: slow paths of divisions and square roots."""
    path, number = [], start
    while number <= end:
        instruction = code[number]
        path.append(instruction)
        after = place.get(instruction.target, 0) if instruction.name.startswith("BRA") else 0
        skipped = number < after <= min(end, number + _SLOW_PATH) and any(
            other.name.startswith("CALL") for other in code[number:after])
        number = after if skipped else number + 1
    return path


def warps(arch: int, block: int, registers: int, shared: int) -> int:
    """Warps that fit into a multiprocessor, by threads, blocks, registers and shared memory."""
    threads, blocks, bytes_shared = _LIMITS[arch]
    per_warp = -(-registers * 32 // 256) * 256
    in_block = -(-block // 32)
    by_registers = _REGISTERS // per_warp // in_block
    return in_block * min(threads // block, blocks, by_registers, bytes_shared // (shared + _RESERVED))


def row_of(nvrtc: Any, nvdisasm: str, variant: Any, arch: int) -> dict[str, Any]:
    """A line of the report for a variant."""
    from cubragg.crystallography.shapes import SHAPES
    from cubragg.device.cuda_device import NVRTC_OPTIONS
    from cubragg.device.kernel_source import kernel_text

    options = (*NVRTC_OPTIONS, *variant.defines(), f"-arch=sm_{arch}", "-ftz=true", "--ptxas-options=-v")
    compiled = nvrtc.compile(kernel_text(variant.shape), options)
    if compiled.status != 0:
        raise SystemExit(f"{label(variant)}: NVRTC cannot compile it:\n{compiled.log}")
    used = _USED.search(compiled.log)
    assert used is not None, compiled.log
    listing = disassembled(nvdisasm, compiled.code)
    # Without ceil() where whole numbers are floats; fringes round a turn of each axis, or of the radius.
    whole = variant.two_floats and variant.precision == "single"
    turns = {"square": 3, "round": 1, "nanobragg_round": 1}.get(variant.shape, 0)
    assert bool(turns) == SHAPES[variant.shape].fringes
    body, samples, size = sample_loop(instructions(listing, variant.entry), 3 + (turns if whole else 0), not whole)
    counts = Counter(instruction.kind for instruction in body)
    registers, shared = int(used["registers"]), int(used["shared"] or 0)
    resident = warps(arch, variant.block, registers, shared)
    return {"variant": label(variant), "arch": arch, "per_sample": len(body) / samples,
            "with_slow_paths": size / samples, "samples": samples,
            "classes": {kind: counts[kind] / samples for kind in (*_CLASSES, "integer")}, "registers": registers,
            "spill_stores": int(used["stores"]), "spill_loads": int(used["loads"]), "shared": shared,
            "warps": resident, "occupancy": resident * 32 / _LIMITS[arch][0]}


#: Roundings of a sample of the method analytic: of its exponentials.
_EXPONENTIALS = 3
#: Passes of the loop in the constants of a spot.
_PLACES = 9


def spot_rows(arch: int) -> list[dict[str, Any]]:
    """Lines of the report for the kernels of the method analytic."""
    from cubragg.engine.analytic import list_kernel, spot_kernel

    rows = []
    for precision in ("double", "single"):
        for entry, what in (("render_spots", "sample"), ("bound_spots", "box"), ("fill_spots", "constants")):
            file = "analytic.cu" if entry == "render_spots" else "spot_list.cu"
            made = (spot_kernel if entry == "render_spots" else list_kernel).cuda_defines(precision)
            code, used = _compiled(file, entry, made, arch)
            place = {one.label: number for number, one in enumerate(code) if one.label}
            loops = [_usual_path(code, place, *ends) for ends in _innermost(code, place)]
            if what == "sample":  # that of long paths with small changes has the fewest exponentials but those without
                body = max((loop for loop in loops if _roundings(loop) == _EXPONENTIALS), key=len)
            else:
                whole = _usual_path(code, place, 0, len(code) - 1)
                body = whole + (_PLACES - 1) * max(loops, key=len) if what == "constants" else whole
            counts = Counter(one.kind for one in body)
            rows.append({"what": what, "precision": precision, "arch": arch, "instructions": len(body),
                         **{kind: counts[kind] for kind in (*_CLASSES, "integer")},
                         "registers": int(used["registers"]), "spills": f"{used['stores']} / {used['loads']}",
                         "shared bytes": int(used["shared"] or 0)})
    return rows


def _compiled(file: str, entry: str, defines: tuple[str, ...], arch: int) -> tuple[list[Instruction], re.Match[str]]:
    """Instructions of an entry point of the method analytic, and what ptxas says of it."""
    from cubragg.device.cuda_device import NVRTC_OPTIONS
    from cubragg.device.kernel_source import kernel_text

    nvrtc, nvdisasm = tools()
    options = (*NVRTC_OPTIONS, *defines, f"-arch=sm_{arch}", "-ftz=true", "--ptxas-options=-v")
    compiled = nvrtc.compile(kernel_text("gauss", file), options)
    used = re.search(_USED.pattern.replace("(?:render|count)", entry), compiled.log, _USED.flags)
    assert used is not None, compiled.log
    return instructions(disassembled(nvdisasm, compiled.code), entry), used


def _innermost(code: list[Instruction], place: dict[str, int]) -> list[tuple[int, int]]:
    """First and last instruction of the innermost loops."""
    loops = [(place[one.target], number) for number, one in enumerate(code)
             if one.name.startswith("BRA") and place.get(one.target, number + 1) <= number]
    return [(start, end) for start, end in loops
            if not any((start, end) != other and start <= other[0] and other[1] <= end for other in loops)]


def _roundings(body: list[Instruction]) -> int:
    return sum(one.name.startswith("FRND") for one in body)


def spot_table(rows: list[dict[str, Any]]) -> str:
    """The lines of the method analytic as Markdown."""
    columns = [*rows[0]]
    return "\n".join([f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns),
                      *(f"| {' | '.join(str(row[name]) for name in columns)} |" for row in rows)])


def label(variant: Any) -> str:
    """Words for a variant, as ``square nearest single culled``."""
    return " ".join([variant.shape, variant.factors, variant.precision, *["two floats"] * variant.two_floats,
                     *["counted"] * variant.counted, *["culled {}x{}".format(*variant.tile)] * variant.culled])


def variants() -> list[Any]:
    """Variants of physical semantics; the shapes that only nanobragg semantics has are of that."""
    from cubragg.crystallography.shapes import SHAPES
    from cubragg.engine.cull_cost_model import TILES
    from cubragg.engine.variant import PRECISIONS, Variant

    made = []
    for shape, precision in product(SHAPES, reversed(PRECISIONS)):
        physical = "physical" in SHAPES[shape].semantics
        for factors in ("nearest", "tricubic") if shape == "square" else ("nearest",):
            made += [Variant(precision, shape, factors, physical=physical, running=False),
                     Variant(precision, shape, factors, physical=physical, running=False, culled=True,
                             tile=TILES["cuda"][0])]
            if shape == "gauss":
                made += [replace(variant, counted=True) for variant in made[-2:]]
        if SHAPES[shape].fringes and precision != "double":
            made.append(Variant(precision, shape, "nearest", physical=physical, running=False, two_floats=True))
    return made


def disassembled(nvdisasm: str, code: bytes) -> str:
    """nvdisasm's listing of a cubin."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        cubin.write_bytes(code)
        return subprocess.run([nvdisasm, "-c", cubin], check=True, capture_output=True, text=True).stdout


def tools() -> tuple[Any, str]:
    """NVRTC and nvdisasm.

    Raises
    ------
    SystemExit
        If one of them is not installed.
    """
    from support.nvrtc import Nvrtc, library_path

    library, nvdisasm = library_path(), nvdisasm_path()
    if library is None or nvdisasm is None:
        raise SystemExit(f"{'NVRTC' if library is None else 'nvdisasm'} is not installed; {_INSTALL}")
    return Nvrtc(library), nvdisasm


def report(archs: list[int], only: str) -> list[dict[str, Any]]:
    """Lines for the variants with a text in their label."""
    nvrtc, nvdisasm = tools()
    return [row_of(nvrtc, nvdisasm, variant, arch) for arch in archs for variant in variants()
            if only in label(variant)]


def nvdisasm_path() -> str | None:
    """nvdisasm of a wheel, or of the toolkit."""
    for folder in sys.path:
        for found in sorted(Path(folder, "nvidia").glob("*/bin/nvdisasm")):
            return str(found)
    toolkit = [Path(os.environ[name], "bin") for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    return shutil.which("nvdisasm", path=os.pathsep.join([*map(str, toolkit), os.environ.get("PATH", "")]))


def table(rows: list[dict[str, Any]], before: list[dict[str, Any]]) -> str:
    """The report as Markdown; where ``before`` has the same variant, its number is printed in front of an arrow."""
    old = {(row["variant"], row["arch"]): row for row in before}
    kinds = [*_CLASSES, "integer"]
    columns = ["variant", "sm", "instructions", "and slow paths", *kinds, "registers", "spills", "shared bytes",
               "warps", "occupancy"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        then = old.get((row["variant"], row["arch"]))

        def cell(form: str, *path: str, row: dict[str, Any] = row, then: dict[str, Any] | None = then) -> str:
            texts = []
            for source in (then, row):
                value: Any = source
                for name in path if source else ():
                    value = value[name]
                texts += [format(value, form)] if source else []
            return " -> ".join(dict.fromkeys(texts))

        cells = [row["variant"], str(row["arch"]), cell(".4g", "per_sample"),
                 cell(".4g", "with_slow_paths"),
                 *(cell(".3g", "classes", kind) for kind in kinds), cell("d", "registers"),
                 f"{cell('d', 'spill_stores')} / {cell('d', 'spill_loads')}", cell("d", "shared"), cell("d", "warps"),
                 cell(".0%", "occupancy")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, nargs="+", default=[80, 90], choices=sorted(_LIMITS), metavar="NN",
                        help=f"architectures, of {', '.join(map(str, sorted(_LIMITS)))} (default 80 90)")
    parser.add_argument("--only", default="", metavar="TEXT", help="variants whose label has this text")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON; - prints nothing else")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with another checkout")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="CHECKOUT", help="compile this checkout's kernels")
    parser.add_argument("--spots", action="store_true", help="the kernels of the method analytic")
    options = parser.parse_args()
    # The folder of this script has a module named as one of the standard library, profile.
    sys.path[0] = str(ROOT / "tests")
    sys.path.insert(0, str(options.root.resolve()))
    if options.spots:
        print(spot_table([row for arch in options.arch for row in spot_rows(arch)]))
        return 0
    before = []
    if options.against is not None:
        command = [sys.executable, __file__, "--root", options.against, "--json", "-", "--only", options.only, "--arch",
                   *map(str, options.arch)]
        before = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    rows = report(options.arch, options.only)
    text = json.dumps(rows, indent=1)
    if options.json == Path("-"):
        print(text)
        return 0
    print(table(rows, before))
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
