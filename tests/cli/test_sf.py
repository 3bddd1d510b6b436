"""``cubragg sf``, and ``-hkl`` with what it writes and with other files."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

import cubragg
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.io.atoms import read_model
from cubragg.io.images.raw import read_float
from cubragg.io.reflections.hkl import read_hkl
from cubragg.io.reflections.read import read_reflections

EXAMPLES = Path(cubragg.__file__).parent / "examples"
QUARTZ, HELICES = str(EXAMPLES / "quartz.cif"), str(EXAMPLES / "helix_bundle.pdb")
SMALL = "-N 5 -lambda 0.7 -detpixels 24 -pixel 4 -distance 60 -misset 10 20 30 -oversample 1 -nointerpolate"


@pytest.fixture
def quartz(run) -> Path:
    assert run(f"sf {QUARTZ} -o Q.mtz --dmin 0.7 --quiet").exit_code == 0
    return Path("Q.mtz")


def test_both_files_give_the_same_image(run, quartz):
    result = run(f"sf {QUARTZ} -o Q.hkl --dmin 0.7")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "-cell 4.916 4.916 5.4054 90 90 120\n" in result.stderr
    assert run(f"-hkl Q.mtz {SMALL} -floatfile m.bin --quiet").exit_code == 0
    assert run(f"-hkl Q.hkl -cell 4.916 4.916 5.4054 90 90 120 {SMALL} -floatfile h.bin --quiet").exit_code == 0
    one, other = read_float("m.bin", (24, 24)), read_float("h.bin", (24, 24))
    assert one.max() > 0.0
    # Four decimals in text, seven digits in MTZ.
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * one.max())


def test_the_list_is_the_one_of_the_function(run):
    run(f"sf {HELICES} -o H.hkl --dmin 5 -energy 12658 --k-sol 0.4 --b-sol 60")
    listed = read_hkl("H.hkl")
    factors = structure_factors(read_model(HELICES), 5.0, wavelength_A=12398.42 / 12658.0, k_sol=0.4, b_sol=60.0)
    hkl, amplitudes = factors.expanded().rows()
    np.testing.assert_array_equal(listed.hkl, hkl)
    np.testing.assert_allclose(listed.amplitudes, amplitudes, atol=6e-5)


@pytest.mark.parametrize(("flags", "columns"), [
    ("--wavelength 1.5", "H K L F(+) PHI(+) F(-) PHI(-)"), ("--no-anomalous", "H K L FC PHIC")])
def test_columns_of_the_mtz(run, flags, columns):
    assert run(f"sf {HELICES} -o H.mtz --dmin 6 {flags}").exit_code == 0
    calculated = flags == "--no-anomalous"
    mtz = gemmi.read_mtz_file("H.mtz")
    assert (mtz.column_labels(), mtz.spacegroup.hm) == (columns.split(), "P 21 21 21")
    factors = structure_factors(read_model(HELICES), 6.0, wavelength_A=1.0 if calculated else 1.5,
                                anomalous=not calculated)
    table = np.array(mtz.array)
    np.testing.assert_array_equal(table[:, :3], factors.hkl)
    np.testing.assert_allclose(table[:, 3] * np.exp(1j * np.radians(table[:, 4])), factors.plus, rtol=1e-5, atol=1e-2)
    found = read_reflections("H.mtz")
    taken = "FC" if calculated else "F(+), F(-)"
    told, = found.provenance_lines
    assert told.startswith(f"H.mtz: |F| from {taken}; space group P 21 21 21, {len(factors.hkl) - 1} unique "
                           "reflections to ")
    assert found.warnings == ()


def test_the_cell_comes_from_the_file(quartz):
    job = build(parse(f"-hkl Q.mtz {SMALL}".split()))
    assert job.experiment.crystal.cell == pytest.approx((4.916, 4.916, 5.4054, 90.0, 90.0, 120.0), rel=1e-6)
    assert [warning for warning in job.warnings if "cell" in warning] == []


@pytest.mark.parametrize(("flags", "told"), [
    ("-cell 4.916 4.916 5.4054 90 90 120", []),
    ("-cell 5 5 5.4054 90 90 120",
     ["-cell: the crystal has the cell 5 5 5.4054 90 90 120, not 4.916 4.916 5.4054 90 90 120 of Q.mtz"]),
    ("-mat A.mat", ["-mat: the crystal has the cell 10 10 10 90 90 90, not 4.916 4.916 5.4054 90 90 120 of Q.mtz"])])
def test_a_cell_of_the_command_line_stands(quartz, flags, told):
    Path("A.mat").write_text("0.07 0 0\n0 0.07 0\n0 0 0.07\n")
    job = build(parse(f"-hkl Q.mtz {SMALL} {flags}".split()))
    assert [warning for warning in job.warnings if "has the cell" in warning] == told


def test_missing_reflections_on_stderr_unless_quiet(run, quartz):
    mtz = gemmi.read_mtz_file("Q.mtz")
    mtz.set_data(np.delete(np.array(mtz.array), [5, 6, 7], axis=0))
    mtz.write_to_file("part.mtz")
    result = run(f"-hkl part.mtz {SMALL} -floatfile f.bin")
    assert "\nfrom part.mtz: 3 of 150 unique reflections are missing and get default_F\n" in result.stderr
    assert "warning: part.mtz" not in result.stderr
    assert run(f"-hkl part.mtz {SMALL} -floatfile f.bin --quiet").stderr == ""


@pytest.mark.parametrize(("line", "status", "message"), [
    (f"sf {QUARTZ} --dmin 2", 2, ("Missing option", "'-o'")),
    (f"sf {QUARTZ} -o a.hkl", 2, ("Missing option", "'--dmin'")),
    (f"sf {QUARTZ} -o a.txt --dmin 2", 2, "-o: got 'a.txt'; a name ending in .hkl or .mtz is accepted"),
    (f"sf {QUARTZ} -o a.hkl --dmin x", 2, ("'--dmin'", "'x'", "float")),
    (f"sf {QUARTZ} -o a.hkl --dmin 0", 2, "--dmin: got 0 A; the resolution must be >= 0.2 A"),
    (f"sf {QUARTZ} -o a.hkl --dmin 99", 2, "--dmin: got 99 A, which is coarser than every "
     "reflection of this cell; a finer resolution is accepted"),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -lambda 1 -energy 5000", 2,
     "-energy: got -lambda as well; one of them is accepted"),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -energy 0", 2, "-energy: got 0 eV; the energy must be > 0 eV"),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --k-sol -1", 2,
     "--k-sol: got -1 electrons/A^3; the density of the solvent must be >= 0 electrons/A^3"),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --foo", 2, "No such option '--foo'. 'cubragg sf --help' lists them all."),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -lamda 1.5", 2, "No such option '-lamda'. Did you mean '-lambda'?"),
    (f"sf {QUARTZ} b.cif -o a.hkl --dmin 2", 2, ("unexpected extra argument", "b.cif")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --no-solvent --k-sol 0.3", 2,
     "--no-solvent: got --k-sol as well; one of them is accepted"),
    ("sf -o a.hkl --dmin 2", 2, ("Missing argument", "MODEL")),
    ("sf none.pdb -o a.hkl --dmin 2", 2, "MODEL: got 'none.pdb'; there is no such file"),
    ("sf empty.pdb -o a.hkl --dmin 2", 1, "empty.pdb: contains no atoms"),
    (f"sf {QUARTZ} -o no/a.hkl --dmin 2", 1, "-o: cannot write 'no/a.hkl': No such file or directory"),
    (f"-hkl Q.mtz --column FP {SMALL}", 1, "--column: got 'FP'; Q.mtz contains F(+), F(-)"),
    (f"-hkl none.mtz {SMALL}", 2, "-hkl: got 'none.mtz'; there is no such file"),
    (f"-hkl {QUARTZ} {SMALL}", 1,
     f"{QUARTZ}: contains atoms and no reflections; compute structure factors with 'cubragg sf MODEL "
     "--dmin 2 -o F.mtz'"),
    (f"compare --c-bin nanoBragg -hkl Q.mtz {SMALL}", 1,
     ("-hkl", "'Q.mtz'", "-dump F.bin")),
])
def test_faults(run, quartz, line, status, message):
    Path("empty.pdb").write_text("HEADER\n")
    result = run(line)
    assert result.exit_code == status
    if isinstance(message, str):
        assert result.stderr == f"Error: {message}\n"
    error, = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert all(part in error for part in message)
    assert not Path("a.hkl").exists()


def test_one_dash_or_two(run):
    for number, line in enumerate(("-o {} --dmin 2 -energy 8000 --quiet --k-sol 0.3",
                                   "--output {} -dmin 2 --energy 8000 -quiet -k-sol 0.3",
                                   "-output={} --dmin=2 -wave 1.5498025 --quiet --k-sol=0.3")):
        assert run(f"sf {QUARTZ} {line.format(f'{number}.hkl')}").exit_code == 0
    first, second, third = (Path(f"{number}.hkl").read_text() for number in range(3))
    assert first == second == third


def test_the_model_is_not_overwritten(run):
    Path("m.hkl").write_bytes(Path(QUARTZ).read_bytes())
    result = run("sf m.hkl -o m.hkl --dmin 1")
    assert result.stderr == "Error: -o: got 'm.hkl', which is MODEL itself; every file needs its own name\n"
    assert Path("m.hkl").read_bytes() == Path(QUARTZ).read_bytes()


def test_column_without_a_list():
    job = build(parse(["-default_F", "1", "-cell", "50", "--column", "FC"]))
    assert "--column has no effect: there is no -hkl" in job.warnings


def test_help(run):
    for line in ("sf -h", "sf --help", "sf x --dmin -h"):
        result = run(line)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: cubragg sf [OPTIONS] MODEL\n")
    assert run("sf").exit_code == 2
