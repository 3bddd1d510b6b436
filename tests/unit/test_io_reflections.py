"""Reflection files of every kind: what is read, warnings, errors."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.io.reflections.hkl import read_hkl
from cubragg.io.reflections.read import list_kind, read_reflections, shell_table
from support.messages import refusal, states

CELL = (20.0, 24.0, 30.0, 90.0, 90.0, 90.0)
GROUP = "P 21 21 21"
HKL = gemmi.make_miller_array(gemmi.UnitCell(*CELL), gemmi.SpaceGroup(GROUP), 4.0)
CENTRIC = gemmi.SpaceGroup(GROUP).operations().centric_flag_array(HKL)
RNG = np.random.default_rng(8)
PLUS = RNG.uniform(10.0, 90.0, len(HKL)).round(2)
MINUS = np.where(CENTRIC, PLUS, RNG.uniform(10.0, 90.0, len(HKL)).round(2))
CIF_HEAD = """data_{name}
_cell{m}length_a {cell[0]}(3)
_cell{m}length_b {cell[1]}
_cell{m}length_c {cell[2]}
_cell{m}angle_alpha 90
_cell{m}angle_beta 90
_cell{m}angle_gamma 90
"""
MMCIF = CIF_HEAD.format(name="r1abcsf", m=".", cell=CELL) + "_symmetry.space_group_name_H-M 'P 21 21 21'\n"
SMALL = CIF_HEAD.format(name="small", m="_", cell=CELL) + (
    "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x+1/2,-y,z+1/2'\n'-x,y+1/2,-z+1/2'\n'x+1/2,-y+1/2,-z'\n")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Messages have short names."""
    monkeypatch.chdir(tmp_path)


def mtz(path: str = "a.mtz", hkl: np.ndarray = HKL, **columns: tuple[str, np.ndarray]) -> str:
    file = gemmi.Mtz(with_base=True)
    file.spacegroup = gemmi.SpaceGroup(GROUP)
    file.add_dataset("d")
    file.set_cell_for_all(gemmi.UnitCell(*CELL))
    for name, (kind, _) in columns.items():
        file.add_column({"Fp": "F(+)", "Fm": "F(-)", "Ip": "I(+)", "Im": "I(-)"}.get(name, name), kind)
    file.set_data(np.column_stack([hkl, *(values for _, values in columns.values())]).astype(np.float32))
    file.write_to_file(path)
    return path


def loop(mark: str, **columns: np.ndarray) -> str:
    head = "".join(f"_refln{mark}{name}\n" for name in ("index_h", "index_k", "index_l", *columns))
    rows = [" ".join(["{} {} {}".format(*index), *("?" if np.isnan(v) else f"{v:.2f}(2)" for v in row)])
            for index, row in zip(HKL, np.column_stack(list(columns.values())), strict=True)]
    return f"loop_\n{head}" + "\n".join(rows) + "\n"


def hklf(hkl: np.ndarray, values: np.ndarray, end: str = "   0   0   0    0.00    0.00   0\n") -> str:
    return "".join("{:4d}{:4d}{:4d}{:8.2f}{:8.2f}{:4d}\n".format(*index, value, 0.1, 1)
                   for index, value in zip(hkl, values, strict=True)) + end


def amplitudes(path: str, column: str | None = None) -> dict[tuple[int, ...], float]:
    found = read_reflections(path, column)
    return dict(zip(map(tuple, found.hkl.tolist()), found.amplitudes.tolist(), strict=True))


def check(path: str, plus: np.ndarray, minus: np.ndarray, column: str | None = None) -> None:
    """h and -h, and the mates of h under the twofold along c, have their values."""
    found = amplitudes(path, column)
    for (h, k, m), one, other in zip(HKL.tolist(), plus, minus, strict=True):
        assert found[h, k, m] == found[-h, -k, m] == pytest.approx(one, rel=1e-6)
        assert found[-h, -k, -m] == found[h, k, -m] == pytest.approx(other, rel=1e-6)
    assert found[1, 0, 0] == found[0, 0, -3] == 0.0


def test_mtz_amplitudes():
    mtz(FP=("F", PLUS), SIGFP=("Q", PLUS), FREE=("I", PLUS))
    check("a.mtz", PLUS, PLUS)
    found = read_reflections("a.mtz")
    assert (found.cell, found.space_group, found.columns) == (CELL, "P 21 21 21", ("FP",))
    source, = found.provenance_lines
    states(source, "a.mtz", "FP", "|F|", "P 21 21 21", f"{len(HKL)}", "unique", f"{found.shells[-1].d_min_A:.4g} A",
           "no F000")
    assert found.warnings == ()


