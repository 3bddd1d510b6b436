"""Bad files through the command line: each is one sentence, exit status 1, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import gemmi
import h5py
import numpy as np
import pytest

from support.command import SMALL
from support.crystfel_files import GEOM
from support.messages import refused

CIF = """data_a
{cell}_symmetry_space_group_name_H-M '{group}'
loop_
_refln.index_h
_refln.index_k
_refln.index_l
_refln.F_meas_au
1 0 0 10
0 1 0 20
"""
CELL = "".join(f"_cell.{name} {value}\n" for name, value in (
    ("length_a", 50), ("length_b", 60), ("length_c", 70), ("angle_alpha", 90), ("angle_beta", 90), ("angle_gamma", 90)))
LIST = SMALL.replace("-default_F 100 -cell 100 100 100 90 90 90", "")


def write_mtz(path: Path) -> None:
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup("P 21 21 21")
    mtz.set_cell_for_all(gemmi.UnitCell(50, 60, 70, 90, 90, 90))
    mtz.add_dataset("d")
    mtz.add_column("FP", "F")
    mtz.add_column("SIGFP", "Q")
    mtz.set_data(np.array([(h, k, 2, 10 + h + k, 1) for h in range(5) for k in range(5)], dtype=np.float32))
    mtz.write_to_file(str(path))


@pytest.fixture
def bad(run, folder) -> Path:
    """The folder with good files, and with each of them spoilt."""
    write_mtz(folder / "good.mtz")
    whole = (folder / "good.mtz").read_bytes()
    (folder / "cut.mtz").write_bytes(whole[:300])
    (folder / "short.mtz").write_bytes(whole[:100] + whole[400:])
    (folder / "group.mtz").write_bytes(whole.replace(b"'P 21 21 21'", b"'P 21 21 2x'").replace(b"    19 ", b"     0 ")
                                       .replace(b"SYMM", b"REMA"))
    (folder / "nocell.cif").write_text(CIF.format(cell="", group="P 1"))
    (folder / "group.cif").write_text(CIF.format(cell=CELL, group="P 21 21 2x"))
    described = f"{SMALL} -osc 1 -floatfile g.bin --expt good.expt --geom good.geom --nxmx good.h5 --quiet"
    assert run(described).exit_code == 0
    good = json.loads((folder / "good.expt").read_text())
    panel = good["detector"][0]["panels"][0]
    for name, change in (
            ("nodetector", {"experiment": [{**good["experiment"][0], "detector": None}]}),
            ("overlap", {"detector": [{"panels": [{**panel, "name": "a"},
                                                  {**panel, "name": "b", "raw_image_offset": [1, 0]}]}]}),
            ("huge", {"detector": [{"panels": [{**panel, "image_size": [40000, 40000],
                                                "pixel_size": [1e-4, 1e-4]}]}]})):
        (folder / f"{name}.expt").write_text(json.dumps({**good, **change}))
    (folder / "overlap.geom").write_text(GEOM + GEOM.partition("res = 2000\n")[2].replace("p/", "q/"))
    with h5py.File("good.h5") as whole_file, h5py.File("nobeam.h5", "w") as copy:
        whole_file.copy("entry", copy)
        del copy["entry/instrument/beam"]
    return folder


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("line", "says"), [
    (f"{LIST}-hkl cut.mtz", ("cut.mtz", "", "MTZ", "header")),
    (f"{LIST}-hkl short.mtz", ("short.mtz", "", "space group")),
    (f"{LIST}-hkl nocell.cif", ("nocell.cif", "", "unit cell")),
    (f"{LIST}-hkl group.cif", ("group.cif", "P 21 21 2x", "space group")),
    (f"{LIST}-hkl group.mtz", ("group.mtz", "P 21 21 2x", "space group")),
    (f"{LIST}-hkl good.mtz --column FC", ("--column", "FC", "good.mtz", "FP")),
    (f"{LIST}-hkl good.geom --column FC", ("--column", "FC", "good.geom", "column")),
    ("--from nodetector.expt -default_F 1",
     ("nodetector.expt", "", "experiment 0", "detector")),
    ("--from overlap.expt -default_F 1",
     ("overlap.expt", "", "panels a and b", "overlap", "image")),
    ("--from overlap.geom -default_F 1 -cell 50",
     ("overlap.geom", "", "panels p and q", "overlap", "image")),
    ("--from nobeam.h5 -default_F 1 -cell 50",
     ("nobeam.h5", "/entry", "NXbeam", "incident_wavelength")),
    ("--from huge.expt -default_F 1 -noisefile a.img",
     ("huge.expt", "40000 x 40000 pixels", "536870912")),
    ("view good.h5 --from nobeam.h5 -o a.png",
     ("nobeam.h5", "/entry", "NXbeam", "incident_wavelength")),
    ("sf group.cif -o a.mtz --dmin 2", ("group.cif", "", "no atoms")),
])
def test_files_that_cannot_be_read(run, bad, line, says):
    assert_refused(run, bad, line, *says)


@pytest.mark.requirement("AT-FMT-009")
@pytest.mark.parametrize(("output", "most"), [
    ("-cbffile a.cbf", 2**31 - 1), ("--nxmx a.h5", 2**31 - 3), ("--nxmx a.h5 --nxmx-type uint16", 2**16 - 3),
    ("--tiff a.tif", 2**31 - 1), ("--tiff a.tif --tiff-type uint16", 2**16 - 1)])
def test_counts_that_no_pixel_holds(run, bad, output, most):
    """The first such pixel is named."""
    photons = np.fromfile("g.bin", "<f4").astype(float).reshape(12, 12)
    scale = float(2.0 * most / photons.max())
    slow, fast = np.argwhere(np.rint(photons * scale) > most)[0]
    name = output.split()[1]
    assert_refused(run, bad, f"{SMALL}-osc 1 -scale {scale!r} {output}", name,
                   f"{photons[slow, fast] * scale:.10g}", f"{fast} fast, {slow} slow", f"{most}")


def assert_refused(run, folder, line, *says):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused(run(line if line.startswith(("view", "sf")) else f"{line} -seed 1 --quiet"), 1, *says)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
