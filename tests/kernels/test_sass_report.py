"""`scripts/sass_report.py`: instructions per sample from nvdisasm's listings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.nvrtc import installed

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sass_report.py"
sys.path.append(str(SCRIPT.parent))

import sass_report  # noqa: E402

#: Two samples a pass and a division with a slow path, after a loop without samples; another entry before it.
LISTING = """\
	.section	.text.find_outside,"ax",@progbits
.L_x_9:
        /*0000*/                   FRND.CEIL R1, R2 ;
        /*0010*/              @!P0 BRA `(.L_x_9) ;
	.section	.text.render,"ax",@progbits
.text.render:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   DADD R2, R2, R4 ;
        /*0020*/              @!P0 BRA `(.L_x_0) ;
.L_x_1:
        /*0030*/                   LDS.128 R4, [R17+0x24] ;
        /*0040*/                   FRND.FTZ.CEIL R16, R16 ;
        /*0050*/                   FRND.FTZ.CEIL R17, R16 ;
        /*0060*/                   FRND.FTZ.CEIL R18, R16 ;
        /*0070*/                   FRND R19, R16 ;
        /*0080*/                   FRND.FTZ.CEIL R16, R16 ;
        /*0090*/                   FRND.FTZ.CEIL R17, R16 ;
        /*00a0*/                   FRND.FTZ.CEIL R18, R16 ;
        /*00b0*/                   MUFU.RCP R37, R37 ;
        /*00c0*/               @P0 BRA `(.L_x_2) ;
        /*00d0*/                   MOV R1, R2 ;
        /*00e0*/                   CALL.REL.NOINC `($render$slow) ;
.L_x_2:
        /*00f0*/                   FFMA.FTZ R21, R37, R16, R21 ;
        /*0100*/              @!P0 BRA `(.L_x_1) ;
        /*0110*/                   EXIT ;
.L_x_3:
        /*0120*/                   BRA `(.L_x_3);
        /*0130*/                   NOP;
"""


@pytest.mark.requirement("AT-PERF-011")
def test_loop_of_a_listing():
    loop = sass_report.sample_loop(sass_report.instructions(LISTING), 3, ceil=True)
    assert loop.samples == 2
    assert loop.size == 14
    assert [instruction.kind for instruction in loop.body] == [
        "shared", *["convert"] * 7, "MUFU", "branch", "FP32", "branch"]


def test_no_loop_over_samples():
    with pytest.raises(ValueError, match="no loop"):
        sass_report.sample_loop(sass_report.instructions(LISTING.replace("CEIL", "FLOOR")), 3, ceil=True)


@pytest.mark.parametrize(("arch", "block", "registers", "shared", "expected"), [
    # By hand, with the rules of NVIDIA's occupancy calculator.
    (90, 128, 64, 3840, 32),  # 64 registers x 128 threads: 8 blocks in 65536 registers
    (90, 64, 128, 6320, 16),
    (80, 128, 32, 0, 64),  # by threads
    (80, 64, 32, 40000, 8),  # 4 blocks of 41024 bytes in 164 KiB
    (75, 32, 32, 0, 16),  # 16 blocks
])
def test_warps_of_a_multiprocessor(arch, block, registers, shared, expected):
    assert sass_report.warps(arch, block, registers, shared) == expected


@pytest.mark.slow
def test_report_of_spots():
    """A sample in single precision has no arithmetic in double precision, and none spills."""
    installed()
    if sass_report.nvdisasm_path() is None:
        pytest.skip("nvdisasm is not installed; pip install nvidia-cuda-nvdisasm")
    done = subprocess.run([sys.executable, SCRIPT, "--spots", "--arch", "90"], check=True, stdout=subprocess.PIPE,
                          text=True)
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    rows = {(row["what"], row["precision"]): row for row in (dict(zip(header, line, strict=True)) for line in lines)}
    assert len(rows) == 6
    assert int(rows["sample", "single"]["FP64"]) == int(rows["sample", "double"]["local"]) == 0
    assert int(rows["sample", "double"]["FP64"]) > 300  # three exponentials, two polynomials of degree 20


@pytest.mark.slow
def test_report_of_a_variant(tmp_path):
    """The loop of the square shape has one approximate reciprocal a sample, and reads one structure factor."""
    installed()
    if sass_report.nvdisasm_path() is None:
        pytest.skip("nvdisasm is not installed; pip install nvidia-cuda-nvdisasm")
    file = tmp_path / "report.json"
    subprocess.run([sys.executable, SCRIPT, "--only", "square nearest single", "--arch", "90", "--json", file],
                   check=True, stdout=subprocess.DEVNULL)
    rows = json.loads(file.read_text())
    assert {row["variant"] for row in rows} == {"square nearest single", "square nearest single culled 8x8",
                                                "square nearest single two floats"}
    for row in rows:
        assert (row["classes"]["MUFU"], row["classes"]["global"], row["classes"]["FP64"]) == (1, 1, 0)
        assert row["per_sample"] == pytest.approx(sum(row["classes"].values()))


@pytest.mark.slow
@pytest.mark.requirement("AT-NOISE-008")
@pytest.mark.parametrize("precision", ["single", "mixed"])
def test_counting_adds_nothing_to_the_loop(tmp_path, precision):
    """Kernels that count spill outside of the loop over samples, which has the instructions of those that do not."""
    installed()
    if sass_report.nvdisasm_path() is None:
        pytest.skip("nvdisasm is not installed; pip install nvidia-cuda-nvdisasm")
    file = tmp_path / "report.json"
    subprocess.run([sys.executable, SCRIPT, "--only", f"gauss nearest {precision}", "--arch", "90", "--json", file],
                   check=True, stdout=subprocess.DEVNULL)
    rows = {row["variant"]: row for row in json.loads(file.read_text())}
    for culled in ("", " culled 8x8"):
        plain, counted = (rows[f"gauss nearest {precision}{what}{culled}"] for what in ("", " counted"))
        assert counted["classes"] == plain["classes"]
        assert (counted["classes"]["local"], counted["registers"]) == (0, plain["registers"])