@pytest.mark.requirement("AT-STR-007")
@pytest.mark.parametrize(("columns", "chosen", "others"), [
    ("FP F FC F", "FC", "FP"), ("FWT F FP F", "FP", "FWT"), ("IMEAN J FP F", "FP", "IMEAN"),
    ("FMODEL F FP F", "FMODEL", "FP"),
    ("FP F Fp G Fm G", "F(+), F(-)", "FP"), ("Ip K Im K IMEAN J", "I(+), I(-)", "IMEAN"),
    ("F-obs F F-model F", "F-model", "F-obs"), ("FC_ALL F Fp G Fm G", "FC_ALL", "F(+), F(-)"),
    ("FC F FC_ALL F FC_ALL_LS F", "FC_ALL", "FC, FC_ALL_LS"), ("FCALC F F-model F", "F-model", "FCALC")])
def test_which_column_is_taken(columns, chosen, others):
    words = columns.split()
    mtz(**{name: (kind, PLUS) for name, kind in zip(words[::2], words[1::2], strict=True)})
    states(read_reflections("a.mtz").provenance_lines[0], "a.mtz", chosen, *["root"] * chosen.startswith("I"), others)


@pytest.mark.requirement("AT-STR-007")
def test_a_column_by_name():
    mtz(FP=("F", PLUS), Fp=("G", PLUS), Fm=("G", MINUS), IMEAN=("J", PLUS**2))
    check("a.mtz", PLUS, MINUS)
    check("a.mtz", PLUS, MINUS, "F(-)")
    check("a.mtz", PLUS, PLUS, "FP")
    check("a.mtz", PLUS, PLUS, "IMEAN")
    with refusal(FormatError, "--column", "FC", "a.mtz", "FP, F(+), F(-), IMEAN"):
        read_reflections("a.mtz", "FC")


def test_one_hand_alone_gives_both():
    plus, minus = PLUS.copy(), MINUS.copy()
    plus[::7], minus[1::7] = np.nan, np.nan
    mtz(Fp=("G", plus), Fm=("G", minus))
    check("a.mtz", np.where(np.isnan(plus), minus, plus), np.where(np.isnan(minus), plus, minus))


@pytest.mark.requirement("AT-STR-008")
def test_negative_intensities_count_as_zero():
    intensities = PLUS**2
    intensities[3:6] = -1.0
    mtz(I=("J", intensities))
    check("a.mtz", np.sqrt(np.maximum(intensities, 0)), np.sqrt(np.maximum(intensities, 0)))
    warning, = read_reflections("a.mtz").warnings
    states(warning, "a.mtz", "3", "negative", "0")


@pytest.mark.requirement("AT-STR-011")
def test_missing_reflections_are_counted_by_shell():
    values = PLUS.copy()
    values[:9] = np.nan
    mtz(FP=("F", values))
    found = read_reflections("a.mtz")
    assert [sum(getattr(shell, name) for shell in found.shells) for name in ("listed", "possible")] == [
        len(HKL) - 9, len(HKL)]
    missing, table = found.provenance_lines[1].split("\n", 1)
    states(missing, "a.mtz", f"9 of {len(HKL)}", "missing", "default_F")
    assert table == shell_table(found.shells)
    assert found.warnings == ()
    lost = tuple(HKL[0].tolist())
    assert lost not in amplitudes("a.mtz")
    grid = found.structure_factors(7.0)
    assert grid.grid[tuple(np.array(lost) - grid.origin)] == 7.0


@pytest.mark.requirement("AT-STR-010")
def test_f000_and_absences():
    hkl = np.concatenate([HKL, [[0, 0, 0], [3, 0, 0]]])
    mtz(hkl=hkl, FC=("F", np.concatenate([PLUS, [5000.0, 12.0]])))
    found = read_reflections("a.mtz")
    states(found.provenance_lines[0], "a.mtz", "F000 5000")
    warning, = found.warnings
    states(warning, "a.mtz", "1", "absence", "P 21 21 21", "0")
    assert amplitudes("a.mtz")[3, 0, 0] == 0.0


