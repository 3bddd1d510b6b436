"""The folder of a data set: what it holds, and that it survives kills, signals, dead workers and a full disk.

Every fault is one of real processes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.read_set import read_specification
from cubragg.dataset.run_folder import RunFolder
from cubragg.dataset.verification import faults
from cubragg.dataset.write_settings import FORMATS
from cubragg.errors import ConfigError, CubraggError
from support import write_stills
from support.messages import refusal
from support.write_stills import stills

SCRIPT = Path(write_stills.__file__)


def begun(folder, *arguments):
    """A process that writes stills to a folder, once it has checked the specification."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder), *arguments], stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def ran(folder, *arguments):
    """Exit status and last line of such a process at its end."""
    process = begun(folder, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output.splitlines()[-1]


def wait_for(process, line):
    for found in process.stdout:
        if found.startswith(line):
            return
    pytest.fail(f"no line {line!r}")


def contents(folder):
    """The checksums of a set by file name, and the manifest lines of each shard."""
    lines = [json.loads(line) for line in (Path(folder) / "manifest.jsonl").read_text().splitlines()]
    records = [line for line in lines if "shard" in line]
    assert len({record["shard"] for record in records}) == len(records), "a shard was computed twice"
    return {name: file["content"] for record in records for name, file in record["files"].items()}


def complete(folder):
    assert list(faults(folder)) == []
    return contents(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a set that was written without a fault."""
    folder = tmp_path_factory.mktemp("data") / "set"
    stills(20).write(folder, workers=1, shard=2)
    return folder


@pytest.fixture(scope="module")
def finished_as(tmp_path_factory, finished):
    """The folder of such a set in a format of images and of the truth."""
    found = {("nxmx", "refl,h5"): finished}

    def folder(image_format, truth):
        key = (image_format, truth)
        if key not in found:
            found[key] = tmp_path_factory.mktemp("data") / "set"
            stills(20).write(found[key], workers=1, shard=2, format=image_format, truth=truth.split(","))
        return found[key]

    return folder


# What a folder holds

def test_a_set_has_its_files(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {".lock", "spec.toml", "manifest.jsonl", "master.nxs", "models.expt", "models.geom", "models.cell",
                     "summary.json", "contact.png",
                     *(f"{kind}-{number:05d}.{end}" for number in range(10)
                       for kind, end in (("shard", "nxs"), ("truth", "h5"), ("truth", "refl")))}
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["complete"]
    assert summary["shots"] == summary["complete_shots"] == 20


def test_images_and_parameters_are_those_of_the_shots(finished):
    import hdf5plugin  # noqa: F401

    data = stills(20)
    with h5py.File(finished / "master.nxs") as file:
        assert file["/entry/data/data"].shape == (20, 50, 60)
        for number in (0, 7, 19):
            shot = data[number]
            assert np.array_equal(file["/entry/data/data"][number], shot.counts)
            assert file["/entry/instrument/beam/incident_wavelength"][number] == shot.parameters["beam.wavelength_A"]
            for name, value in shot.parameters.items():
                np.testing.assert_array_equal(file["/entry/parameters"][name][number], value)


def test_crystals_are_those_of_the_truth(finished):
    with h5py.File(finished / "master.nxs") as file, h5py.File(finished / "truth-00003.h5") as truth:
        chosen = np.isin(file["/entry/crystals/shot"][()], truth["/crystals/shot"][()])
        assert np.array_equal(file["/entry/crystals/shot"][chosen], truth["/crystals/shot"][()])
        np.testing.assert_allclose(file["/entry/crystals/A_dials"][chosen], truth["/crystals/A_dials"][()], atol=1e-12)


def test_the_truth_is_that_of_the_shots(finished):
    with h5py.File(finished / "truth-00003.h5") as file:
        table = {name: column[()] for name, column in file["reflections"].items()}
        assert set(file["parameters"]) == {"crystal.cell", "beam.wavelength_A", "crystal.orientation"}
        assert file["crystals/shot"][()].tolist() == [6, 7]
    for number in (6, 7):
        expected = stills(20)[number].reflections.as_dict()
        rows = table["shot"] == number
        for name in ("h", "k", "l", "photons", "image_fast"):
            np.testing.assert_array_equal(table[name][rows], expected[name])


def test_the_experiment_list_has_a_crystal_for_each_shot(finished):
    from cubragg.io.geometry.experiment_models import models_of

    document = json.loads((finished / "models.expt").read_text())
    data = stills(20)
    assert len(document["experiment"]) == len(document["crystal"]) == len(document["imageset"]) == 20
    for number in (0, 11):
        entry = document["experiment"][number]
        assert document["imageset"][entry["imageset"]]["single_file_indices"] == [number]
        assert document["beam"][entry["beam"]]["wavelength"] == data[number].parameters["beam.wavelength_A"]
        crystal = document["crystal"][entry["crystal"]]
        axes = np.array([crystal[f"real_space_{name}"] for name in "abc"])
        a_matrix = np.array(models_of(data[number].crystals[0].experiment).crystal.a_matrix).reshape(3, 3)
        np.testing.assert_allclose(axes @ a_matrix, np.eye(3), atol=1e-9)


def test_a_specification_reproduces_the_set(finished, tmp_path):
    data, settings = read_specification(finished / "spec.toml")
    assert len(data) == 20
    data.write(tmp_path / "again", workers=1, **{name: getattr(settings, name) for name in vars(settings)})
    assert contents(tmp_path / "again") == contents(finished)


def test_a_folder_is_read_again_as_what_was_written(finished):
    for path in (finished, finished / "spec.toml"):
        data = cb.Stills.read(path)
        assert isinstance(data, cb.Stills)
        with h5py.File(finished / "master.nxs") as file:
            np.testing.assert_array_equal(data[3].counts, file["/entry/data/data"][3])
    with refusal(ConfigError, str(finished), "stills", "Stills.read"):
        cb.Sweep.read(finished)
    with refusal(cb.FormatError, "spec.toml", "data set", "Stills.read"):
        cb.read(finished / "spec.toml")


def test_arrays_are_files_of_the_set(tmp_path):
    rng = np.random.default_rng(3)
    factors = cb.StructureFactors(1.0, rng.random((5, 5, 5)) * 100.0, (-2, -2, -2), F000=77.0)
    import dataclasses

    base = dataclasses.replace(write_stills.BASE, structure_factors=factors)
    data = cb.Stills(base, 3, vary={"orientation": cb.table(cb.random_orientations(3, seed=1).reshape(3, 9))})
    data.write(tmp_path / "set", workers=1)
    for name in ("structure_factors.npz", "vary-crystal.orientation.npy"):
        assert (tmp_path / "set" / name).is_file()
    again, _ = read_specification(tmp_path / "set" / "spec.toml")
    assert again.experiment == base
    assert np.array_equal(again[1].counts, data[1].counts)
    np.save(tmp_path / "set" / "vary-crystal.orientation.npy", np.zeros((3, 9)))
    with pytest.raises(ConfigError, match=r"vary crystal\.orientation"):
        read_specification(tmp_path / "set" / "spec.toml")


@pytest.mark.parametrize(("compression", "filters"), [("none", {}), ("gzip", {"gzip": 1}), ("bslz4", {"32008": 1})])
def test_types_and_compressions(tmp_path, compression, filters):
    stills(3).write(tmp_path / "set", workers=1, compression=compression, dtype="uint16", truth=())
    with h5py.File(tmp_path / "set" / "shard-00000.nxs") as file:
        pixels = file["/entry/data/data"]
        assert pixels.dtype == np.uint16
        assert filters.keys() <= pixels._filters.keys()
        assert bool(filters) == bool(pixels._filters)


def test_an_overload_is_the_highest_value_and_counted(tmp_path):
    import dataclasses

    base = dataclasses.replace(write_stills.BASE, background=cb.Background(constant=1e5))
    summary = cb.Stills(base, 1).write(tmp_path / "set", workers=1, dtype="uint16", compression="none", truth=())
    with h5py.File(tmp_path / "set" / "shard-00000.nxs") as file:
        assert np.all(file["/entry/data/data"][0] == 2**16 - 3)
    assert summary["saturated"] == 50 * 60


def test_bytes_are_the_same_with_a_source_date(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a", "b"):
        stills(3).write(tmp_path / name, workers=1)
    for path in (tmp_path / "a").glob("*-0*"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(("image_format", "truth"), [("cbf", "h5"), ("smv", "refl")])
def test_files_of_single_images(finished_as, image_format, truth):
    folder = finished_as(image_format, truth)
    ending = FORMATS[image_format].ending
    names = {path.name for path in folder.glob("image*")}
    assert names == {f"image_{number:05d}{ending}" for number in range(1, 21)}
    assert not [*folder.glob("*.nxs")]
    data = stills(20)
    image = cb.read(folder / f"image_00008{ending}")
    assert np.array_equal(np.asarray(image), data[7].counts)  # SMV: without the pedestal
    assert image.experiment.beam.wavelength_A == pytest.approx(data[7].parameters["beam.wavelength_A"], abs=1e-6)
    document = json.loads((folder / "models.expt").read_text())
    assert document["imageset"][7]["images"] == [str(folder / f"image_00008{ending}")]


def test_wedges_of_single_images(tmp_path):
    data = cb.Sweep(write_stills.BASE, osc_deg=1.0, wedges=[cb.Wedge(0.0, 2), cb.Wedge(180.0, 3)])
    data.write(tmp_path / "set", workers=1, format="cbf", truth=())
    names = sorted(path.name for path in (tmp_path / "set").glob("image*"))
    assert names == [f"image-1_{number:05d}.cbf" for number in (1, 2)] + [
        f"image-2_{number:05d}.cbf" for number in (1, 2, 3)]
    document = json.loads((tmp_path / "set" / "models.expt").read_text())
    assert [Path(one["template"]).name for one in document["imageset"]] == ["image-1_#####.cbf", "image-2_#####.cbf"]
    assert list(faults(tmp_path / "set")) == []


@pytest.mark.parametrize(("settings", "where"), [
    ({"format": "tiff"}, "write.format"), ({"format": "cbf", "dtype": "uint16"}, "write.dtype"),
    ({"format": "smv", "compression": "bslz4"}, "write.compression")])
def test_formats_refuse_what_they_cannot_hold(tmp_path, settings, where):
    with pytest.raises(ConfigError) as error:
        stills(2).write(tmp_path / "set", workers=1, **settings)
    assert error.value.where == where
    assert not (tmp_path / "set").exists()


def test_a_geometry_that_a_format_cannot_describe_is_refused(tmp_path):
    import dataclasses

    tilted = dataclasses.replace(write_stills.BASE, detector=dataclasses.replace(
        write_stills.BASE.detector, roty_deg=10.0))
    axes = (cb.GoniometerAxis("kappa", (0.3, 0.2, 0.9)), cb.GoniometerAxis("omega", (0.0, 0.0, 1.0)))
    kappa = dataclasses.replace(write_stills.BASE, goniometer=cb.Goniometer(axes=axes))
    for data in (cb.Stills(tilted, 2), cb.Sweep(kappa, wedges=[cb.Wedge(0.0, 2, 1.0, {"kappa": 10.0})])):
        with pytest.raises(ConfigError, match=r"write\.format.*nxmx"):
            data.write(tmp_path / "set", workers=1, format="cbf")


# Faults

@pytest.mark.slow
def test_workers_give_the_same_set(finished, tmp_path):
    assert ran(tmp_path / "set", "--workers", "2")[0] == 0
    assert complete(tmp_path / "set") == complete(finished)


#: Formats of images and of the truth, and the number of files of a shard of two shots.
WRITTEN = [("nxmx", "refl,h5", 3), ("cbf", "h5", 4), ("smv", "refl", 4), ("nxmx", "parquet", 4), ("nxmx", "stream", 2)]


@pytest.mark.parametrize(("kills", "workers", "image_format", "truth", "files"), [
    (3, 1, *WRITTEN[0]), *(pytest.param(3, 1, *one, marks=pytest.mark.slow) for one in WRITTEN[1:]),
    *(pytest.param(20, workers, *one, marks=pytest.mark.slow) for one in WRITTEN for workers in (1, 2))])
def test_a_killed_set_is_continued(finished_as, tmp_path, kills, workers, image_format, truth, files):
    finished = finished_as(image_format, truth)
    folder, rng = tmp_path / "set", random.Random(kills)
    unfinished = 0
    arguments = ("--workers", str(workers), "--format", image_format, "--truth", truth)
    for kill in range(kills):
        # The first one waits after its first shard: a machine with much to do may otherwise kill none before its end.
        process = begun(folder, *arguments, *(["--hold"] if kill == 0 else []))
        if kill % 2 == 0:
            process.stdout.readline()  # of the first shard, or of the end
        time.sleep(rng.uniform(0.0, 0.05 if kill % 2 == 0 else 0.3))
        process.kill()
        process.communicate()
        if (folder / "manifest.jsonl").exists():
            done = contents(folder)
            assert all((folder / name).is_file() for name in done)
            unfinished += len(done) < 10 * files
    assert unfinished
    assert ran(folder, *arguments)[0] == 0
    assert complete(folder) == complete(finished)
    assert not [path for path in folder.iterdir() if path.name.startswith((".partial", ".cubragg"))]


@pytest.mark.parametrize(("number", "workers"), [
    (signal.SIGTERM, "2"), pytest.param(signal.SIGINT, "2", marks=pytest.mark.slow),
    pytest.param(signal.SIGINT, "1", marks=pytest.mark.slow),
    pytest.param(signal.SIGTERM, "1", marks=pytest.mark.slow)])
def test_a_signal_finishes_the_shards_in_flight(tmp_path, number, workers):
    process = begun(tmp_path / "set", "--slow", "--shots", "10", "--workers", workers)
    wait_for(process, "done 2")
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last = output.splitlines()[-1]
    assert last.startswith("stopped: ")
    done = len([name for name in contents(tmp_path / "set") if name.startswith("shard")])
    assert 0 < done < 5
    assert f"{2 * done} of 10" in last
    assert not list((tmp_path / "set").glob(".partial*"))
    assert ran(tmp_path / "set", "--slow", "--shots", "10", "--workers", workers)[0] == 0
    complete(tmp_path / "set")


def children(process):
    """Numbers of the processes that a process has started."""
    found = Path(f"/proc/{process.pid}/task")
    return [int(child) for task in found.iterdir() for child in (task / "children").read_text().split()]


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def workers_of(process):
    """Its workers, once it has two."""
    for _ in range(200):
        found = [pid for pid in children(process)
                 if b"cubragg.dataset.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    pytest.fail("no two workers")


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")


@needs_proc
@pytest.mark.slow
def test_no_stream_of_a_worker_stays_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    stills(4).write(tmp_path / "set", workers=2, shard=2)
    assert len(os.listdir("/proc/self/fd")) == before


@needs_proc
@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path):
    process = begun(tmp_path / "set", "--slow", "--workers", "2", "--shots", "200")
    wait_for(process, "done 2")
    workers = workers_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20.0
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.05)


@needs_proc
@pytest.mark.slow
def test_the_work_of_a_dead_worker_is_done_again(tmp_path):
    process = begun(tmp_path / "set", "--slow", "--shots", "10", "--workers", "2")
    wait_for(process, "done 2")
    os.kill(workers_of(process)[0], signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(complete(tmp_path / "set")) == 15


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_shard_that_always_fails_is_named_and_the_rest_is_finished(tmp_path, workers):
    folder = tmp_path / "set"
    status, last = ran(folder, "--failing", "--workers", workers)
    assert status == 1
    assert "shard-00001" in last
    assert "shot 3, response.dead_fraction" in last
    assert "Traceback" in (folder / "failed" / "shard-00001.txt").read_text()
    assert list(faults(folder)) == [f"{folder}: shard-00001 is not complete"]
    assert json.loads((folder / "summary.json").read_text())["complete_shots"] == 18
    with h5py.File(folder / "master.nxs") as file:
        assert len(file["/entry/data/data"]) == 18


@pytest.mark.slow
def test_a_full_disk_stops_and_continues(finished, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], check=False,
                                    capture_output=True)
    if not done or done.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        for workers in ("1", "2"):
            status, last = ran(disk / "set", "--workers", workers)
            assert status == 1, last
            assert "(No space left on device)" in last
            before = contents(disk / "set")
            assert 0 < len(before) < 30
            assert not [path for path in (disk / "set").iterdir() if path.name.startswith(".partial")]
        subprocess.run([mount, "-o", "remount,size=40m", str(disk)], check=True)
        assert ran(disk / "set", "--workers", "2")[0] == 0
        assert complete(disk / "set") == complete(finished)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_two_processes_do_not_write_one_folder(tmp_path):
    process = begun(tmp_path / "set", "--slow", "--shots", "40")
    wait_for(process, "done 2")
    status, last = ran(tmp_path / "set", "--slow", "--shots", "40")
    process.kill()
    process.communicate()
    assert status == 1
    assert f"process {process.pid}" in last
    assert ran(tmp_path / "set", "--slow", "--shots", "40")[0] == 0  # the lock of a dead process is none


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished set."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_a_torn_line_is_ignored(copy, finished):
    manifest = copy / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    folder = RunFolder(copy)
    folder.read()
    assert len(folder.records) == 9
    stills(20).write(copy, workers=1, shard=2)
    assert list(faults(copy)) == []
    folder.read()
    assert len(folder.records) == 10


def test_another_set_is_refused_with_the_difference(copy):
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != ".lock"}
    for data, difference in ((stills(20, seed=8), "seed: 7, now 8"), (stills(22), "shots: 20, now 22"),
                             (stills(20, slow=True), "experiment.sampling.oversample: 1, now 70")):
        with pytest.raises(CubraggError, match=difference):
            data.write(copy, workers=1, shard=2)
    with pytest.raises(CubraggError, match="resume"):
        stills(20).write(copy, workers=1, shard=2, resume=False)
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != ".lock"} == before


@pytest.mark.parametrize("key", ["cubragg", "kernels", "rendered by"])
def test_another_version_is_refused(copy, key):
    manifest = copy / "manifest.jsonl"
    header, rest = manifest.read_text().split("\n", 1)
    manifest.write_text(json.dumps({**json.loads(header), key: "another"}) + "\n" + rest)
    with pytest.raises(CubraggError, match=f"{key}: another, now"):
        stills(20).write(copy, workers=1, shard=2)


def test_a_set_is_removed_only_if_asked(copy):
    (copy / "notes.txt").write_text("mine")
    stills(4, seed=8).write(copy, workers=1, shard=2, overwrite=True)
    assert (copy / "notes.txt").read_text() == "mine"
    assert len(list(copy.glob("shard-*"))) == 2
    assert list(faults(copy)) == []


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CubraggError, match=r"notes\.txt"):
        stills(2).write(tmp_path, workers=1)


def test_changed_files_are_found(copy):
    import hdf5plugin  # noqa: F401

    with h5py.File(copy / "shard-00002.nxs", "r+") as file:
        file["/entry/data/data"][1, 3, 4] += 1
    with h5py.File(copy / "truth-00004.h5", "r+") as file:
        file["/reflections/photons"][0] += 1.0
    (copy / "truth-00005.refl").write_bytes(b"")
    (copy / "shard-00006.nxs").unlink()
    (copy / "shard-00007.nxs").write_bytes(b"no HDF5")
    found = list(faults(copy))
    assert [Path(line.partition(":")[0]).name for line in found] == [
        "shard-00002.nxs", "truth-00004.h5", "truth-00005.refl", "shard-00006.nxs", "shard-00007.nxs"]
    with pytest.raises(CubraggError, match=r"spec\.toml"):
        list(faults(copy.parent))
