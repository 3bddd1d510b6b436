"""A command line, saved, gives the same counts in the same formats again."""

from __future__ import annotations

import hashlib
import random
import tomllib
from pathlib import Path

import numpy as np
import pytest

import cubragg as cb
from cubragg.cli.flags import FLAGS
from cubragg.cli.saved_run import SAVED
from support.command import smv
from support.marks import slow_after
from support.messages import refused

#: Choices for parts of a line in physical semantics; one of each is drawn.
PHYSICAL = (
    ("-hkl P1.hkl", "-default_F 30"),
    ("-cell 50 60 70 80 90 100", "-cell 60 60 60"), ("", "-misset 10 20 30", "-misset random"),
    ("-N 5", "--block-size 0.05", "-xtalsize 0.0003"), ("", "--crystal-size 0.01", "--crystal-size 0.02 0.01 0.01 "
     "--crystal-habit sphere --crystal-offset 0.003 0 0"), ("", "--mosaicity 0.2", "--mosaicity 0.1 0.2 0.3"),
    ("", "--strain 0.002"), ("-lambda 6.2", "--spectrum s.spec", "-lambda 6.2 --bandwidth 0.01",
     "-lambda 6.2 --bandwidth-fwhm 0.01"),
    ("", "--beam-divergence 1", "--beam-divergence-deg 0.05 0.02"), ("-fluence 1e24", "-flux 1e14 -exposure 0.5"),
    ("", "--beam-profile gaussian --beam-size 0.02 0.01"), ("", "-polar 0.5", "-nopolar"), ("", "--F000 300"),
    ("", "--direct-beam 1e-9"), ("", "--beamstop 2", "--beamstop 1 2 --beamstop-distance 20 --beamstop-arm 0.3"),
    ("-distance 100 -detpixels 16 -pixel 2", "-distance 100 -detpixels 16 -pixel 2 -xds -ORGX 9 -twotheta 5",
     "-distance 100 -detpixels 16 -pixel 2 -detector_thick 100 -detector_abs 200"),
    ("", "-roi 2 12 3 14", "-mask m.img -distance 100 -pixel 2"),
    ("", "-osc 1 --images 2", "-osc 0.5 -phi 10"), ("", "-dmin 8", "--cull 1e-8"),
    ("", "--background water=20,constant=2", "--background air=5:20,ice=2,ice-grains=50", "--background radial=r.txt",
     "-stol stol.txt -density 1.2"),
    ("", "--response psf=gauss,psf-fwhm=500", "--response kind=integrating,gain=3,readout-sigma=0.5,pedestal=10",
     "--response flat-field-sigma=0.1,dead-fraction=0.05,count-cutoff=500,calibration-seed=3",
     "--response dead-time=2000000,flicker=0.1"),
    ("--method analytic", "--method analytic --tail 5", "--method analytic --precision single",
     "-oversample 2 -phisteps 2 -mosaic_domains 3", "-oversample 1 --precision double"),
    ("-seed 5", ""), ("-adc 7", ""), ("-scale 3", "", ""),
    ("--tiff-type uint16", "--tiff-type float32", ""), ("--truth-min 0.1", ""),
)
#: The same for nanoBragg's flags.
NANOBRAGG = (
    ("-hkl P1.hkl", "-default_F 30"), ("-cell 50 60 70 80 90 100",), ("-N 5", "-xtalsize 0.0003"),
    ("", "-misset random"), ("-lambda 6.2", "-sourcefile s.txt"), ("", "-mosaic 1 -mosaic_domains 3"),
    ("-distance 100 -detpixels 16 -pixel 2",), ("", "-osc 1 --images 2"), ("", "-water 10"), ("", "-roi 2 12 3 14"),
    ("-fluence 1e24",), ("-oversample 2",),
    ("", "--noise-rng reference"), ("-seed 5", ""), ("-adc 7", ""), ("", "--smv-flavor adsc"), ("-scale 3", ""),
)
OUTPUT = ("-floatfile {0}.bin", "-noisefile {0}.img", "--save {0}.npy", "--tiff {0}.tif", "--truth {0}.csv")