def as_written(values: np.ndarray, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Amplitudes, of intensities with two decimals."""
    return values if any("F_" in name and "squared" not in name for name in columns) else np.sqrt((values**2).round(2))


@pytest.mark.requirement("AT-STR-006")
@pytest.mark.parametrize(("columns", "plus", "minus"), [
    ({"F_meas_au": PLUS}, PLUS, PLUS), ({"F_calc": PLUS, "F_meas_au": MINUS}, PLUS, PLUS),
    ({"intensity_meas": PLUS**2}, PLUS, PLUS), ({"F_squared_meas": PLUS**2}, PLUS, PLUS),
    ({"F_meas_au": PLUS, "pdbx_F_plus": PLUS, "pdbx_F_minus": MINUS}, PLUS, MINUS),
    ({"pdbx_I_plus": PLUS**2, "pdbx_I_minus": MINUS**2}, PLUS, MINUS)])
def test_structure_factor_mmcif(columns, plus, minus):
    text = MMCIF + loop(".", **columns)
    Path("r1abcsf.ent").write_text(text)
    Path("sf.cif.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("r1abcsf.ent", "sf.cif.gz"):
        check(name, as_written(plus, columns), as_written(minus, columns))


def test_fcf():
    Path("a.fcf").write_text(SMALL + loop("_", F_squared_meas=PLUS**2, F_squared_sigma=PLUS))
    check("a.fcf", np.sqrt((PLUS**2).round(2)), np.sqrt((PLUS**2).round(2)))


@pytest.mark.requirement("AT-STR-006")
@pytest.mark.parametrize("beside", ["ins", "cif"])
def test_shelx_list_with_the_cell_beside_it(beside):
    both, values = np.concatenate([HKL, -HKL]), np.concatenate([PLUS, MINUS]) ** 2
    Path("a.hkl").write_text(hklf(both, values) + "\n_exptl_footer\n")
    assert list_kind("a.hkl") == "text"
    Path("alone.hkl").write_text(hklf(both, values))
    warning, = read_reflections("alone.hkl").warnings
    states(warning, "alone.hkl", "F^2", "SHELX", "nanoBragg", ".ins", ".res", ".cif")
    Path(f"a.{beside}").write_text(SMALL if beside == "cif" else (
        "TITL a\nCELL 0.71073 20 24 30 90 90 90\nZERR 4 0.003 0 0 0 0 0\nLATT -1\nSYMM 0.5-X, -Y, 0.5+Z\n"
        "SYMM -X, 0.5+Y, 0.5-Z\nSFAC C\nHKLF 4\nEND\n"))
    assert list_kind("a.hkl") == "shelx"
    check("a.hkl", np.sqrt((PLUS**2).round(2)), np.sqrt((MINUS**2).round(2)))
    states(read_reflections("a.hkl").provenance_lines[1], "a.hkl", f"a.{beside}", "HKLF 4", "cell", "space group")


def test_shelx_list_inside_a_cif():
    Path("a.cif").write_text(SMALL + f"_shelx_hkl_file\n;\n{hklf(HKL, PLUS**2)};\n")
    check("a.cif", np.sqrt((PLUS**2).round(2)), np.sqrt((PLUS**2).round(2)))


def test_a_centrosymmetric_lattice_of_shelx():
    from cubragg.io.reflections.shelx import read_instructions

    Path("a.ins").write_text("CELL 0.7 12 14 16 90 104 90\nLATT 7\nSYMM -x,y,1/2-z\nHKLF 4\n")
    cell, symmetry, form, *_ = read_instructions("a.ins")
    known = gemmi.SpaceGroup("C 1 2/c 1").operations()
    assert (cell, form, symmetry.name) == ((12.0, 14.0, 16.0, 90.0, 104.0, 90.0), 4, "C 1 2/c 1")
    assert len(symmetry.operations) == len(known) == 8


@pytest.mark.requirement("AT-STR-006")
def test_text_stays_as_it_is():
    indices = list(itertools.product(range(-2, 3), repeat=3))
    Path("P1.hkl").write_text("".join(f"{h} {k} {m} {10 + h / 3}\n" for h, k, m in indices))
    Path("P1.cif").write_text(SMALL)
    found, known = read_reflections("P1.hkl"), read_hkl("P1.hkl")
    np.testing.assert_array_equal(found.hkl, known.hkl)
    np.testing.assert_array_equal(found.amplitudes, known.amplitudes)
    assert (found.cell, found.space_group, found.shells, found.warnings) == (None, None, (), ())


def written(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def cut(size: int) -> str:
    whole = Path(mtz(FP=("F", PLUS))).read_bytes()
    return written("cut.mtz", whole[:size])


def unmerged() -> str:
    file = gemmi.read_mtz_file(mtz(FP=("F", PLUS)))
    file.batches.append(gemmi.Mtz.Batch())
    file.write_to_file("u.mtz")
    return "u.mtz"


@pytest.mark.parametrize(("make", "says"), [
    (lambda: cut(300), ("cut.mtz", "", "MTZ", "header")),
    (lambda: written("cut.mtz", b"MTZ "), ("cut.mtz", "", "MTZ", "header")),
    (lambda: written("cut.mtz", b"MTZ \0\0\0\0" + b"END".ljust(80)),
     ("cut.mtz", "", "MTZ", "reflection", "header")),
    (lambda: mtz(DANO=("D", PLUS)), ("a.mtz", "", "column", "amplitude", "intensit")),
    (lambda: mtz(FP=("F", PLUS * np.nan)), ("a.mtz", "FP", "value")),
    (lambda: mtz(hkl=0 * HKL[:1], FP=("F", PLUS[:1])), ("a.mtz", "FP", "value", "0 0 0")),
    (unmerged, ("u.mtz", "", "unmerged")),
    (lambda: written("a.cif", "data_x\n" + loop(".", F_meas_au=PLUS)), ("a.cif", "", "unit cell")),
    (lambda: written("a.cif", MMCIF.replace("P 21 21 21", "P 99") + loop(".", F_meas_au=PLUS)),
     ("a.cif", "P 99", "space group")),
    (lambda: written("a.cif", MMCIF.replace("'P 21 21 21'", "?") + loop(".", F_meas_au=PLUS)),
     ("a.cif", "", "space group")),
    (lambda: written("a.cif", MMCIF.replace("P 21 21 21", "P 4 3 2") + loop(".", F_meas_au=PLUS)),
     ("a.cif", "20 24 30 90 90 90", "P 4 3 2")),
    (lambda: written("a.cif", MMCIF), ("a.cif", "", "no reflections")),
    (lambda: written("a.cif", MMCIF + "_x\n"),
     ("a.cif", "", "CIF", "_x has no value")),
    (lambda: written("a.cif", SMALL + "_atom_site_fract_x 0\n"),
     ("a.cif", "", "no reflections", "model", "cubragg sf")),
    (lambda: written("a.pdb", "CRYST1   20.000   24.000   30.000  90.00  90.00  90.00 P 21 21 21\n"),
     ("a.pdb", "", "no reflections", "model", "cubragg sf")),
    (lambda: written("a.cif", MMCIF + loop(".", phase_calc=PLUS)), ("a.cif", "", "column", "amplitude", "intensit")),
    (lambda: written("a.ins", "CELL 1 2\nHKLF 4\n") and written("a.hkl", hklf(HKL, PLUS)),
     ("a.ins:1", "CELL 1 2", "CELL")),
    (lambda: written("a.ins", "LATT -1\nHKLF 4\n") and written("a.hkl", hklf(HKL, PLUS)), ("a.ins", "", "unit cell")),
    (lambda: written("a.ins", "CELL 1 20 24 30 90 90 90\nHKLF 5\n") and written("a.hkl", hklf(HKL, PLUS)),
     ("a.ins", "HKLF 5", "sum", "twin", "3", "4")),
    (lambda: written("a.ins", "CELL 1 20 24 30 90 90 90\nHKLF 4 1 0.5 0 0 0 1 0 0 0 1\n")
     and written("a.hkl", hklf(HKL, PLUS)),
     ("a.ins", "HKLF", "matrix", "whole")),
    (lambda: written("a.ins", "CELL 1 20 24 30 90 90 90\nHKLF -4\n") and written("a.hkl", hklf(HKL, PLUS)),
     ("a.ins", "HKLF -4", "inside")),
])
def test_bad_files(make, says):
    with refusal(FormatError, *says):
        read_reflections(make())


def test_text_has_no_columns():
    with refusal(FormatError, "--column", "FP", "a.hkl", "column"):
        read_reflections(written("a.hkl", "1 2 3 4\n"), "FP")
