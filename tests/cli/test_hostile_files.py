"""Files that are damaged, absurd or malicious: one line of error, nothing left behind, no more memory than they need.

tests/data/hostile has inputs that once gave a traceback, gigabytes of memory or pixels that are no numbers.
"""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import struct
from pathlib import Path

import gemmi
import h5py
import numpy as np
import pytest

from support import header_variants, nexus_file
from support.messages import refused

DATA = Path(__file__).parents[1] / "data" / "hostile"
BASE = "-lambda 2 -N 2 -distance 100 -detpixels 4 -pixel 8 -oversample 1 -backend numpy -floatfile out.bin "
CELL = "-cell 50 60 70 90 90 90 "
FROM = BASE + CELL + "-default_F 10 --from F"
SIZE = 24000000


def lines_of(kind: str) -> str:
    return {"from": FROM, "cell": BASE + "-default_F 10 --from F", "hkl": BASE + "-hkl F", "config": "--config F",
            "sf": "sf F -o out.mtz --dmin 4", "view": "view F -o out.png", "compare": "compare F F",
            "sources": BASE + CELL + "-default_F 10 -sourcefile F", "matrix": BASE + "-default_F 10 -mat F",
            "text": BASE + CELL + "-hkl F"}[kind]


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("kind", "name", "says"), [
    ("from", "cbf_negative_image.cbf", ("F", "5.36871e+08", "polarization", "0 to 1")),
    ("from", "cbf_polarization_5.cbf", ("F", "5", "polarization", "0 to 1")),
    ("from", "cbf_negative_size.cbf", ("F", "-1", "Fastest-Dimension")),
    ("view", "cbf_negative_size.cbf", ("F", "-1", "Fastest-Dimension")),
    ("view", "cbf_overflow_size.cbf", ("F", "1073741824", "pixel")),
    ("from", "expt_polarization_5.expt", ("F", "5", "polarization", "0 to 1")),
    ("from", "expt_negative_size_mask.expt", ("F", "", "fast_pixels", "64")),
    ("from", "expt_tiny_volume.expt", ("F.goniometer[0].setting_rotation", "1e+300", "finite")),
    ("cell", "cell_a_1e300.cell", ("F:5", "1e300", "a")),
    ("cell", "cell_b_1e308.cell", ("F:6", "1e308", "b")),
    ("from", "geom_nan_image.geom", ("F:28", "1e300", "corner_y")),
    ("hkl", "fcf_rogue_index_memory.fcf", ("F", "0.07274 A", "1000", "wrong")),
    ("hkl", "mtz_huge_index.mtz", ("F", "", "index", "1073741824")),
    ("hkl", "mtz_rogue_index_memory.mtz", ("F", "", "index", "1073741824")),
    ("hkl", "mtz_label_not_utf8.mtz", ("F", "", "damaged", "header")),
    ("hkl", "sfcif_huge_index.cif", ("F", "", "index", "1073741824")),
    ("hkl", "ins_6e677569.hkl", ("F.ins", "1", "SYMM", "space group")),
    ("hkl", "ins_ad35ccc6.hkl", ("F.ins", "20 24 1e-300 90 90 90", "0.1 to 100000 A")),
    ("hkl", "ins_bba59bf2.hkl", ("F.ins", "20 1e+20 30 90 90 90", "0.1 to 100000 A")),
    ("sf", "sf_inf_occupancy.pdb", ("F", "inf", "atom number 45", "occupancy")),
    ("sf", "sf_nan.cif", ("F", "-inf", "occupancy")),
    ("config", "toml_int_too_large.toml", ("F", "", "whole number", "64 bits")),
    ("config", "nul_name.toml", ("F: sampling.mask_file", r"'\x00'", "file name")),
    ("sources", "src_tiny_wavelength.txt", ("-sourcefile, number 1", "9.99989e-321 m", "wavelength")),
])
def test_inputs_that_once_failed(run, folder, kind, name, says):
    with_suffix = f"f{Path(name).suffix}"
    shutil.copy(DATA / name, with_suffix)
    if name.startswith("ins"):
        shutil.copy((DATA / name).with_suffix(".ins"), "f.ins")
    where = says[0].replace("F.ins", "f.ins").replace("F", with_suffix)
    assert_refused(run, folder, kind, with_suffix, where, *says[1:])


