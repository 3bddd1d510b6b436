"""``--log nanobragg``: the text that nanoBragg.c prints, compared with its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import SMALL

#: Command line, then what the C program printed, without its progress: nanoBragg.c of 2023, gcc -O3.
STORED = Path(__file__).resolve().parents[1] / "data" / "printout"
SCENE = "-cell 100 100 100 90 90 90 -lambda 6.2 -N 5 -distance 100 -pixel 0.5 -detpixels 12 -seed 1 "
LINES = [
    "-default_F 100 -xds -phi 3 -osc 1 -phisteps 3", "-default_F 100 -mosaic 1 -hdivrange 2 -dispersion 2 -dispsteps 3",
    "-hkl P1.hkl -mat A.mat", "-hkl P1.hkl -default_F 7 -interpolate -N 2 -dump d.bin",
    "-default_F 9 -sourcefile s.txt",
    "-default_F 100 -detector_thick 100 -detector_abs 50 -thicksteps 3 -oversample 2 -oversample_omega",
    "-default_F 100 -curved_det -point_pixel -nonoise -nopgm -dials -twotheta 5", "-default_F 100 -mask m.img",
    "-default_F 100 -adxv -detector_rotx 3 -Xbeam 2 -gauss_xtal -mosaic_domains 3 -misset random -misset_seed 7",
    "-default_F 100 -beam_vector 1 0.1 0 -tophat_spots -fluence 1e28 -polar 0.9 -scale 3 -pgmscale 2"]


def without_progress(text: str) -> list[str]:
    """Lines without those that depend on the moment."""
    left_out = ("% done", "for three point interpolation", "further warnings", "mmap(")
    return [line for line in text.split("\n") if not any(part in line for part in left_out)]


def written_hkl(folder: Path) -> None:
    indices = itertools.product(range(-4, 5), repeat=3)
    (folder / "P1.hkl").write_text("".join(f"{h} {k} {m} {10 + h + 2 * k + 3 * m}\n" for h, k, m in indices))


@pytest.mark.requirement("AT-CLI-015")
@pytest.mark.parametrize("name", ["list", "spread"])
def test_stored_text_of_the_c_program(name, run, folder):
    written_hkl(folder)
    line, text = (STORED / f"{name}.txt").read_text().split("\n", 1)
    result = run(f"{line} --log nanobragg --noise-rng reference")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == text.splitlines()
    assert all(line.startswith("warning: ") for line in result.stderr.splitlines())


@pytest.mark.requirement("AT-CLI-015")
@pytest.mark.c_program
@pytest.mark.parametrize("line", LINES)
def test_text_of_the_c_program(line, run, inputs, tmp_path_factory):
    written_hkl(inputs)
    arguments = [*SCENE.split(), *line.split()]
    done = subprocess.run([os.environ["NB_C_BIN"], *arguments], capture_output=True, text=True, check=True)
    for name in ("Fdump.bin", "d.bin"):
        Path(name).unlink(missing_ok=True)
    result = run([*arguments, "--log", "nanobragg", "--noise-rng", "reference"])
    assert without_progress(result.stdout) == without_progress(done.stdout)


@pytest.mark.requirement("AT-CLI-015")
def test_the_name_of_the_program(run, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/nanoBragg"])
    assert run(f"{SMALL} -floatfile a.bin").stdout.startswith("nanoBragg nanocrystal diffraction simulator")
    summary = run(f"{SMALL} -floatfile a.bin --log summary")
    assert (summary.stdout, summary.stderr.splitlines()[-1].split()) == ("", ["files", "a.bin"])
    assert run(f"{SMALL} -floatfile a.bin --quiet").output == ""


def test_a_series_has_the_end_of_each_image(run):
    printed = run(f"{SMALL} -osc 1 --images 3 -floatfile a.bin --log nanobragg").stdout
    assert printed.count("mosflm convention selected.") == 1
    assert [line for line in printed.splitlines() if line.startswith("writing ")] == [
        f"writing a_000{number}.bin as 144 4-byte floats" for number in (1, 2, 3)]
    assert printed.count("max_I = ") == 3
