"""Where other people's reflection files have their columns, and the rows that they mark as unusable.

Values are those that the formats define, and where cctbx or gemmi read the same file, theirs.
"""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from cubragg.errors import ConfigError, FormatError
from cubragg.io.atoms import read_model
from cubragg.io.reflections.read import list_kind, read_reflections
from support.command import invoke, simulated
from support.messages import mentioned, refusal, refused

DATA = Path(__file__).parents[1] / "data/reflections"
SCA = """    1
 -987
    50.000    60.000    70.000    90.000    90.000    90.000 p212121
   1   2   3   100.0     5.0    64.0     4.0
   2   2   3   900.0     5.0     0.0    -1.0
   0   0   4    16.0     1.0
  -1 -10-100    25.0     1.0    36.0     1.0
   3   2   3     0.0    -1.0    49.0     2.0
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Messages have short names."""
    monkeypatch.chdir(tmp_path)


def listed(path: str | Path, **keywords: str) -> dict[tuple[int, ...], float]:
    found = read_reflections(path, **keywords)
    return dict(zip(map(tuple, found.hkl.tolist()), found.amplitudes.tolist(), strict=True))


def written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


@pytest.mark.requirement("AT-STR-040")
@pytest.mark.parametrize("order", [("FP", "H", "K", "L"), ("L", "SIGFP", "K", "FP", "H"),
                                   ("FP", "K", "H", "SIGFP", "L")])
def test_columns_of_an_mtz_file_in_any_order(order):
    """Iotbx.mtz has (1,2,3) 10, (2,2,3) 20, (0,0,4) 30, whatever the order of the columns."""
    rows = {"H": [1, 2, 0], "K": [2, 2, 0], "L": [3, 3, 4], "FP": [10, 20, 30], "SIGFP": [1, 1, 1]}
    file = gemmi.Mtz()
    file.spacegroup = gemmi.SpaceGroup("P 21 21 21")
    file.set_cell_for_all(gemmi.UnitCell(50, 60, 70, 90, 90, 90))
    file.add_dataset("d")
    for name in order:
        file.add_column(name, {"FP": "F", "SIGFP": "Q"}.get(name, "H"))
    file.set_data(np.column_stack([rows[name] for name in order]).astype(np.float32))
    file.write_to_file("a.mtz")
    found = listed("a.mtz")
    assert (found[1, 2, 3], found[2, 2, 3], found[0, 0, 4]) == (10.0, 20.0, 30.0)
    assert (4, 3, 0) not in found


@pytest.mark.requirement("AT-STR-040")
def test_indices_behind_the_amplitudes():
    found = listed(DATA / "hkl_last.mtz")
    assert (found[1, 2, 3], found[2, 2, 3], found[0, 0, 4]) == (10.0, 20.0, 30.0)


@pytest.mark.requirement("AT-STR-040")
def test_an_mtz_file_without_its_indices():
    file = gemmi.Mtz(with_base=True)
    file.spacegroup = gemmi.SpaceGroup("P 1")
    file.set_cell_for_all(gemmi.UnitCell(50, 60, 70, 90, 90, 90))
    file.add_dataset("d")
    file.add_column("FP", "F")
    file.columns[2].type = "R"
    file.set_data(np.ones((3, 4), dtype=np.float32))
    file.write_to_file("a.mtz")
    with refusal(FormatError, "a.mtz", "2", "column", "ind", "three"):
        read_reflections("a.mtz")


@pytest.mark.requirement("AT-STR-041")
@pytest.mark.parametrize(("value", "sigma", "kinds"), [("FP", "SIGFP", "FQ"), ("IMEAN", "SIGIMEAN", "JQ"),
                                                       ("I(+)", "SIGI(+)", "KM"), ("F(+)", "SIGF(+)", "GL"),
                                                       ("F", "sF", "FQ")])
def test_negative_sigmas_of_an_mtz_file(value, sigma, kinds):
    file = gemmi.Mtz(with_base=True)
    file.spacegroup = gemmi.SpaceGroup("P 21 21 21")
    file.set_cell_for_all(gemmi.UnitCell(50, 60, 70, 90, 90, 90))
    file.add_dataset("d")
    for name, kind in zip((value, sigma), kinds, strict=True):
        file.add_column(name, kind)
    file.set_data(np.array([[2, 3, 4, 100, 5], [3, 3, 4, 900, -5], [4, 3, 4, 400, 0]], dtype=np.float32))
    file.write_to_file("a.mtz")
    found = read_reflections("a.mtz")
    assert [3, 3, 4] not in found.hkl.tolist()
    assert [4, 3, 4] in found.hkl.tolist()
    assert mentioned(found.provenance_lines, "a.mtz", "1", "value", "left out", "sigma", "negative")


@pytest.mark.requirement("AT-STR-041")
def test_negative_sigmas_of_a_cif():
    """Misfits of XDS; F(2,3,4) is the root of 100, not of the mean with 9900."""
    found = listed(DATA / "r_negsig-sf.cif")
    assert (found[2, 3, 4], found[3, 3, 4], found[5, 3, 4]) == (pytest.approx(10.0), 20.0, 5.0)
    assert (6, 3, 4) not in found
    assert (4, 3, 4) not in found