def assert_refused(run, folder, kind, name, *says):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    line = lines_of(kind).replace(" F", f" {name}")
    result = run(line if kind in ("view", "compare", "sf") else f"{line} --quiet")
    refused(result, {"sources": 2, "compare": 5}.get(kind, 2 if ": sampling" in says[0] else 1), *says)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("name", "line"), [
    ("cbf_bytes_header.cbf", FROM), ("cbf_latin1.cbf", FROM), ("cbf_micro.cbf", FROM),
    ("mtz_no_dataset.mtz", BASE + "-hkl F")])
def test_inputs_that_are_read(run, folder, name, line):
    """A header in another encoding; an MTZ file without data sets, as before 1999."""
    shutil.copy(DATA / name, name)
    assert run(line.replace(" F", f" {name}") + " --quiet").exit_code == 0
    pixels = np.fromfile("out.bin", "<f4")
    assert np.isfinite(pixels).all()
    assert (pixels >= 0.0).all()
    assert pixels.any()


def test_an_image_with_signalling_nan(run, folder):
    """NumPy warns of a conversion of one; it is a pixel without a value."""
    shutil.copy(DATA / "view_nan.bin", "n.bin")
    result = run("view n.bin -o n.png")
    assert result.exit_code == 0
    assert Path("n.png").stat().st_size > 0
    assert "masked" in result.stdout


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("text", "says"), [
    ("[" * 100_000, ("f.expt", "", "JSON", "100 deep")),
    ('{"experiment": [' + "1" * 5000 + "]}", ("f.expt.experiment[0]", "inf", "object")),
    ('{"experiment": ' + "[" * 150 + "]" * 150 + "}", ("f.expt", "", "JSON", "100 deep")),
])
def test_json_of_any_depth_and_length(run, folder, text, says):
    Path("f.expt").write_text(text)
    assert_refused(run, folder, "from", "f.expt", *says)


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("text", "says"), [
    ("a = " + "[" * 100_000, ("f.toml", "", "TOML", "100 deep")),
    ("a = " + "1" * 5000, ("f.toml", "", "TOML", "64 bits")),
    ("a = " + "[" * 150 + "]" * 150, ("f.toml", "", "TOML", "100 deep")),
    ("a = 9223372036854775808", ("f.toml", "", "9223372036854775808", "64 bits")),
])
def test_toml_of_any_depth_and_length(run, folder, text, says):
    Path("f.toml").write_text(text)
    assert_refused(run, folder, "config", "f.toml", *says)


def write_nexus(**changes):
    """f.nxs, with datasets that are replaced."""
    nexus_file.write("f.nxs", mask="entry/instrument/detector/pixel_mask" not in changes)
    with h5py.File("f.nxs", "r+") as file:
        for name, settings in changes.items():
            attributes = dict(file[name].attrs) if name in file else {}
            if name in file:
                del file[name]
            made = file.create_dataset(name, **settings)
            made.attrs.update(attributes)