def drawn(seed: int) -> str:
    """A random command line, one in four with nanoBragg's flags and quirks."""
    choose = random.Random(seed)
    physical = seed % 4 != 0
    words = [choose.choice(choices) for choices in (PHYSICAL if physical else NANOBRAGG)]
    return " ".join(words) + " --semantics physical" * physical


def outputs(stem: str) -> str:
    return " ".join(OUTPUT).format(stem)


def written(stem: str) -> dict[str, bytes]:
    """Contents of the files of a line by name."""
    return {path.name.removeprefix(stem): path.read_bytes() for path in Path().glob(f"{stem}*")
            if path.suffix in (".bin", ".img", ".npy", ".tif", ".csv")}


@pytest.fixture
def files(inputs, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    (inputs / "r.txt").write_text("0 3\n0.05 2\n0.2 1\n")
    (inputs / "stol.txt").write_text("0 8\n0.05 9\n0.2 4\n")
    smv(inputs / "m.img", np.ones((16, 16)) * (np.arange(16) != 4))
    return inputs


@pytest.mark.requirement("AT-CLI-017")
@pytest.mark.parametrize("seed", slow_after(8, range(72)))
def test_a_saved_line_gives_the_same_files(run, files, seed):
    line = drawn(seed)
    first = run(f"{line} {outputs('a')} --save-config saved.toml --quiet --threads 1")
    assert first.exit_code == 0, (line, first.stderr)
    second = run(f"--config saved.toml {outputs('b')} --save-config again.toml --quiet --threads 1")
    assert second.exit_code == 0, (line, second.stderr)
    one, two = written("a"), written("b")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == [], line
    assert len(one) >= len(OUTPUT)
    assert Path("saved.toml").read_text() == Path("again.toml").read_text()


@pytest.mark.requirement("AT-CLI-017")
def test_flags_override_what_is_saved(run, files):
    line = "-default_F 30 -cell 50 -N 5 -lambda 6.2 -distance 100 -detpixels 16 -pixel 2 --semantics physical"
    assert run(f"{line} --method analytic -seed 5 --images 2 -osc 1 --save a.npy --save-config e.toml").exit_code == 0
    run_section = tomllib.loads(Path("e.toml").read_text())["run"]
    assert run_section == {"method": "analytic", "images": 2, "seed": 5}
    result = run("--config e.toml -seed 6 --images 1 --method sampled --save b.npy --save-config f.toml")
    assert result.exit_code == 0
    assert tomllib.loads(Path("f.toml").read_text())["run"] == {"seed": 6}
    assert Path("b.npy").exists()
    assert cb.read("e.toml") == cb.read("f.toml")


MAPS = ("-default_F 30 -cell 50 -N 5 -lambda 6.2 -detpixels 16 -semantics physical -distance 100 -pixel 2 -mask m.img "
        "--spectrum s.spec --background image=bg.npy,radial=r.txt --response dead-fraction=0.1,bad-pixels=bad.npy")
NAMED = {"background": ("image", "radial"), "response": ("bad_pixels",), "sampling": ("mask",), "beam": ("spectrum",)}


@pytest.fixture
def maps(files):
    rng = np.random.default_rng(1)
    np.save(files / "bg.npy", rng.uniform(0, 9, (16, 16)).astype(np.float32))
    np.save(files / "bad.npy", rng.integers(0, 3, (16, 16), dtype=np.uint8))
    return files


@pytest.mark.requirement("AT-CLI-018")
def test_maps_are_named_with_their_digest(run, maps):
    assert run(f"{MAPS} -seed 3 --save a.npy --save-config saved.toml --quiet").exit_code == 0
    text = Path("saved.toml").read_text()
    assert "base64" not in text
    document = tomllib.loads(text)
    for section, names in NAMED.items():
        for name in names:
            assert name not in document[section]
            file = maps / document[section][f"{name}_file"]
            assert document[section][f"{name}_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert run("--config saved.toml --save b.npy --quiet").exit_code == 0
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    counts = np.load("a.npy")  # -1 in masked pixels
    assert np.array_equal(cb.simulate(cb.read("saved.toml")).counts(3), np.maximum(counts, 0))
    # A flag replaces what is named, and its file.
    assert run("--config saved.toml --background constant=1 --save-config other.toml --save c.npy").exit_code == 0
    other = tomllib.loads(Path("other.toml").read_text())
    assert not {"image_file", "radial_file"} & other["background"].keys()
    assert other["beam"]["spectrum_file"] == "s.spec"


@pytest.mark.requirement("AT-CLI-018")
@pytest.mark.parametrize(("change", "says"), [
    (lambda: np.save("bg.npy", np.ones((16, 16), np.float32)),
     ("saved.toml: background.image_file", "bg.npy", "SHA-256", "image_sha256")),
    (lambda: Path("bad.npy").unlink(), ("saved.toml: response.bad_pixels_file", "bad.npy", "no such file"))])
def test_a_map_that_has_changed_is_refused(run, maps, change, says):
    assert run(f"{MAPS} --save a.npy --save-config saved.toml --quiet").exit_code == 0
    change()
    refused(run("--config saved.toml --save b.npy"), 2, *says)
    assert not Path("b.npy").exists()


@pytest.mark.parametrize(("text", "says"), [
    ("background = {image_file = 3}", ("e.toml: background.image_file", "3", "file name")),
    ("background = {image_file = 'd'}", ("e.toml: background.image_file", "'d'", "folder")),
    ("background = {image_file = 'bg.npy', image = [[1.0]]}", ("e.toml: background.image_file", "", "leave one")),
    ("beam = {spectrum_file = 'r.txt'}", ("r.txt:1", "0", "> 0"))])
def test_wrong_names_of_maps(run, maps, text, says):
    Path("d").mkdir()
    Path("e.toml").write_text(f"{text}\n")
    result = run("-default_F 1 -cell 50 -detpixels 8 --semantics physical --config e.toml -floatfile a.bin")
    refused(result, result.exit_code, *says)
    assert result.exit_code in (1, 2)


@pytest.mark.parametrize(("flags", "file", "reader"), [
    ("--background image=bg.npy", "bg.npy", "--background"), ("--response bad-pixels=bad.npy", "bad.npy", "--response"),
    ("--background stol=stol.txt:1", "stol.txt", "--background"), ("-stol stol.txt", "stol.txt", "-stol")])
def test_a_map_or_table_is_not_overwritten_by_an_output(run, maps, flags, file, reader):
    line = "-default_F 30 -cell 50 -N 5 -lambda 6.2 -distance 100 -detpixels 16 -pixel 2 -semantics physical"
    before = Path(file).read_bytes()
    refused(run(f"{line} {flags} -floatfile {file}"), 2, "-floatfile", f"'{file}'", reader)
    assert Path(file).read_bytes() == before


@pytest.mark.parametrize(("text", "says"), [
    ("method = 'exact'", ("e.toml: run.method", "'exact'", "analytic")),
    ("method = 5", ("e.toml: run.method", "5", "analytic")),
    ("seed = 'x'", ("e.toml: run.seed", "'x'", "number")),
    ("seed = 1.5", ("e.toml: run.seed", "1.5", "number")),
    ("seed = -1", ("e.toml: run.seed", "-1", "seed")),
    ("images = 0", ("e.toml: run.images", "0", "images")),
    ("cull = nan", ("e.toml: run.cull", "nan", "tolerance")),
    ("backend = 'numpy'", ("e.toml: run.backend", "", "no such setting")),
])
def test_wrong_settings_of_the_run_are_named(run, folder, text, says):
    (folder / "e.toml").write_text(f"[run]\n{text}\n")
    refused(run("-default_F 1 -cell 50 -detpixels 8 --config e.toml -floatfile a.bin"), 2, *says)


def test_every_saved_setting_has_a_flag():
    assert set(SAVED) <= {field.removeprefix("run.") for flag in FLAGS for field in flag.fields}
