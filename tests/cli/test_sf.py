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
from support.messages import mentioned, refused, states, warned

EXAMPLES = Path(cubragg.__file__).parent / "examples"
QUARTZ, HELICES = str(EXAMPLES / "quartz.cif"), str(EXAMPLES / "helix_bundle.pdb")
SMALL = "-N 5 -lambda 0.7 -detpixels 24 -pixel 4 -distance 60 -misset 10 20 30 -oversample 1 -nointerpolate"


@pytest.fixture
def quartz(run) -> Path:
    assert run(f"sf {QUARTZ} -o Q.mtz --dmin 0.7 --quiet").exit_code == 0
    return Path("Q.mtz")


@pytest.mark.requirement("AT-STR-016")
def test_both_files_give_the_same_image(run, quartz):
    result = run(f"sf {QUARTZ} -o Q.hkl --dmin 0.7")
    assert (result.exit_code, result.stdout) == (0, "")
    assert mentioned(result.stderr.splitlines(), "-cell 4.916 4.916 5.4054 90 90 120")
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


def test_a_model_of_the_package_is_found_by_its_name_unless_there_is_such_a_file(run):
    result = run("sf quartz.cif -o Q.hkl --dmin 2")
    assert (result.exit_code, QUARTZ in result.stderr) == (0, True)
    refused(run("sf examples/quartz.cif -o Q.hkl --dmin 2"), 2, "MODEL", "examples/quartz.cif", "no such file")
    Path("quartz.cif").write_text(Path(QUARTZ).read_text().replace("5.4054", "5.5"))
    result = run("sf quartz.cif -o Q.hkl --dmin 2")
    assert (result.exit_code, "-cell 4.916 4.916 5.5 90 90 120" in result.stderr) == (0, True)


@pytest.mark.requirement("AT-STR-016")
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
    source, = found.provenance_lines
    states(source, "H.mtz", taken, "|F|", "P 21 21 21", f"{len(factors.hkl) - 1}", "unique reflections")
    assert found.warnings == ()


def test_the_cell_comes_from_the_file(quartz):
    job = build(parse(f"-hkl Q.mtz {SMALL}".split()))
    assert job.experiment.crystal.cell == pytest.approx((4.916, 4.916, 5.4054, 90.0, 90.0, 120.0), rel=1e-6)
    assert not mentioned(job.warnings, "", "", "cell")


@pytest.mark.requirement("AT-STR-006")
@pytest.mark.parametrize(("flags", "says"), [
    ("-cell 4.916 4.916 5.4054 90 90 120", None),
    ("-cell 5 5 5.4054 90 90 120", ("-cell", "5 5 5.4054 90 90 120")), ("-mat A.mat", ("-mat", "10 10 10 90 90 90"))])
def test_a_cell_of_the_command_line_is_kept(quartz, flags, says):
    Path("A.mat").write_text("0.07 0 0\n0 0.07 0\n0 0 0.07\n")
    job = build(parse(f"-hkl Q.mtz {SMALL} {flags}".split()))
    found = [warning for warning in job.warnings if mentioned([warning], "", "", "cell")]
    assert len(found) == (says is not None)
    for warning in found:
        states(warning, *says, "cell", "4.916 4.916 5.4054 90 90 120", "Q.mtz")


@pytest.mark.requirement("AT-STR-011")
def test_missing_reflections_on_stderr_unless_quiet(run, quartz):
    mtz = gemmi.read_mtz_file("Q.mtz")
    mtz.set_data(np.delete(np.array(mtz.array), [5, 6, 7], axis=0))
    mtz.write_to_file("part.mtz")
    result = run(f"-hkl part.mtz {SMALL} -floatfile f.bin")
    assert mentioned(result.stderr.splitlines(), "part.mtz", "3 of 150", "unique reflections", "missing", "default_F")
    assert not warned(result.stderr, "part.mtz")
    assert run(f"-hkl part.mtz {SMALL} -floatfile f.bin --quiet").stderr == ""


@pytest.mark.requirement("AT-STR-016", "AT-TOOLS-006")
@pytest.mark.parametrize(("line", "status", "says"), [
    (f"sf {QUARTZ} --dmin 2", 2, ("-o", "", "missing")),
    (f"sf {QUARTZ} -o a.hkl", 2, ("--dmin", "", "missing")),
    (f"sf {QUARTZ} -o a.txt --dmin 2", 2, ("-o", "a.txt", ".hkl", ".mtz")),
    (f"sf {QUARTZ} -o a.hkl --dmin x", 2, ("--dmin", "x", "number")),
    (f"sf {QUARTZ} -o a.hkl --dmin 0", 2, ("--dmin", "0 A", "0.2 A")),
    (f"sf {QUARTZ} -o a.hkl --dmin 99", 2, ("--dmin", "99 A", "reflection", "cell")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -lambda 1 -energy 5000", 2,
     ("-energy", "-lambda", "one")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -energy 0", 2, ("-energy", "0 eV", "energy")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --k-sol -1", 2,
     ("--k-sol", "-1 electrons/A^3", "density of the solvent")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --foo", 2, ("--foo", "", "cubragg sf --help")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 -lamda 1.5", 2, ("-lamda", "", "-lambda")),
    (f"sf {QUARTZ} b.cif -o a.hkl --dmin 2", 2, ("b.cif", "", "unexpected")),
    (f"sf {QUARTZ} -o a.hkl --dmin 2 --no-solvent --k-sol 0.3", 2,
     ("--no-solvent", "--k-sol", "one")),
    ("sf -o a.hkl --dmin 2", 2, ("MODEL", "", "missing")),
    ("sf none.pdb -o a.hkl --dmin 2", 2, ("MODEL", "none.pdb", "no such file")),
    ("sf empty.pdb -o a.hkl --dmin 2", 1, ("empty.pdb", "", "no atoms")),
    (f"sf {QUARTZ} -o no/a.hkl --dmin 2", 1, ("-o", "no/a.hkl", "No such file")),
    (f"-hkl Q.mtz --column FP {SMALL}", 1, ("--column", "FP", "Q.mtz", "F(+), F(-)")),
    (f"-hkl none.mtz {SMALL}", 2, ("-hkl", "none.mtz", "no such file")),
    (f"-hkl {QUARTZ} {SMALL}", 1,
     (QUARTZ, "", "no reflections", "model", "cubragg sf")),
    (f"compare --c-bin nanoBragg -hkl Q.mtz {SMALL}", 1,
     ("-hkl", "Q.mtz", "-dump F.bin")),
])
def test_faults(run, quartz, line, status, says):
    Path("empty.pdb").write_text("HEADER\n")
    refused(run(line), status, *says)
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
    refused(run("sf m.hkl -o m.hkl --dmin 1"), 2, "-o", "m.hkl", "model")
    assert Path("m.hkl").read_bytes() == Path(QUARTZ).read_bytes()


def test_column_without_a_list():
    job = build(parse(["-default_F", "1", "-cell", "50", "--column", "FC"]))
    assert mentioned(job.warnings, "--column", "", "effect", "-hkl")


def test_help(run):
    for line in ("sf -h", "sf --help", "sf x --dmin -h"):
        result = run(line)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: cubragg sf [OPTIONS] MODEL\n")
    assert run("sf").exit_code == 2
