"""``cubragg stills`` and ``cubragg sweep``: from a model to a folder, defaults, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import h5py
import pytest

from cubragg.dataset.verification import faults
from support.messages import refused

MODEL = str(Path(__file__).resolve().parents[2] / "cubragg" / "examples" / "helix_bundle.pdb")
DETECTOR = "--detector pilatus100k --distance 60"
STILLS = f"stills {MODEL} {DETECTOR} -n 3 --seed 7 -o run"
SWEEP = f"sweep {MODEL} {DETECTOR} --images 3 --osc 0.2 -o run"
ONE = "--workers 1"


def spec(folder="run"):
    return tomllib.loads((Path(folder) / "spec.toml").read_text())


def test_a_model_of_the_package_has_a_name(run):
    assert run(f"stills helix_bundle.pdb {DETECTOR} -n 1 --dmin 4 -o run {ONE}").exit_code == 0
    assert Path("run", spec()["model"]["file"]).resolve() == Path(MODEL)


def test_stills_of_a_model_need_nothing_else(run):
    result = run(f"{STILLS} {ONE}")
    assert result.exit_code == 0
    assert list(faults("run")) == []
    defaults = [line for line in result.stderr.splitlines() if line.startswith("default: ")]
    for setting in ("beam.wavelength_A = 1 A", "crystal.block_size_um = 1 um", "crystal.size_mm = 0.02 mm",
                    "crystal.mosaicity_deg = 0.1 deg", "beam.flux = 1e+13", "beam.exposure_s = 0.01",
                    "background.water_um = 20 um", "background.air_mm = 5 20 mm",
                    "response = pilatus100k: kind=counting,chips=60:97:1:1,count-cutoff=1048575"):
        assert any(setting in line for line in defaults), setting
    document = spec()
    assert document["experiment"]["crystal"]["size_mm"] == 0.02
    assert document["experiment"]["response"]["chips"] == [[60, 97], [1, 1]]
    assert document["experiment"]["background"] == {**document["experiment"]["background"], "water_um": 20.0}
    assert document["vary"] == {"crystal.orientation": {"uniform": True}}
    assert document["model"]["dmin_A"] > 1.2
    assert len(document["model"]["sha256"]) == 64
    with h5py.File("run/master.nxs") as file:
        assert file["/entry/data/data"].shape == (3, 195, 487)
    manifest = Path("run/manifest.jsonl").read_text()
    assert run(f"{STILLS} {ONE}").exit_code == 0
    assert Path("run/manifest.jsonl").read_text() == manifest


def test_a_sweep_of_a_model_needs_nothing_else(run):
    result = run(f"{SWEEP} {ONE} --start 30")
    assert result.exit_code == 0
    document = spec()
    (wedge,) = document["wedges"]
    assert (wedge["start_deg"], wedge["osc_deg"]) == (30.0, 0.2)
    angles = document["experiment"]["crystal"]["misset_deg"]
    assert f"crystal.misset_deg = {' '.join(f'{angle:.2f}' for angle in angles)}" in result.stderr
    with h5py.File("run/master.nxs") as file:
        assert file["/entry/sample/transformations/omega"][()] == pytest.approx([30.0, 30.2, 30.4])
    with h5py.File("run/shard-00002.nxs") as file:
        assert file["/entry/sample/transformations/omega"][()] == pytest.approx([30.4])
    scan = json.loads(Path("run/models.expt").read_text())["scan"][0]
    assert scan["oscillation"] == pytest.approx([30.0, 0.2])
    assert scan["image_range"] == [1, 3]


def test_a_sweep_has_wedges_and_a_goniometer(run):
    line = (f"sweep {MODEL} {DETECTOR} --osc 0.2 --sweep 0:2 --sweep 10:1:kappa=30 --goniometer-axis "
            f"kappa=0.3,0.2,0.9 --goniometer-axis omega=0,0,1 --inverse-beam 0.2 -o run")
    result = run(line)
    assert result.exit_code == 0
    document = spec()
    assert [wedge["start_deg"] for wedge in document["wedges"]] == pytest.approx([0, 180, 0.2, 180.2, 10, 190])
    assert document["wedges"][5]["angles_deg"] == {"kappa": 30.0}
    assert [axis["name"] for axis in document["experiment"]["goniometer"]["axes"]] == ["kappa", "omega"]
    assert len(list(Path("run").glob("master-*.nxs"))) == 6
    assert list(faults("run")) == []


def test_flags_replace_defaults_and_are_in_physical_semantics(run):
    line = (f"{STILLS} {ONE} --mosaicity 0.2 -N 30 -fluence 1e19 --background water=5 -lambda 1.2 --crystal-size 0.01 "
            "--dmin 4 --response ideal --truth none --dtype uint16 --compression none --shard 2 "
            "--vary cell=normal:0.002 --vary beam.bandwidth=uniform:0,0.001 --crystals poisson:1.5 --blank 0.1")
    result = run(line)
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if line.startswith("default: ")] == [
        "default: detector.thickness_um = 320 um, attenuation depth 146 um, layers 1 (-detector_thick, "
        "-detector_abs, -detector_thicksteps)",
        "default: crystal.shape = gauss (--crystal-shape)"]
    document = spec()
    assert document["experiment"]["crystal"]["mosaicity_deg"] == 0.2
    assert document["experiment"]["crystal"]["cells"] == [30, 30, 30]
    assert "block_size_um" not in document["experiment"]["crystal"]
    assert document["experiment"]["beam"]["flux"] == 0.0
    assert document["experiment"]["background"]["air_mm"] == [0.0, 0.0]
    assert document["model"]["dmin_A"] == 4.0
    assert document["vary"]["beam.bandwidth"] == {"uniform": [0, 0.001]}
    assert document["crystals"] == {"count": {"poisson": 1.5}, "blank": 0.1}
    assert {name: document["write"][name] for name in ("dtype", "compression", "shard", "truth")} == {
        "dtype": "uint16", "compression": "none", "shard": 2, "truth": []}
    assert not list(Path("run").glob("truth*"))


def test_a_detector_of_the_catalog_has_its_sensor(run):
    """Files describe the sensor, by whose absorption programs correct intensities and positions."""
    assert run(f"{SWEEP} {ONE} --quiet").exit_code == 0
    detector = spec()["experiment"]["detector"]
    assert (detector["thickness_um"], detector["thick_steps"]) == (320.0, 1)
    # dxtbx: 4.208 / mm at 1 A, with what silicon scatters.
    assert detector["attenuation_um"] == pytest.approx(1000.0 / 4.208, rel=0.07)
    with h5py.File("run/master.nxs") as file:
        assert file["/entry/instrument/detector/sensor_thickness"][()] == pytest.approx(320e-6)
    assert run(f"{SWEEP} {ONE} -detector_thick 0 --overwrite --quiet").exit_code == 0
    assert spec()["experiment"]["detector"]["thickness_um"] == 0.0
    assert run(f"{SWEEP} {ONE} -detector_abs 200 --overwrite --quiet").exit_code == 0
    assert spec()["experiment"]["detector"]["attenuation_um"] == 200.0
    assert spec()["experiment"]["detector"]["thickness_um"] == 320.0


def test_a_specification_is_a_model(run):
    assert run(f"{STILLS} {ONE}").exit_code == 0
    assert run(f"stills run/spec.toml -o again {ONE}").exit_code == 0
    contents = [[json.loads(line)["files"] for line in Path(folder, "manifest.jsonl").read_text().splitlines()[1:]]
                for folder in ("run", "again")]
    assert [{name: file["content"] for one in files for name, file in one.items()} for files in contents] == 2 * [
        {name: file["content"] for one in contents[0] for name, file in one.items()}]


@pytest.mark.parametrize("model", ["P1.hkl", pytest.param("F.mtz", marks=pytest.mark.slow)])
def test_reflections_are_models(run, inputs, model):
    if model == "F.mtz":
        assert run(f"sf {MODEL} -o F.mtz --dmin 4 --quiet").exit_code == 0
    cell = "-cell 20 21 22" if model == "P1.hkl" else ""
    assert run(f"stills {model} {cell} {DETECTOR} -n 1 -o run --quiet").exit_code == 0
    assert spec()["experiment"]["structure_factors"]["hkl_file"] == f"../{model}"


def test_geometry_of_other_programs(run):
    assert run(f"stills {MODEL} {DETECTOR} -n 1 -o first --quiet").exit_code == 0
    assert run(f"sweep {MODEL} --from first/models.expt --images 1 --osc 0.1 -o run --quiet").exit_code == 0
    one, other = (json.loads(Path(folder, "models.expt").read_text()) for folder in ("first", "run"))
    for name in ("origin", "fast_axis", "slow_axis"):
        assert other["detector"][0]["panels"][0][name] == pytest.approx(one["detector"][0]["panels"][0][name])
    for name in ("real_space_a", "real_space_c"):
        assert other["crystal"][0][name] == pytest.approx(one["crystal"][0][name])


def test_a_log_has_a_line_for_each_shard(run):
    assert run(f"{STILLS} {ONE} --shard 1 --log-json log.jsonl --quiet").exit_code == 0
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [line["done"] for line in lines] == [1, 2, 3]
    assert lines[-1]["shots_per_s"] > 0.0
    assert lines[-1]["record"]["shard"] == 2
    assert set(lines[-1]["stages"]) == {"render", "response", "truth", "write"}


def test_a_page_about_the_set(run):
    """Also of a set that is complete."""
    assert run(f"{STILLS} {ONE} --quiet").exit_code == 0
    assert not Path("run/report.html").exists()
    result = run(f"{STILLS} {ONE} --report")
    assert result.exit_code == 0
    assert "run/report.html" in result.stderr
    assert "stills: 3 shots" in Path("run/report.html").read_text()


def test_a_set_is_verified(run):
    assert run(f"{STILLS} {ONE} --quiet").exit_code == 0
    assert run("stills --verify run").exit_code == 0
    Path("run/truth-00001.refl").unlink()
    result = run("stills --verify run")
    assert result.exit_code == 1
    assert "truth-00001.refl: missing" in result.stdout
    assert "1 faults" in result.stderr


def test_another_set_is_refused_with_the_difference(run):
    assert run(f"{STILLS} {ONE} --quiet").exit_code == 0
    other = STILLS.replace("--seed 7", "--seed 8")
    refused(run(f"{other} {ONE} --quiet"), 1, "run", "seed: 7, now 8", "overwrite")
    assert run(f"{other} {ONE} --quiet --overwrite").exit_code == 0


def test_orientations_of_other_programs(run):
    line = f"{ONE} --dmin 4 --seed 7"
    assert run(f"stills {MODEL} {DETECTOR} -n 3 {line} --truth stream --vary cell=normal:0.01 -o first").exit_code == 0
    for number, name in enumerate(("models.expt", "truth-00001.stream")):
        result = run(f"stills {MODEL} {DETECTOR} -n 1 {line} --vary orientation=column:first/{name} -o again{number}")
        assert result.exit_code == 0, result.stderr
        with h5py.File("first/master.nxs") as first, h5py.File(f"again{number}/master.nxs") as again:
            expected = first["/entry/crystals/A_dials"][number]
            assert again["/entry/crystals/A_dials"][0] == pytest.approx(expected, abs=1e-9)
    refused(run(f"stills {MODEL} {DETECTOR} -n 3 {line} --vary orientation=column:first/models.geom -o none"), 2,
            "--vary orientation", "models.geom", "column")
    refused(run(f"stills first/spec.toml --vary orientation=uniform {ONE} -o none"), 2, "--vary", "", "spec.toml")


def test_spectra_of_the_line_are_those_of_the_files(run):
    Path("two.txt").write_text("1.0 1\n1.01 3\n")
    Path("weights.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    for folder, words, channels in (("sase", "--vary spectrum=sase:0.002,4", 4),
                                    ("chosen", "--vary spectrum=choice:two.txt", 2),
                                    ("weighted", "--spectrum two.txt --vary spectrum=column:weights.csv", 2)):
        line = f"stills {MODEL} {DETECTOR} -n 3 --seed 7 -o {folder} {ONE} --dmin 4 --truth none {words}"
        assert run(line).exit_code == 0
        with h5py.File(f"{folder}/master.nxs") as file:
            weights = file["/entry/instrument/beam/incident_wavelength_1Dspectrum_weights"][()]
        assert weights.shape == (3, channels)
        assert run(f"stills {folder}/spec.toml -o again-{folder} {ONE}").exit_code == 0
        with h5py.File(f"again-{folder}/master.nxs") as file:
            assert (file["/entry/instrument/beam/incident_wavelength_1Dspectrum_weights"][()] == weights).all()
    assert weights.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.fixture(scope="module")
def written_specification(tmp_path_factory):
    """The spec.toml of a set of stills."""
    path = tmp_path_factory.mktemp("specified") / "set"
    words = f"stills {MODEL} {DETECTOR} -n 3 --seed 7 --dmin 4 --truth none -o {path} {ONE} --quiet".split()
    subprocess.run([sys.executable, "-m", "cubragg", *words], check=True)
    return path / "spec.toml"


@pytest.mark.parametrize(("line", "says"), [
    (f"stills {MODEL} -n 3 -o run", ("--detector", "", "--distance")),
    (f"stills {MODEL} --detector pilatus100k -n 3 -o run", ("--distance", "", "MM")),
    (f"stills {MODEL} {DETECTOR} -n 3", ("-o", "", "folder")),
    (f"stills {MODEL} {DETECTOR} -o run", ("-n", "", "number")),
    (f"stills {MODEL} {DETECTOR} -n 0 -o run", ("-n", "0", "shots")),
    (f"sweep {MODEL} {DETECTOR} --osc 1 -o run", ("--images", "", "--osc")),
    (f"sweep {MODEL} {DETECTOR} --images 2 -o run", ("--osc", "", "--images")),
    (f"sweep {MODEL} {DETECTOR} --images 2 --osc 0 -o run", ("--osc", "0", "deg")),
    (f"sweep {MODEL} {DETECTOR} --osc 1 --sweep 3 -o run", ("--sweep", "'3'", "START:IMAGES")),
    (f"sweep {MODEL} {DETECTOR} --osc 1 --sweep 3:2:kappa=a -o run", ("--sweep", "kappa=a", "START:IMAGES")),
    (f"sweep {MODEL} {DETECTOR} --osc 1 --sweep 3:2:kappa=1 -o run", ("--goniometer-axis", "kappa", "axes")),
    (f"{SWEEP} --sweep 3:2", ("--images", "wedges", "leave")),
    (f"{SWEEP} --inverse-beam 0.3", ("--inverse-beam", "0.3", "whole")),
    (f"{SWEEP} --goniometer-axis kappa=1,2", ("--goniometer-axis", "kappa=1,2", "X,Y,Z")),
    (f"{STILLS} -osc 1", ("-osc", "", "stills", "sweep")),
    (f"{STILLS} -floatfile a.bin", ("-floatfile", "", "folder")),
    (f"{STILLS} --semantics nanobragg", ("--semantics", "nanobragg", "physical")),
    (f"{STILLS} --vary cell", ("--vary", "cell", "NAME=DISTRIBUTION")),
    (f"{STILLS} --vary cell=gauss:1", ("--vary cell", "gauss:1", "normal")),
    (f"{STILLS} --vary cell=normal:1,2,3", ("--vary cell", "normal:1,2,3", "normal:MEAN,SIGMA")),
    (f"{STILLS} --vary cell=nromal:1", ("--vary cell", "nromal:1", "did you mean normal")),
    (f"{STILLS} --vary cell=normal:", ("--vary cell", "normal:", "normal:SIGMA")),
    (f"stills {MODEL} {DETECTOR} -n ten -o run", ("-n", "ten", "whole number")),
    (f"{STILLS} --dmin two", ("--dmin", "two", "a number")),
    (f"{STILLS} --dtype int8", ("--dtype", "int8", "uint16")),
    (f"{STILLS} --workers 0", ("--workers", "0", "1 to 1024")),
    (f"{STILLS} --crystals two", ("--crystals", "two", "number of crystals", "poisson")),
    (f"{STILLS} --images 3", ("--images", "", "cubragg sweep")),
    (f"{SWEEP} -n 3", ("-n", "", "cubragg stills")),
    (f"{SWEEP} --crystals=3", ("--crystals", "", "cubragg stills")),
    (f"{STILLS} --vary beam.colour=normal:1", ("--vary beam.colour", "", "parameter")),
    (f"{STILLS} --vary beam.bandwidth=normal:0.1,0.1", ("--vary beam.bandwidth, shot", "", "bandwidth")),
    (f"{STILLS} --beamstop 2 --vary beamstop.distance_mm=uniform:20,1000",
     ("--vary beamstop.distance_mm", "", "detector", "shorter")),
    (f"{STILLS} --vary distance_mm=column:none.csv:x", ("--vary distance_mm", "none.csv", "file")),
    (f"{STILLS} --vary spectrum=normal:0.1", ("--vary spectrum", "normal", "sase")),
    (f"{STILLS} --vary spectrum=sase:0", ("--vary spectrum", "sase:0", "bandwidth", "> 0")),
    (f"{STILLS} --vary spectrum=choice:none.txt", ("--vary spectrum", "none.txt", "file")),
    (f"{STILLS} --vary orientation=column:none.stream", ("--vary orientation", "none.stream", "file")),
    (f"{STILLS} --truth stream --format smv --quiet", ("--truth", "smv", "stream")),
    (f"{STILLS} --crystals -1", ("--crystals", "-1")),
    (f"{STILLS} --blank 2", ("--blank", "2", "fraction")),
    (f"{STILLS} --truth csv", ("--truth", "csv", "refl")),
    (f"{STILLS} --labels boxes --truth none", ("--labels", "boxes", "h5")),
    (f"{STILLS} --shard 0", ("--shard", "0")),
    (f"{STILLS} --dmin 1000", ("--dmin", "1000", "coarser")),
    (f"{STILLS} --devices one", ("--devices", "one", "numbers")),
    (f"{SWEEP} --goniometer-axis kappa=0,0,0 --goniometer-axis omega=0,0,1", ("--goniometer-axis kappa", "zero")),
    (f"stills none.pdb {DETECTOR} -n 1 -o run", ("MODEL", "none.pdb", "no such file")),
    (f"stills {DETECTOR} -n 1 -o run", ("MODEL", "--detector", "first"))])
def test_what_is_refused_before_a_folder_exists(line, says, run):
    refused(run(line), 2, *says)
    assert not Path("run").exists()


@pytest.mark.skipif(find_spec("distributed") is not None, reason="Dask is installed")
def test_a_cluster_without_dask_leaves_no_folder(run):
    refused(run(f"{STILLS} --quiet --scheduler tcp://127.0.0.1:1"), 1, "--scheduler", "", "cubragg[dask]")
    assert not Path("run").exists()


def test_a_folder_that_cannot_be_made(run):
    Path("file").touch()
    refused(run(f"{STILLS.replace('-o run', '-o file/run')} --quiet"), 1, "file/run", "", "cannot be made")


@pytest.mark.parametrize(("change", "says"), [
    (("shots = 3", 'shots = "three"'), ("shots", "three", "whole number")),
    (("shots = 3", "shot = 3"), ("", "", "without shots")),
    (("shots = 3", "shots = 3\nextra = 1"), ("extra", "", "accepted are kind, shots")),
    (("seed = 7", "seed = -7"), ("seed", "-7", "from 0")),
    (("blank = 0.0", 'blank = "none"'), ("crystals.blank", "none", "a number")),
    (("count = 1", 'count = "one"'), ("crystals.count", "one", "poisson")),
    (("shard = 1", "shrad = 1"), ("write.shrad", "", "did you mean write.shard")),
    (("labels = []", 'labels = "mask"'), ("write.labels", "mask", "list")),
    (("cull = 0.0", "kull = 0.0"), ("rendering.kull", "", "did you mean rendering.cull")),
    (('method = "analytic"', 'method = "exact"'), ("rendering.method", "exact", "sampled")),
    (('precision = "auto"', "precision = 3"), ("rendering.precision", "3", "auto")),
    (('backend = "auto"', 'backend = "gpu"'), ("rendering.backend", "gpu", "numpy")),
    (("uniform = true", "unifrom = true"), ("vary crystal.orientation", "unifrom", "uniform")),
    (("uniform = true", "normal = [1, 2, 3]"), ("vary crystal.orientation", "[1, 2, 3]", "{normal = 0.002}")),
    (('[vary."crystal.orientation"]\nuniform = true', "[vary]\ncell = 3"), ("vary cell", "3", "normal")),
    (("[experiment.beam]", "[experiment.beem]"), ("experiment.beem", "", "did you mean experiment.beam")),
    (("flux = 10000000000000.0", 'flux = "high"'), ("experiment.beam.flux", "high", "a number"))])
def test_a_specification_that_is_wrong_names_file_and_setting(tmp_path, written_specification, change, says, run):
    text = written_specification.read_text()
    assert change[0] in text
    wrong = written_specification.with_name("wrong.toml")
    wrong.write_text(text.replace(*change, 1))
    where, *rest = says
    refused(run(f"stills {wrong} -o run --quiet"), 2, f"{wrong}: {where}" if where else str(wrong), *rest)
    assert not Path("run").exists()


def test_a_specification_of_the_other_command_is_refused(written_specification, run):
    refused(run(f"sweep {written_specification} -o run"), 2, "MODEL", str(written_specification), "cubragg stills")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command(number, folder):
    root = str(Path(MODEL).parents[2])
    line = f"{STILLS} --shard 1 --workers 1 --log-json -".replace("-n 3", "-n 300").split()
    process = subprocess.Popen([sys.executable, "-m", "cubragg", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env={**os.environ, "PYTHONPATH": root})
    assert process.stdout.readline().startswith("{")
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "of 300 shots are complete in run, and the same command continues" in errors