DETECTOR = "entry/instrument/detector"
HUGE = {"shape": (60000, 60000), "dtype": "u4", "chunks": (1000, 1000), "compression": "gzip"}


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("changes", "says"), [
    ({f"{DETECTOR}/pixel_mask": HUGE}, (f"/{DETECTOR}/pixel_mask", "60000 x 60000 pixels", str(SIZE))),
    ({f"{DETECTOR}/pixel_mask": {"shape": (5, 8000, 8000), "dtype": "u4", "chunks": (5, 80, 80)}},
     (f"/{DETECTOR}/pixel_mask", "8000 x 8000 pixels", str(SIZE))),
    ({f"{DETECTOR}/pixel_mask": {"shape": (65, 40), "maxshape": (None, None), "dtype": "u4", "chunks": (65000, 40000)}},
     (f"/{DETECTOR}/pixel_mask", "65000 x 40000", "chunk")),
    ({"entry/sample/transformations/phi": {"shape": (10**9,), "dtype": "f8", "chunks": (1000,)}},
     ("/entry/sample/transformations/phi", "1000000000", "10000000")),
    ({f"{DETECTOR}/module0/data_origin": {"data": [np.inf, np.inf]}},
     (f"/{DETECTOR}/module0/data_origin", "inf", "whole number")),
    ({f"{DETECTOR}/module2/data_size": {"data": [np.inf, np.inf]}},
     (f"/{DETECTOR}/module2/data_size", "inf", "whole number")),
    ({"entry/instrument/beam/incident_wavelength": {"data": np.array([2**63], dtype="u8")}},
     ("/entry/instrument/beam", "", "wavelength", "A is accepted")),
    ({f"{DETECTOR}/count_time": {"data": 1j}}, (f"/{DETECTOR}/count_time", "complex128", "number")),
    ({f"{DETECTOR}/count_time": {"data": 1e300}}, (f"/{DETECTOR}/count_time", "1e+60", "finite")),
    ({f"{DETECTOR}/module0/data_size": {"shape": (2,), "dtype": "i8", "external": [("/etc/hostname", 0, 16)]}},
     (f"/{DETECTOR}/module0/data_size", "/etc/hostname", "stored")),
])
def test_datasets_that_no_detector_has(run, folder, changes, says):
    """The declared shape is compared with the size of the file before anything is allocated."""
    write_nexus(**changes)
    assert_refused(run, folder, "from", "f.nxs", f"f.nxs: {says[0]}", *says[1:])


def test_links_to_absolute_paths(run, folder):
    write_nexus()
    with h5py.File("f.nxs", "r+") as file:
        del file[f"{DETECTOR}/pixel_mask"]
        file[f"{DETECTOR}/pixel_mask"] = h5py.ExternalLink("/etc/masks.h5", "/mask")
    assert_refused(run, folder, "from", "f.nxs", "f.nxs", "/etc/masks.h5", "link", "folder")


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize("kind", ["view", "compare"])
@pytest.mark.parametrize(("settings", "says"), [
    ({"shape": (1, 60000, 60000), "dtype": "u4", "chunks": (1, 1000, 1000)}, ("60000 x 60000 pixels", str(SIZE))),
    ({"shape": (1, 16, 16), "dtype": "u1", "external": [("/etc/passwd", 0, 256)]}, ("/etc/passwd", "stored")),
])
def test_images_that_take_gigabytes_or_other_files(run, folder, kind, settings, says):
    with h5py.File("f.h5", "w") as file:
        file.create_dataset("entry/data/data", **settings)
    assert_refused(run, folder, kind, "f.h5", "f.h5: /entry/data/data", *says)


def test_a_character_of_two_bytes_where_a_column_of_a_pdb_file_ends(run, folder):
    """gemmi had the second half of it in the name of the space group, which was then no text."""
    cell = "CRYST1   20.000   20.000   20.000  90.00  90.00  90.00\N{LATIN SMALL LETTER O WITH DIAERESIS}P 21 21 2"
    atom = "ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00 20.00           C"
    Path("f.pdb").write_text(f"{cell}\n{atom}\nEND\n", encoding="utf-8")
    result = run(lines_of("sf").replace("F", "f.pdb"))
    assert result.exit_code == 0, result.stderr
    assert gemmi.read_mtz_file("out.mtz").spacegroup.hm == "P 21 21 2"


@pytest.mark.parametrize("kind", ["view", "from"])
def test_a_heap_of_texts_in_which_hdf5_searches_for_ever(run, folder, kind):
    """The free space at the end of the heap has a size of 0 bytes."""
    with h5py.File("f.nxs", "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
    data = Path("f.nxs").read_bytes()
    text = data.index(b"NXentry", data.index(b"GCOL"))
    free = text + 8
    assert struct.unpack_from("<HHIQ", data, free)[0] == 0
    Path("f.nxs").write_bytes(data[:free] + bytes(16) + data[free + 16:])
    assert_refused(run, folder, kind, "f.nxs", "f.nxs", "heap of texts", "damaged")


def test_compressed_images_of_many_pixels(run, folder):
    """40 kB of gzip are an SMV image of 25 million pixels."""
    edge = 5001
    header = f"{{\nHEADER_BYTES=512;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1={edge};\nSIZE2={edge};\n}}"
    Path("f.img").write_bytes(gzip.compress(header.encode().ljust(512) + bytes(2 * edge * edge), 1))
    assert_refused(run, folder, "view", "f.img", "f.img", "5001 x 5001 pixels", str(SIZE))


def test_virtual_sources_with_absolute_paths(run, folder):
    layout = h5py.VirtualLayout(shape=(1, 16, 16), dtype="u1")
    layout[...] = h5py.VirtualSource("/etc/images.h5", "a", shape=(1, 16, 16))
    with h5py.File("f.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    Path("f.h5").write_bytes(Path("f.h5").read_bytes())
    assert_refused(run, folder, "view", "f.h5", "f.h5", "/etc/images.h5", "same folder")


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress)])
def test_files_that_decompress_to_gigabytes(run, folder, name, pack):
    """0.1 MB that decompress to more than 64 MiB, as members one after the other."""
    Path("f.hkl").write_bytes(pack(b"1 1 1 1\n" * 2**17) * 65)
    assert_refused(run, folder, "text", "f.hkl", "f.hkl", name, "67108864", "decompress it first")


