"""Kinds of files, valid seeds of each, and the command lines that read them.

The project's own writers make the seeds; tests/data adds those that other programs wrote.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fuzzing.mutate import bytes_mutated, hdf5_mutated, json_mutated, text_mutated, toml_mutated

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "tests") not in sys.path:
    sys.path.append(str(ROOT / "tests"))

RENDER = "-lambda 2 -N 2 -distance 100 -detpixels 4 -pixel 8 -oversample 1 -backend numpy -floatfile out.bin"
#: The same where a file gives what these flags would overrule; the work stays small.
LITTLE = "-N 2 -oversample 1 -phisteps 1 -mosaic_domains 1 -square_div -divsteps 1 -dispsteps 1 -thicksteps 1 " \
         "-backend numpy -floatfile out.bin"
CELL = "-cell 50 60 70 90 90 90"
SPECTRUM = "-N 2 -distance 100 -detpixels 4 -pixel 8 -oversample 1 -mosaic_domains 1 -backend numpy -floatfile out.bin"
#: Largest mutated file; the limits of memory and time are for files below 1 MB.
MOST_BYTES = 10**6 - 1
#: Files that the command lines write.
OUTPUTS = ("out.bin", "out.png", "out.mtz", "out.hkl")
VIEW, COMPARE = "view F -o out.png", "compare F F"
TRUTH = "view good.img --png-spots 3 --truth F -o out.png"
_FROM = (f"--from F {RENDER} {CELL} -default_F 10", f"--from F {LITTLE} {CELL} -default_F 10 -roi 0 3 0 3")
_HKL = (f"-hkl F {RENDER}", f"-hkl F {RENDER} {CELL} -default_F 1")


class Kind(NamedTuple):
    """A kind of file: suffix, command lines (F is the file), and how it is mutated besides its bytes.

    ``mutate`` takes bytes; ``in_place`` a path. ``beside``: suffix of a second file that belongs to the first.
    """

    suffix: str
    lines: tuple[str, ...]
    mutate: Callable[[bytes, random.Random], bytes] = text_mutated
    in_place: Callable[[Path, random.Random], None] | None = None
    beside: str = ""


def _head(end: bytes) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of the text up to ``end``; the binary part stays."""
    def mutate(data: bytes, rng: random.Random) -> bytes:
        last = data.find(end)
        return text_mutated(data, rng, 0, last if last > 0 else len(data))
    return mutate


def _cbf(data: bytes, rng: random.Random) -> bytes:
    changed = _head(b"\x0c\x1a\x04\xd5")(data, rng)
    if rng.random() < 0.3:  # so that changed pixels are not refused because of their digest
        changed = b"\r\n".join(line for line in changed.split(b"\r\n") if not line.startswith(b"Content-MD5"))
        changed = bytes_mutated(changed, rng)
    return changed


def _mtz(data: bytes, rng: random.Random) -> bytes:
    import numpy as np

    start = data.find(b"VERS MTZ")
    if rng.random() < 0.6 or start < 80:
        return text_mutated(data, rng, max(start, 0))
    numbers = np.frombuffer(data[80:start - start % 4], "<f4").copy()
    for _ in range(rng.choice((1, 3, 20))):
        numbers[rng.randrange(len(numbers))] = rng.choice((np.nan, np.inf, -1.0, 1e9, -1e9, 3e38, 0.5, 1e-40, 1e4))
    return data[:80] + numbers.tobytes() + data[start - start % 4:]