@pytest.mark.requirement("AT-STR-041")
def test_rows_with_a_status_that_excludes_them():
    """X unreliable and - absent in the mmCIF dictionary; free and weak reflections are data."""
    found = listed(DATA / "multi-sf.cif")
    assert (found[1, 2, 3], found[2, 2, 3], found[4, 2, 3]) == (10.0, 30.0, 2.0)
    assert not {(3, 2, 3), (5, 2, 3)} & set(found)


@pytest.mark.requirement("AT-STR-042")
def test_a_space_group_by_its_number():
    """Number 19 is P 21 21 21, in which 1 2 3 and -1 -2 3 are mates."""
    found = read_reflections(DATA / "iplus-sf.cif")
    assert found.space_group == "P 21 21 21"
    values = listed(DATA / "iplus-sf.cif")
    assert (values[1, 2, 3], values[-1, -2, 3], values[-1, -2, -3]) == (10.0, 10.0, 8.0)


@pytest.mark.requirement("AT-STR-042")
@pytest.mark.parametrize("name", ["19", "P 21 21 21", "p212121", "P2(1)2(1)2(1)"])
def test_a_space_group_for_a_file_without_one(name):
    text = (DATA / "iplus-sf.cif").read_text().replace("_symmetry.Int_Tables_number 19", "")
    with refusal(FormatError, "a.cif", "--space-group", "no space group"):
        read_reflections(written("a.cif", text))
    assert read_reflections("a.cif", group=name).space_group == "P 21 21 21"
    with refusal(ConfigError, "space_group", "'P 99'", "230"):
        read_reflections("a.cif", group="P 99")
    with refusal(ConfigError, "space_group", "19", "list.hkl", "without symmetry"):
        read_reflections(written("list.hkl", "1 2 3 4\n"), group="19")


@pytest.mark.requirement("AT-STR-042")
def test_axes_of_a_rhombohedral_group_follow_the_cell():
    """Number 146 with three equal angles is on rhombohedral axes."""
    text = (DATA / "iplus-sf.cif").read_text().replace("number 19", "number 146")
    for angles, cell, group in ((("80", "80", "80"), "50.0", "R 3:R"), (("90", "90", "120"), "70.0", "R 3:H")):
        one = text.replace("60.0", "50.0").replace("70.0", cell)
        for name, angle in zip(("alpha", "beta", "gamma"), angles, strict=True):
            one = one.replace(f"angle_{name} 90.0", f"angle_{name} {angle}")
        assert read_reflections(written("a.cif", one)).space_group == group


@pytest.mark.requirement("AT-STR-042")
def test_space_groups_of_atoms():
    """An mmCIF with a number only, and a name in place of that of the file."""
    head = "".join(f"_cell.{name} {edge}\n" for name, edge in (
        ("length_a", 50), ("length_b", 60), ("length_c", 70), ("angle_alpha", 90), ("angle_beta", 90),
        ("angle_gamma", 90)))
    atoms = "loop_\n" + "".join(f"_atom_site.{name}\n" for name in (
        "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
        "label_entity_id", "label_seq_id", "Cartn_x",
        "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num")) + (
        "ATOM 1 C CA . ALA A 1 1 1.0 2.0 3.0 1.0 20.0 1 A 1\n")
    path = written("a.cif", f"data_a\n{head}_symmetry.Int_Tables_number 19\n{atoms}")
    assert read_model(path).group.xhm() == "P 21 21 21"
    assert read_model(path, "P 2 2 2").group.xhm() == "P 2 2 2"
    with refusal(FormatError, "b.cif", "", "space group", "--space-group"):
        read_model(written("b.cif", f"data_a\n{head}{atoms}"))


@pytest.mark.requirement("AT-STR-043")
@pytest.mark.parametrize(("name", "values"), [
    # the root of the mean of 92.32 and 86.94: 00-4 is a Friedel mate only
    ("cosines", {(0, 0, 4): 9.467, (1, 2, 3): 10.0, (-1, -2, -3): 10.0}),
    ("laue", {(1, 2, 3): 10.0}),
    # Fortran's F8.2 takes the last two digits of a number without a point as decimals.
    ("implied", {(1, 2, 3): 10.0}),
    # 99999.99 and 12345.67 without a blank between them; one row has a negative sigma.
    ("tight", {(1, 2, 3): 316.2278, (-1, -2, -3): 316.2278}),
    # HKLF 4 0.01 with h, k exchanged and l reversed
    ("matrix", {(2, 1, -3): 1.0, (1, 2, -3): 2.0}),
])
def test_columns_of_shelx(name, values):
    found = listed(DATA / f"{name}.hkl")
    assert list_kind(DATA / f"{name}.hkl") == "shelx"
    assert {index: found[index] for index in values} == {index: pytest.approx(value, abs=1e-3)
                                                         for index, value in values.items()}
    assert not {(-10, -12, -14), (3, 1, 1)} & set(found)


@pytest.mark.requirement("AT-STR-043")
def test_twins_of_shelx_are_refused():
    with refusal(FormatError, "twin5.ins", "HKLF 5", "twin"):
        read_reflections(DATA / "twin5.hkl")