def test_an_mtz_header_beyond_the_file(run, folder):
    """gemmi reads all that is before it: 2 GB, of a file of 0.3 kB."""
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup, mtz.cell = gemmi.SpaceGroup("P 1"), gemmi.UnitCell(20, 24, 30, 90, 90, 90)
    mtz.add_column("F", "F")
    mtz.set_data(np.array([[0, 0, 2, 5]], dtype=np.float32))
    mtz.write_to_file("f.mtz")
    data = Path("f.mtz").read_bytes()
    for position in (struct.pack("<i", 500_000_000), struct.pack("<i", -1) + data[8:12] + struct.pack("<q", 2**40)):
        Path("f.mtz").write_bytes(data[:4] + position + data[4 + len(position):])
        assert_refused(run, folder, "hkl", "f.mtz", "f.mtz", "", "truncated", "header")


def test_a_scalepack_cell_of_numbers_without_space(run, folder):
    Path("f.sca").write_text("    1\n -987\n    20.00024.000    30.000    90.000    90.000    90.000 p212121\n"
                             "   0   0   2    36.2     0.5\n")
    assert_refused(run, folder, "hkl", "f.sca", "f.sca:3", "5 numbers", "cell")


def test_a_reflection_loop_with_a_tag_that_is_too_short(run, folder):
    cell = "".join(f"_cell.{name} {value}\n" for name, value in (
        ("length_a", 20), ("length_b", 24), ("length_c", 30), ("angle_alpha", 90), ("angle_beta", 90),
        ("angle_gamma", 90)))
    Path("f.cif").write_text(f"data_x\n{cell}_symmetry.Int_Tables_number 19\nloop_\n_refln.index_h\n_refln.index_k\n"
                             "_refln.index_l\n_refln.F_meas\n_cell. 0 0 2 5 1\n")
    assert_refused(run, folder, "hkl", "f.cif", "f.cif", "", "reflections cannot be read")


@pytest.mark.requirement("AT-IO-011")
@pytest.mark.parametrize(("rows", "points"), [([(0, 0, 0), (511, 511, 512)], "h 0 to 511, k 0 to 511, l 0 to 512"),
                                              ([(0, 0, 0), (2**30, 2**30, 2**30)], "500000000 points")])
def test_a_box_of_indices_that_is_almost_empty(run, folder, rows, points):
    """One point more than 1 GiB of table; below, a list is read as nanoBragg reads it."""
    Path("f.hkl").write_text("".join("{} {} {} 5\n".format(*row) for row in rows))
    result = run(f"{BASE}{CELL}-hkl f.hkl --quiet")
    refused(result, 2, "-hkl", points, "indices")


def test_mtz_that_declares_more_than_it_has(run, folder):
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup("P 1")
    mtz.set_cell_for_all(gemmi.UnitCell(50, 60, 70, 90, 90, 90))
    mtz.add_dataset("d")
    mtz.add_column("FP", "F")
    mtz.set_data(np.array([[1, 0, 0, 5], [0, 1, 0, 6]], dtype=np.float32))
    whole = mtz.write_to_bytes()
    for old, new in ((b"NCOL        4            2", b"NCOL        4   2000000000"),
                     (b"NDIF        2  ", b"NDIF 2147483647")):
        assert old in whole
        Path("f.mtz").write_bytes(whole.replace(old, new))
        assert_refused(run, folder, "hkl", "f.mtz", "f.mtz", "", "damaged", "header")