def _packed(pack: Callable[[bytes], bytes], mutate: Callable[[bytes, random.Random], bytes]
            ) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of what a compressed file holds."""
    def changed(data: bytes, rng: random.Random) -> bytes:
        inner = gzip.decompress(data) if pack is gzip.compress else bz2.decompress(data)
        if rng.random() < 0.05:
            return pack(inner) + pack(inner[-200:] * 5000) * 80
        return pack(mutate(inner, rng))
    return changed


KINDS: dict[str, Kind] = {
    "hkl": Kind(".hkl", _HKL[1:]),
    "hkl.gz": Kind(".hkl.gz", _HKL[1:], _packed(gzip.compress, text_mutated)),
    "mtz": Kind(".mtz", _HKL, _mtz),
    "sf-cif": Kind(".cif", _HKL),
    "fcf": Kind(".fcf", _HKL),
    "cif.bz2": Kind(".cif.bz2", _HKL, _packed(bz2.compress, text_mutated)),
    "xds": Kind(".HKL", _HKL),
    "shelx": Kind(".hkl", _HKL, beside=".ins"),
    "dump": Kind(".bin", (f"-dump F {RENDER} {CELL}",), _head(b"\f")),
    "pdb": Kind(".pdb", ("sf F -o out.mtz --dmin 4", "sf F -o out.hkl --dmin 4")),
    "mmcif": Kind(".cif", ("sf F -o out.mtz --dmin 4",)),
    "small-cif": Kind(".cif", ("sf F -o out.hkl --dmin 1",)),
    "expt": Kind(".expt", (*_FROM, "view good.img --from F -o out.png"), json_mutated),
    "geom": Kind(".geom", _FROM),
    "cell": Kind(".cell", (f"--from F {RENDER} -default_F 10",)),
    "nxmx": Kind(".nxs", (*_FROM, VIEW, COMPARE, f"{VIEW} --png-rings"), in_place=hdf5_mutated),
    "master": Kind(".h5", (_FROM[1], VIEW, COMPARE), in_place=hdf5_mutated),
    "smv": Kind(".img", (*_FROM, VIEW, COMPARE, f"-img F -default_F 10 {CELL} {LITTLE}",
                         f"-mask F -default_F 10 {CELL} {LITTLE}"), _head(b"}")),
    "smv.gz": Kind(".img.gz", (_FROM[1], VIEW), _packed(gzip.compress, _head(b"}"))),
    "cbf": Kind(".cbf", (*_FROM, VIEW, COMPARE), _cbf),
    "cbf.gz": Kind(".cbf.gz", (_FROM[1], VIEW, COMPARE), _packed(gzip.compress, _cbf)),
    "float": Kind(".bin", (VIEW, COMPARE), bytes_mutated),
    "tiff": Kind(".tif", (VIEW, COMPARE), bytes_mutated),
    "edf": Kind(".edf", (VIEW, COMPARE), _head(b"}\n")),
    "npy": Kind(".npy", (VIEW,), _head(b"}")),
    "toml": Kind(".toml", (f"--config F {LITTLE} -detpixels 4 -pixel 8", f"--config F {LITTLE} -roi 0 3 0 3"),
                 toml_mutated),
    "matrix": Kind(".mat", (f"-mat F {RENDER} -default_F 10", f"-mat F {CELL} {RENDER} -default_F 10")),
    "sources": Kind(".txt", (f"-sourcefile F {CELL} {RENDER} -default_F 10",)),
    "sca": Kind(".sca", _HKL),
    "spectrum": Kind(".txt", (f"--spectrum F {CELL} {SPECTRUM} -default_F 10 --semantics physical",)),
    "stol": Kind(".stol", tuple(f"--background {term} {CELL} {RENDER} -default_F 10 --semantics physical"
                                for term in ("stol=F:1", "radial=F"))),
    "background": Kind(".bin", (f"--background image=F {CELL} {RENDER} -default_F 10 --semantics physical",),
                       bytes_mutated),
    "dtrek": Kind(".img", (*_FROM, VIEW), _head(b"}")),
    "imgcif": Kind(".cbf", (*_FROM, VIEW), _cbf),
    "trace": Kind(".json", (f"trace 1 1 --against F -lambda 2 -N 2 {CELL} -default_F 10 -detpixels 4 -pixel 8 "
                            "-oversample 1",), json_mutated),
    "truth-csv": Kind(".csv", (TRUTH,)),
    "truth-h5": Kind(".h5", (TRUTH,), in_place=hdf5_mutated),
    "truth-refl": Kind(".refl", (TRUTH,), bytes_mutated),
}

_MATRIX = "0.02 0.001 0.002\n-0.001 0.0166 0.0005\n 0.0003 -0.002 0.0142\n 0.0 0.0 0.0\n50 60 70 90 90 90\n"
_SOURCES = "-10 0.002 0.001 1.0 1.00e-10\n-10 -0.003 0.002 2.5 1.01e-10\n-10 0.0 -0.004\n"
_GEOM = """photon_energy = 9000 eV
clen = 80 mm
res = 2000
rigid_group_q0 = p,q
bad0/min_fs = 1
bad0/max_fs = 3
bad0/min_ss = 1
bad0/max_ss = 3
badx/min_x = -5
badx/max_x = 5
badx/min_y = -1
badx/max_y = 1
data = /entry/data/data
dim0 = %
dim1 = ss
dim2 = fs
p/min_fs = 0
p/max_fs = 11
p/min_ss = 0
p/max_ss = 9
p/fs = +0.999x -0.01y
p/ss = 0.01x +0.999y
p/corner_x = -5
p/corner_y = -4
p/coffset = 0.002
p/mask_edge_pixels = 1
q/min_fs = 12
q/max_fs = 20
q/min_ss = 0
q/max_ss = 9
q/fs = x
q/ss = y
q/corner_x = 8
q/corner_y = -4
"""
_INS = "TITL x\nCELL 0.71 20 24 30 90 90 90\nZERR 4 0 0 0 0 0 0\nLATT -1\nSYMM 0.5-X, -Y, 0.5+Z\n" \
       "SYMM -X, 0.5+Y, 0.5-Z\nSYMM 0.5+X, 0.5-Y, -Z\nSFAC C\nHKLF 4\nEND\n"
_CIF_CELL = "".join(f"_cell{{m}}{name} {value}\n" for name, value in (
    ("length_a", 20), ("length_b", 24), ("length_c", 30), ("angle_alpha", 90), ("angle_beta", 90), ("angle_gamma", 90)))


def make(folder: Path) -> dict[str, list[Path]]:
    """Write the seeds of every kind to ``folder``; returns their paths. A seed with a second file has it beside it."""
    found: dict[str, list[Path]] = {name: [] for name in KINDS}

    def add(kind: str, data: bytes | str) -> Path:
        path = folder / f"{kind.replace('.', '-')}-{len(found[kind])}{KINDS[kind].suffix}"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        found[kind].append(path)
        return path

    import numpy as np

    from support import header_variants

    _add_reflections(add)
    _add_atoms(add)
    _add_images(add, folder)
    add("matrix", _MATRIX)
    add("sources", _SOURCES)
    add("geom", _GEOM)
    add("spectrum", "1.00 1.0 0.001\n1.01 2.0 0.002\n1.02, 0.5\n")
    add("spectrum", "energy weight\n9000 1\n9050 2\n")
    add("stol", "0.0 2.57\n0.1 2.5\n0.2 2.4\n0.5 1.0\n")
    add("background", np.full((4, 4), 0.5, "<f4").tobytes())
    for name, data in header_variants.variants().items():
        if len(data) < 2 * 10**5:
            add("dtrek" if name.endswith(".img") else "imgcif" if name.startswith("full") else "cbf", data)
    add("hkl.gz", gzip.compress(found["hkl"][0].read_bytes()))
    add("cif.bz2", bz2.compress(found["sf-cif"][0].read_bytes()))
    add("smv.gz", gzip.compress(found["smv"][0].read_bytes()))
    add("cbf.gz", gzip.compress(found["cbf"][0].read_bytes()))
    kinds = {".expt": "expt", ".geom": "geom", ".cell": "cell", ".nxs": "nxmx", ".mtz": "mtz", ".pdb": "pdb",
             ".cif": "sf-cif"}
    for path in sorted((ROOT / "tests" / "data").rglob("*")):
        if path.suffix in kinds and path.stat().st_size < 200_000:
            add(kinds[path.suffix], path.read_bytes())
    return found


def _add_reflections(add: Callable[[str, bytes | str], Path]) -> None:
    import gemmi
    import numpy as np

    cell, group = gemmi.UnitCell(20, 24, 30, 90, 90, 90), gemmi.SpaceGroup("P 21 21 21")
    hkl = gemmi.make_miller_array(cell, group, 5.0)
    values = np.random.default_rng(8).uniform(10.0, 90.0, len(hkl)).round(2)
    rows = [(*(int(index) for index in row), float(value)) for row, value in zip(hkl, values, strict=True)]
    add("hkl", "".join("{} {} {} {}\n".format(*row) for row in rows) + "# end\n1, 2, -3, 8.5\n")
    for labels in ((("FC", "F"), ("PHIC", "P")), (("F(+)", "G"), ("F(-)", "G")), (("IMEAN", "J"), ("SIGIMEAN", "Q"))):
        mtz = gemmi.Mtz(with_base=True)
        mtz.spacegroup = group
        mtz.add_dataset("d")
        mtz.set_cell_for_all(cell)
        for label, kind in labels:
            mtz.add_column(label, kind)
        mtz.set_data(np.column_stack([hkl, values, values[::-1]]).astype(np.float32))
        add("mtz", mtz.write_to_bytes())
    operations = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{op.triplet()}'\n" for op in group.operations())
    for kind, mark, head, tags in (
            ("sf-cif", ".", "_symmetry.space_group_name_H-M 'P 21 21 21'\n", ("F_meas_au", "F_meas_sigma_au")),
            ("sf-cif", ".", "_symmetry.Int_Tables_number 19\n_space_group.name_H-M_full 'P 21 21 21'\n",
             ("pdbx_I_plus", "pdbx_I_minus")),
            ("fcf", "_", operations, ("F_squared_meas", "F_squared_sigma"))):
        names = "".join(f"_refln{mark}{tag}\n" for tag in ("index_h", "index_k", "index_l", *tags))
        table = "".join("{} {} {} {} 0.5\n".format(*row) for row in rows)
        add(kind, f"data_r1abcsf\n{_CIF_CELL.format(m=mark)}{head}loop_\n{names}{table}")
    add("xds", "!FORMAT=XDS_ASCII    MERGE=FALSE    FRIEDEL'S_LAW=FALSE\n!SPACE_GROUP_NUMBER=   19\n"
        "!UNIT_CELL_CONSTANTS=    20.000    24.000    30.000  90.000  90.000  90.000\n!NUMBER_OF_ITEMS_IN_EACH_DATA_"
        "RECORD=5\n!ITEM_H=1\n!ITEM_K=2\n!ITEM_L=3\n!ITEM_IOBS=4\n!ITEM_SIGMA(IOBS)=5\n!END_OF_HEADER\n"
        + "".join("{} {} {} {} 0.5\n".format(*row) for row in rows) + "!END_OF_DATA\n")
    shelx = add("shelx", "".join("{:4d}{:4d}{:4d}{:8.2f}{:8.2f}{:4d}\n".format(*row, 0.1, 1) for row in rows)
                + "   0   0   0    0.00    0.00   0\n")
    shelx.with_suffix(".ins").write_text(_INS)
    add("sca", "    1\n -987\n    20.000    24.000    30.000    90.000    90.000    90.000 p212121\n"
        + "".join("{:4d}{:4d}{:4d}{:8.1f}{:8.1f}\n".format(*row, 0.5) for row in rows))
    grid = np.zeros((4, 4, 4), "<f8")
    grid[:3, :3, :3] = values[:27].reshape(3, 3, 3)
    add("dump", b"0 2 0 2 0 2\n\f" + grid.tobytes())


def _add_atoms(add: Callable[[str, bytes | str], Path]) -> None:
    import gemmi

    for path in sorted((ROOT / "cubragg" / "examples").iterdir()):
        if path.suffix == ".pdb":
            lines = path.read_text().splitlines(keepends=True)
            atoms = [line for line in lines if line.startswith("ATOM")][:60]
            text = "".join([line for line in lines if not line.startswith(("ATOM", "TER", "END"))] + atoms + ["END\n"])
            add("pdb", text)
            structure = gemmi.read_pdb_string(text)
            structure.setup_entities()
            add("mmcif", structure.make_mmcif_document().as_string())
        elif path.suffix == ".cif":
            add("small-cif", path.read_bytes())


def _add_images(add: Callable[[str, bytes | str], Path], folder: Path) -> None:
    """Images, geometry files and experiments of a small run."""
    import fabio.edfimage
    import numpy as np

    from support.command import invoke

    base = ("-default_F 100 -cell 50 60 70 90 90 90 -lambda 2 -N 5 -distance 100 -oversample 1 "
            "-seed 1 -osc 1 -phisteps 2 -backend numpy --quiet ")

    def out(name: str) -> Path:
        return folder / f"made-{name}"

    sensor = "-detector_thick 320 -detector_abs 500 --semantics physical"
    lines = (f"-floatfile {out('f.bin')} -intfile {out('i.img')} --cbffile {out('c.cbf')} --nxmx {out('n.nxs')} "
             f"--tiff {out('t.tif')} --expt {out('e.expt')} --cell-file {out('c.cell')} --geom {out('g.geom')} "
             f"--save-config {out('x.toml')} --truth {out('r.csv')} --truth-min 0",
             f"--detector pilatus100k -roi 0 3 0 3 {sensor} --expt {out('p.expt')} -nonoise -floatfile {out('p.bin')} "
             f"--save-config {out('p.toml')}",
             f"{sensor} --smv-flavor adsc -noisefile {out('a.img')} --save {out('d.h5')} -floatfile {out('d.bin')} "
             f"--truth {out('r.h5')} --truth-min 0",
             f"-mosaic 0.5 -mosaic_domains 2 -hdivrange 1 -hdivstep 0.5 -dispersion 1 -dispsteps 2 "
             f"--save {out('d.npy')} -floatfile {out('q.bin')} --save-config {out('q.toml')} --truth {out('r.refl')} "
             "--truth-min 0")
    for line in lines:
        size = "" if "--detector " in line else "-pixel 5 -detpixels 12 "
        result = invoke(f"{base}{size}{line}")
        if result.exit_code:
            raise RuntimeError(f"{line}: {result.stderr}")
    for kind, names in (("float", ("f.bin",)), ("smv", ("i.img", "a.img")), ("cbf", ("c.cbf",)),
                        ("nxmx", ("n.nxs", "d.h5")), ("tiff", ("t.tif",)), ("expt", ("e.expt", "p.expt")),
                        ("cell", ("c.cell",)), ("geom", ("g.geom",)), ("toml", ("x.toml", "p.toml", "q.toml")),
                        ("npy", ("d.npy",)),
                        ("truth-csv", ("r.csv",)), ("truth-h5", ("r.h5",)), ("truth-refl", ("r.refl",))):
        for name in names:
            add(kind, out(name).read_bytes())
    (folder / "good.img").write_bytes(out("i.img").read_bytes())
    edf = folder / "made.edf"
    fabio.edfimage.EdfImage(data=np.arange(120, dtype=np.int32).reshape(10, 12)).write(str(edf))
    add("edf", edf.read_bytes())
    expt = json.loads(out("e.expt").read_text())
    expt["detector"][0]["panels"][0]["mask"] = [[1, 1, 3, 4]]
    add("expt", json.dumps(expt))
    _add_nexus(add, folder)
    trace = folder / "made-trace.json"
    invoke(f"trace 1 1 --json {trace} -lambda 2 -N 2 {CELL} -default_F 10 -detpixels 4 -pixel 8 -oversample 1")
    add("trace", trace.read_bytes())


def _add_nexus(add: Callable[[str, bytes | str], Path], folder: Path) -> None:
    """An NXmx file with everything that turns, and a master file as of a DECTRIS detector."""
    import h5py
    import numpy as np

    from support import nexus_file

    path = folder / "made-modules.nxs"
    nexus_file.write(path)
    add("nxmx", path.read_bytes())
    path = folder / "made-master.h5"
    with h5py.File(path, "w") as file:
        entry = nexus_file.group(file, "entry", "NXentry")
        instrument = nexus_file.group(entry, "instrument", "NXinstrument")
        beam, detector = (nexus_file.group(instrument, name, f"NX{name}") for name in ("beam", "detector"))
        beam["incident_wavelength"] = 1.0
        for name, value in (("x_pixel_size", 7.5e-5), ("y_pixel_size", 7.5e-5), ("detector_distance", 0.1),
                            ("beam_center_x", 6.0), ("beam_center_y", 5.0), ("sensor_thickness", 4.5e-4),
                            ("count_time", 0.1), ("frame_time", 0.1), ("saturation_value", 50000)):
            detector[name] = value
        detector["sensor_material"] = "Si"
        specific = nexus_file.group(detector, "detectorSpecific", "NXcollection")
        specific["x_pixels_in_detector"], specific["y_pixels_in_detector"] = 12, 10
        specific["pixel_mask"] = np.eye(10, 12, dtype=np.uint32)
        sample = nexus_file.group(entry, "sample", "NXsample")
        goniometer = nexus_file.group(sample, "goniometer", "NXgoniometer")
        goniometer["omega"], goniometer["omega_increment"] = [0.0, 0.1, 0.2], 0.1
        data = nexus_file.group(entry, "data", "NXdata")
        counts = np.arange(360, dtype=np.uint32).reshape(3, 10, 12)
        data.create_dataset("data", data=counts, chunks=(1, 10, 12), compression="gzip")
    add("master", path.read_bytes())


def line_for(line: str, name: str) -> str:
    """A command line of `Kind.lines` for the file ``name``."""
    return re.sub(r"\bF\b", name, line)


def mutated(kind: str, seed: Path, target: Path, rng: random.Random) -> None:
    """Write a mutation of ``seed`` to ``target``, and a mutated or equal second file beside it."""
    described = KINDS[kind]
    data = seed.read_bytes()
    if described.beside:
        second = seed.with_suffix(described.beside).read_bytes()
        if rng.random() < 0.6:
            second = text_mutated(second, rng)
        else:
            data = text_mutated(data, rng)
        target.with_suffix(described.beside).write_bytes(second[:MOST_BYTES])
        target.write_bytes(data[:MOST_BYTES])
        return
    if described.in_place is not None and rng.random() < 0.85:
        target.write_bytes(data)
        with contextlib.suppress(Exception):  # a mutation that h5py does not write; the earlier ones remain
            described.in_place(target, rng)
        return
    change = described.mutate if rng.random() < 0.8 and described.in_place is None else bytes_mutated
    target.write_bytes(change(data, rng)[:MOST_BYTES])
