"""f' and f'' near absorption edges, and values that a user gives."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import gemmi
import pytest

from cubragg.crystallography.dispersion import calculated
from support.command import invoke
from support.messages import refused, warned

IRON = Path(__file__).parents[1] / "data/fe.pdb"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def f000(stderr: str) -> float:
    line, = (line for line in stderr.splitlines() if line.startswith("F000"))
    return float(line.split()[1])


@pytest.mark.requirement("AT-STR-050")
@pytest.mark.parametrize(("energy", "first", "second"), [
    (7100.0, -6.239, 0.513), (7111.0, -8.872, 1.073), (7112.0, -9.175, 1.921), (7113.0, -8.946, 3.304),
    (7120.0, -6.727, 3.841)])
def test_an_edge_as_in_the_tables_of_nist(energy, first, second):
    """C. T. Chantler, J. Phys. Chem. Ref. Data 29, 597 (2000), iron; Cromer and Liberman's pole has f' = -21.6."""
    found = calculated("Fe", energy)
    assert found.first == pytest.approx(first, abs=0.3)
    assert found.second == pytest.approx(second, abs=0.3)


@pytest.mark.requirement("AT-STR-050")
def test_an_edge_as_in_the_tables_of_sasaki():
    """S. Sasaki, KEK Report 88-14 (1989): -9.89 at the edge of iron."""
    assert calculated("Fe", 7112.0).first == pytest.approx(-9.89, abs=0.5)


@pytest.mark.requirement("AT-STR-050")
@pytest.mark.parametrize(("element", "energy"), [("Fe", 7000.0), ("Se", 12400.0), ("S", 8000.0), ("U", 12398.0),
                                                 ("H", 8000.0)])
def test_away_from_edges_the_values_are_cromer_and_libermans(element, energy):
    found = calculated(element, energy)
    assert found[:2] == gemmi.cromer_liberman(gemmi.Element(element).atomic_number, energy)
    assert found.edge_eV is None


@pytest.mark.requirement("AT-STR-050")
@pytest.mark.parametrize(("element", "edge"), [("Fe", 7112.0), ("Se", 12658.0), ("S", 2472.0), ("Hg", 12284.0),
                                               ("Pt", 11564.0), ("U", 17166.0)])
def test_no_pole_at_any_energy(element, edge):
    """K and L3 edges of J. A. Bearden and A. F. Burr, Rev. Mod. Phys. 39, 125 (1967)."""
    values = [calculated(element, edge + 0.25 * step) for step in range(-8, 9)]
    assert max(abs(a.first - b.first) for a, b in pairwise(values)) < 0.7
    assert all(one.edge_eV == pytest.approx(edge, abs=0.5) for one in values)


@pytest.mark.requirement("AT-STR-051")
def test_the_distance_of_an_edge_is_a_warning():
    line = f"sf {IRON} -o a.hkl --dmin 8 --no-solvent"
    for energy, distance in ((7111, "1.0 eV below"), (7112, "0.0 eV"), (7113, "1.0 eV above")):
        result = invoke(f"{line} -energy {energy}")
        assert result.exit_code == 0
        assert warned(result.stderr, "Fe", distance, "7112", "edge", "--anomalous Fe")
        assert f000(result.stderr) == pytest.approx(17.0, abs=0.7)
    assert "warning" not in invoke(f"{line} -energy 7200").stderr


@pytest.mark.requirement("AT-STR-051")
def test_values_of_an_element():
    """From an option or a file: F000 is that of 26 - 9.9 + 0.47 i electrons."""
    line = f"sf {IRON} -o a.hkl --dmin 8 --no-solvent -energy 7112"
    Path("f.txt").write_text("# measured\nfe -9.9 0.47\n")
    for option in ("--anomalous Fe -9.9 0.47", "--anomalous FE -9.9 0.47", "--anomalous-file f.txt"):
        result = invoke(f"{line} {option}")
        assert (result.exit_code, "warning" in result.stderr) == (0, False)
        assert f000(result.stderr) == pytest.approx(abs(26 - 9.9 + 0.47j), abs=0.01)
    assert f000(invoke(f"{line} --anomalous-file f.txt --anomalous Fe 0 0").stderr) == pytest.approx(26.0, abs=0.01)


@pytest.mark.requirement("AT-STR-051")
@pytest.mark.parametrize(("option", "text", "status", "says"), [
    ("--anomalous Se -9 1", "", 2, ("--anomalous", "Se", "Fe")),
    ("--anomalous Xx -9 1", "", 2, ("--anomalous", "'Xx'")),
    ("--anomalous Fe nan 1", "", 2, ("--anomalous", "Fe", "finite")),
    ("--anomalous Fe 1 1 --no-anomalous", "", 2, ("--no-anomalous", "--anomalous")),
    ("--anomalous-file f.txt", "Fe 1\n", 1, ("f.txt:1", "2", "column")),
    ("--anomalous-file f.txt", "Fe 1 x\n", 1, ("f.txt:1", "'x'", "number")),
    ("--anomalous-file f.txt", "Qq 1 1\n", 1, ("f.txt:1", "'Qq'", "element")),
    ("--anomalous-file f.txt", "\n", 1, ("f.txt", "", "element")),
    ("--anomalous-file none.txt", "", 2, ("--anomalous-file", "'none.txt'")),
])
def test_values_that_cannot_be_used(option, text, status, says):
    Path("f.txt").write_text(text)
    refused(invoke(f"sf {IRON} -o a.hkl --dmin 8 {option}"), status, *says)
    assert not Path("a.hkl").exists()