def test_a_short_line_of_atoms_is_one_line_of_error(run, folder):
    """gemmi's message quotes the line on a second one."""
    lines = (DATA / "sf_inf_occupancy.pdb").read_text().replace(" inf ", "1.00 ").splitlines()
    cut = next(number for number, line in enumerate(lines) if line.startswith("ATOM"))
    Path("f.pdb").write_text("\n".join([*lines[:cut], lines[cut][:20], *lines[cut:]]))
    assert_refused(run, folder, "sf", "f.pdb", "f.pdb", "ATOM", "short")


@pytest.mark.parametrize("angle", ["180", "0", "1e300", "-90"])
def test_angles_that_form_no_cell(run, folder, angle):
    """gemmi refuses multiples of 180 deg with an error of its own."""
    Path("f.HKL").write_text("!FORMAT=XDS_ASCII    MERGE=FALSE\n!SPACE_GROUP_NUMBER=1\n!UNIT_CELL_CONSTANTS= 20 24 30 "
                             f"90 90 {angle}\n!ITEM_H=1\n!ITEM_K=2\n!ITEM_L=3\n!ITEM_IOBS=4\n!ITEM_SIGMA(IOBS)=5\n"
                             "!END_OF_HEADER\n1 0 0 5 1\n!END_OF_DATA\n")
    if angle == "1e300":
        assert_refused(run, folder, "hkl", "f.HKL", "f.HKL: UNIT_CELL_CONSTANTS", "1e300", "magnitude")
    else:
        assert_refused(run, folder, "hkl", "f.HKL", "f.HKL", f"20 24 30 90 90 {angle}", "angle", "cell")


@pytest.mark.parametrize("size", ["1" * 5000, "\u00b2"])
def test_slabs_with_numbers_that_are_none(run, folder, size):
    """dim0 = is a word unless it is a whole number of some digits, which Python's isdigit does not say."""
    text = (DATA / "geom_nan_image.geom").read_text().replace("1e300", "0").replace("dim0 = %", f"dim0 = {size}")
    Path("f.geom").write_text(text)
    flags = "-cell 50 60 70 90 90 90 -default_F 10 -N 2 -oversample 1 -backend numpy -floatfile out.bin --quiet"
    assert run(f"{flags} --from f.geom").exit_code == 0


def test_control_characters_do_not_reach_the_terminal(run, folder):
    Path("f.mat").write_text("1 0 0 0 \x1b[31m1 0 0 0 1\n")
    assert_refused(run, folder, "matrix", "f.mat", "f.mat:1", r"\x1b[31m1")


def test_a_sensor_at_a_wavelength_without_absorption(run, folder):
    data = header_variants.cbf().replace(b"# Wavelength 0.97950 A", b"# Wavelength 1e-20 A")
    assert b"1e-20" in data
    assert b"sensor" in data
    Path("f.cbf").write_bytes(data)
    assert_refused(run, folder, "from", "f.cbf", "f.cbf: beam", "1e-20 A", "wavelength")


def test_text_that_is_not_utf8(run, folder):
    """A space group in another encoding is an unknown one; in the columns of a PDB file a character is one byte."""
    atoms = (DATA / "sf_inf_occupancy.pdb").read_bytes().replace(b" inf ", b"1.00 ")
    Path("f.pdb").write_bytes(atoms.replace(b"P 21 21 21", b"P 21 21 2\xe9"))
    assert_refused(run, folder, "sf", "f.pdb", "f.pdb", "'P 21 21 2?'", "space group")
    reflections = (DATA / "sfcif_huge_index.cif").read_bytes()
    assert b"'P 21 21 21'" in reflections
    Path("f.cif").write_bytes(reflections.replace(b"'P 21 21 21'", b"'P 21 21 2\xe9'"))
    assert_refused(run, folder, "hkl", "f.cif", "f.cif", "'P 21 21 2\u00e9'", "space group")