@pytest.mark.requirement("AT-STR-043")
def test_a_list_of_shelx_without_its_end():
    """SHELXL also ends at the end of the file."""
    for suffix in ("hkl", "ins"):
        text = (DATA / f"cosines.{suffix}").read_text()
        written(f"a.{suffix}", text.replace("   0   0   0    0.00    0.00   0\n", ""))
    assert listed("a.hkl")[1, 2, 3] == pytest.approx(10.0)


@pytest.mark.requirement("AT-STR-040")
def test_items_of_xds_in_another_order():
    """As the ITEM_ lines of the header number them."""
    head = ("!FORMAT=XDS_ASCII    MERGE=FALSE\n!SPACE_GROUP_NUMBER=   19\n"
            "!UNIT_CELL_CONSTANTS=    30.0    40.0    50.0  90.0  90.0  90.0\n")
    items = "!ITEM_IOBS=1\n!ITEM_SIGMA(IOBS)=2\n!ITEM_L=3\n!ITEM_K=4\n!ITEM_H=5\n!END_OF_HEADER\n"
    found = listed(written("a.HKL", head + items + " 9.0 1.0 3 2 1\n 49.0 -1.0 4 2 1\n!END_OF_DATA\n"))
    assert found[1, 2, 3] == 3.0
    assert (1, 2, 4) not in found
    with refusal(FormatError, "b.HKL", "ITEM_L"):
        read_reflections(written("b.HKL", head + items.replace("!ITEM_L=3\n", "") + " 9.0 1.0 3 2 1\n"))
    with refusal(FormatError, "c.HKL:10", "'x'", "number"):
        read_reflections(written("c.HKL", head + items + " x 1.0 3 2 1\n"))


@pytest.mark.requirement("AT-STR-044")
def test_scalepack():
    """Columns, not blanks, separate numbers; a sigma of -1 marks what was not measured."""
    found = read_reflections(written("a.sca", SCA))
    assert (found.cell, found.space_group) == ((50.0, 60.0, 70.0, 90.0, 90.0, 90.0), "P 21 21 21")
    values = listed("a.sca")
    assert (values[1, 2, 3], values[-1, -2, -3], values[0, 0, 4], values[-1, -10, -100], values[1, 10, 100]) == (
        10.0, 8.0, 4.0, 5.0, 6.0)
    assert (values[2, 2, 3], values[3, 2, 3]) == (30.0, 7.0)
    means = "\n".join(line[:28] for line in SCA.splitlines()[:2]) + "\n" + "\n".join(
        line if number == 0 else line[:28] for number, line in enumerate(SCA.splitlines()[2:]))
    assert listed(written("b.sca", means))[-1, -2, -3] == 10.0
    assert read_reflections("b.sca", group="P 2 2 2").space_group == "P 2 2 2"


@pytest.mark.requirement("AT-STR-044")
@pytest.mark.parametrize(("text", "says"), [
    ("    4 p212121\n  1  0  0  0  1  0  0  0  1\n  0  0  0\n", ("a.sca", "", "unmerged", "scalepack")),
    (SCA.replace("p212121", "x99"), ("a.sca:3", "--space-group", "x99", "space group")),
    (SCA.replace("900.0", "9x0.0"), ("a.sca:5", "'9x0.0'", "number")),
    (SCA.partition("   1   2")[0], ("a.sca", "", "no reflections")),
])
def test_scalepack_files_that_cannot_be_used(text, says):
    with refusal(FormatError, *says):
        read_reflections(written("a.sca", text))


@pytest.mark.requirement("AT-STR-045")
@pytest.mark.parametrize(("text", "program"), [
    ("NREFlection=   3\nANOMalous=FALSe\nDECLare NAME=FOBS DOMAIN=RECIPROCAL TYPE=REAL END\n"
     "INDEx 1 2 3 FOBS= 10.0 SIGMA= 1.0 TEST= 0\n", "CNS"),
    (" INDE     1    2    3 FOBS=   10.0 SIGMA= 1.0\n", "CNS"),
    ("CrystFEL reflection list version 2.0\nSymmetry: 4/mmm\n", "CrystFEL"),
])
def test_lists_without_a_cell_are_refused_by_name(text, program):
    with refusal(FormatError, "a.cv", "", program, "cell", "MTZ"):
        read_reflections(written("a.cv", text))


@pytest.mark.requirement("AT-STR-042")
def test_a_saved_experiment_keeps_the_space_group():
    written("a.cif", (DATA / "iplus-sf.cif").read_text())
    small = "-lambda 1 -detpixels 4 -pixel 4 -oversample 1 -N 2 --backend numpy"
    status, _ = simulated(f"-hkl a.cif --space-group P222 {small} --save-config e.toml -floatfile a.bin")
    assert (status, 'space_group = "P222"' in Path("e.toml").read_text()) == (0, True)
    assert simulated("--config e.toml --backend numpy -floatfile b.bin")[0] == 0
    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()
    refused(invoke(f"-hkl a.cif --space-group P99 {small}"), 2, "--space-group", "'P99'", "230")
