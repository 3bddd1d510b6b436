"""``cubragg simulate MODEL``: the image of ``cubragg sf`` and ``-hkl``, with the resolution of ``stills``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import cubragg as cb
from cubragg.io.atoms import read_model
from support.atoms import EXAMPLES
from support.messages import refused

QUARTZ = "-N 8 -lambda 0.9 -misset 10 20 30 -distance 40 -detpixels 60 -pixel 1 -seed 2 "


def floats(name: str) -> np.ndarray:
    return np.fromfile(name, np.float32)


@pytest.mark.requirement("AT-CLI-016")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_it_is_the_image_of_sf_and_hkl(run, folder, semantics):
    flags = f"{QUARTZ}--semantics {semantics} -oversample 2 --quiet "
    assert run("sf quartz.cif --dmin 1.2 -lambda 0.9 -o F.hkl --quiet").exit_code == 0
    lines = Path("F.hkl").read_text().splitlines(keepends=True)
    # 0 0 0, which sf writes, is in the direct beam
    Path("F.hkl").write_text("".join(one for one in lines if one.split()[:3] != ["0", "0", "0"]))
    cell = " ".join(f"{number:g}" for number in read_model(EXAMPLES / "quartz.cif").cell)
    assert run(f"{flags}-hkl F.hkl -cell {cell} -dmin 1.2 -floatfile a.bin").exit_code == 0
    assert run(f"simulate quartz.cif {flags}-dmin 1.2 -floatfile b.bin").exit_code == 0
    expected = floats("a.bin")
    assert expected.max() > 0.0
    np.testing.assert_allclose(floats("b.bin"), expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.requirement("AT-CLI-016")
def test_resolution_solvent_and_dispersion_are_those_of_stills(run, folder):
    line = "helix_bundle.pdb -lambda 1.1 --distance 80 -detpixels 40 -pixel 3 "
    image = run(f"simulate {line}-N 4 -floatfile a.bin")
    stills = run(f"stills {line}-n 1 -o set --workers 1 --truth none")
    assert (image.exit_code, stills.exit_code) == (0, 0)
    shown = [next(text for text in result.stderr.splitlines() if text.startswith("structure factors:"))
             for result in (image, stills)]
    assert shown[0] == shown[1]
    near, far = (1.1 / (2.0 * np.sin(np.arctan(edge * np.sqrt(2.0) / 80.0) / 2.0)) for edge in (57.0, 63.0))
    assert far < float(shown[0].split(" to ")[1].split()[0]) < near  # Bragg's law at the corner, within a pixel
    for word in ("helix_bundle.pdb", "0.35 electrons/A^3", "f' and f'' at 1.1 A", "--dmin"):
        assert word in shown[0]


def test_a_cell_of_flags_is_kept_with_a_warning(run, folder):
    result = run(f"simulate quartz.cif {QUARTZ}-cell 5 5 5.5 90 90 120 -floatfile a.bin")
    assert result.exit_code == 0
    assert "warning: -cell: the crystal has the cell 5 5 5.5 90 90 120, not" in result.stderr


def test_a_list_of_reflections_is_hkl(run, inputs):
    flags = "-cell 50 60 70 80 90 100 -N 5 -lambda 6.2 -distance 100 -detpixels 12 -pixel 1 --quiet "
    assert run(f"simulate P1.hkl {flags}-floatfile a.bin").exit_code == 0
    assert run(f"-hkl P1.hkl {flags}-floatfile b.bin").exit_code == 0
    assert floats("a.bin").any()
    np.testing.assert_array_equal(floats("a.bin"), floats("b.bin"))


def test_a_dump_beside_it_is_left_alone(run, folder):
    """Of a C program's run without -hkl the dump is read; with a MODEL it is not."""
    assert run("-hkl F.hkl -cell 50 -N 3 -detpixels 8").exit_code == 2
    Path("Fdump.bin").write_bytes(b"no dump")
    result = run(f"simulate quartz.cif {QUARTZ}-floatfile a.bin")
    assert result.exit_code == 0
    assert "Fdump" not in result.stderr


@pytest.mark.requirement("AT-CLI-016", "AT-CLI-017")
def test_the_saved_experiment_names_the_atoms(run, folder):
    shutil.copy(EXAMPLES / "quartz.cif", "my.cif")
    (folder / "sub").mkdir()
    assert run(f"simulate my.cif {QUARTZ}--semantics physical -floatfile a.bin --save a.npy --save-config sub/e.toml "
               "--quiet").exit_code == 0
    text = Path("sub/e.toml").read_text()
    assert 'model_file = "../my.cif"' in text
    assert "zlib" not in text
    assert run("--config sub/e.toml -floatfile b.bin --save b.npy --save-config f.toml --quiet").exit_code == 0
    for ending in ("bin", "npy"):
        assert Path(f"a.{ending}").read_bytes() == Path(f"b.{ending}").read_bytes()
    image = cb.simulate(cb.read("f.toml"))
    np.testing.assert_array_equal(image.photons.ravel(), floats("a.bin"))
    # the atoms' f' and f'' are those of another wavelength
    assert "at 1.5 A" in run("--config f.toml -lambda 1.5 -floatfile c.bin").stderr
    Path("my.cif").write_text(Path("my.cif").read_text() + "# changed\n")
    refused(run("--config f.toml -floatfile c.bin"), 2, "f.toml: structure_factors.model_file", "'my.cif'", "SHA-256")
    assert run("simulate my.cif --config f.toml -floatfile c.bin").exit_code == 0


def test_the_space_group_of_a_flag(run, folder):
    """In P 1 one asymmetric unit of the four scatters, and 1 0 0 is present."""
    flags = "simulate helix_bundle.pdb -N 3 -distance 100 -detpixels 20 -pixel 5 -oversample 1 -floatfile "
    assert run(f"{flags}a.bin").exit_code == run(f"{flags}b.bin --space-group 19").exit_code == 0
    assert run(f"{flags}c.bin --space-group 1 --save-config e.toml").exit_code == 0
    np.testing.assert_array_equal(floats("a.bin"), floats("b.bin"))
    assert floats("c.bin").sum() < 0.5 * floats("a.bin").sum()
    assert run("--config e.toml -floatfile d.bin").exit_code == 0
    np.testing.assert_array_equal(floats("c.bin"), floats("d.bin"))


@pytest.mark.parametrize(("line", "says"), [
    ("none.pdb -N 5", ("MODEL", "'none.pdb'", "no such file")),
    ("e.toml -N 5", ("MODEL", "'e.toml'", "--config")),
    ("i.img -N 5", ("MODEL", "'i.img'", "--from")),
    ("quartz.cif -hkl P1.hkl -N 5", ("-hkl", "'P1.hkl'", "quartz.cif")),
    ("quartz.cif -N 5 -dmin 0.1", ("--dmin", "0.1 A", "0.2 A")),
    ("bad.pdb -N 5", ("bad.pdb", "", "no atoms")),
])
def test_what_is_no_model(run, inputs, line, says):
    (inputs / "e.toml").write_text("[beam]\nflux = 1e12\n")
    (inputs / "bad.pdb").write_text("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 1\n")
    result = run(f"simulate {line} -floatfile a.bin")
    refused(result, result.exit_code, *says)
    assert result.exit_code in (1, 2)
    assert not Path("a.bin").exists()


@pytest.mark.parametrize("line", ["simulate -N 5 m.pdb", "m.pdb -N 5"])
def test_a_model_elsewhere_is_shown_its_place(run, folder, line):
    Path("m.pdb").write_text("")
    refused(run(line), 2, "'m.pdb'", "", "cubragg simulate")