@pytest.mark.parametrize(("record", "dmin", "says"), [
    ("   42.000 4500.000   58.000  90.00  90.00  90.00 P 21 21 21", 2, ("4 atoms", "unique reflections", "cell")),
    ("   20.000   20.000   20.000  90.00  90.00   1.00 P 1", 4, ("20 20 20 90 90 1", "too small", "solvent"))])
def test_cells_that_do_not_suit_their_atoms(run, folder, record, dmin, says):
    atom = "ATOM      1  N   ALA A   1      44.810  32.728   9.313  1.00 24.94           N\n"
    Path("f.pdb").write_text(f"CRYST1{record}\n{atom}")
    refused(run(f"sf f.pdb -o out.mtz --dmin {dmin}"), 1, "f.pdb", *says)


def test_tiff_directories_in_a_circle(run, folder):
    """fabio follows the chain from directory to directory."""
    entries = b"".join(struct.pack("<HHII", *entry) for entry in ((256, 4, 1, 2), (257, 4, 1, 2)))
    Path("f.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 8))
    assert_refused(run, folder, "view", "f.tif", "f.tif", "", "TIFF", "circle")


def test_edf_with_a_billion_dimensions(run, folder):
    """fabio counts up to the number of the last one."""
    header = "{\nHeaderID = EH:000001:000000:000000 ;\nDim_1 = 2 ;\nDim_4294967296 = 2 ;\nDataType = SignedInteger ;\n"
    Path("f.edf").write_bytes((header.ljust(510) + "}\n").encode() + struct.pack("<4i", 1, 2, 3, 4))
    assert_refused(run, folder, "view", "f.edf", "f.edf", "9", "EDF", "dimension")


def test_a_detector_that_takes_gigabytes_to_render(run, folder):
    document = json.loads((DATA / "expt_polarization_5.expt").read_text())
    document["detector"][0]["panels"][0]["image_size"] = [20000, 20000]
    Path("f.expt").write_text(json.dumps(document))
    assert_refused(run, folder, "from", "f.expt", "f.expt", "20000 x 20000 pixels", "96000000")


@pytest.mark.parametrize("mask", ["", "p/mask_edge_pixels = 1\n"])
def test_a_panel_that_takes_gigabytes(run, folder, mask):
    text = (DATA / "geom_nan_image.geom").read_text().replace("1e300", "0")
    assert "p/max_ss = 9\n" in text
    Path("f.geom").write_text(text.replace("p/max_ss = 9\n", f"p/max_ss = 999999999\n{mask}"))
    assert_refused(run, folder, "from", "f.geom", "f.geom", "1000000000 pixels")


@pytest.mark.parametrize(("change", "says"), [
    ({"wavelength": 1e20}, ("beam", "1e+20 A", "wavelength")),
    ({"polarization_fraction": -1.0}, ("beam", "-1", "polarization")),
])
def test_beams_that_do_not_exist(run, folder, change, says):
    document = json.loads((DATA / "expt_polarization_5.expt").read_text())
    document["beam"][0].update({"polarization_fraction": 0.5, **change})
    Path("f.expt").write_text(json.dumps(document))
    assert_refused(run, folder, "from", "f.expt", f"f.expt: {says[0]}", *says[1:])


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize(("flags", "says"), [
    ("-cell 0.01 60 70", ("-cell", "0.01 A", "0.1 to 100000 A")),
    ("-cell 50 1e6 70", ("-cell", "1e+06 A", "0.1 to 100000 A")),
    ("-lambda 1e5", ("-lambda", "100000 A", "0.0001 to 20000 A")),
    ("-polar 5", ("-polar", "5", "-1 to 1")),
    ("-pixel 1e9", ("-pixel", "1e+09 mm", "1e-06 to 100000 mm")),
    ("-distance 1e12", ("-distance", "1e+12 mm", "1e+09 mm")),
    ("-fluence 1e90", ("-fluence", "1e+90", "1e+60")),
    ("-phi 1e9", ("-phi", "1e+09 deg", "1e+06 deg")),
])
def test_flags_beyond_what_exists(run, folder, flags, says):
    result = run(f"-default_F 1 -cell 50 60 70 90 90 90 -lambda 1 -N 2 -detpixels 4 -floatfile out.bin --quiet {flags}")
    refused(result, 2, *says)
