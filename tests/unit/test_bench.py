"""The benchmark: its arithmetic by hand, and a quick run from end to end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import gemmi
import pytest

from support.messages import states
from support.scripts import script

ROOT = Path(__file__).resolve().parents[2]


bench = script("bench")  # which brings the modules of scripts/benchmarks/
machine, measure, report, suite = bench.machine, bench.measure, bench.report, bench.suite
factors = suite.factors
from benchmarks.workloads import Stills, Workload, stills, sweeps, workloads  # noqa: E402

NUMPY, CPU, EVERY, CULLED = (measure.Variant.of("numpy"), *(measure.Variant.of("cpu:double", cull)
                                                           for cull in (0.0, None, 1e-8)))


def figures(seconds: float, **others: float) -> dict[str, float]:
    return {"setup_s": 0.2, "render_s": seconds, "write_s": 0.1, "process_s": 1.0, "peak_MB": 50.0, **others}


@pytest.fixture
def runs(monkeypatch):
    """In place of processes: the order of the runs, and times by the name of what runs."""
    order, times = [], {"numpy": [4.0, 5.0, 9.0], "cpu:double": [1.0, 2.0, 2.0],
                        "cpu:double all terms": [1.0, 4.0, 3.0],
                        "cpu:double cull 1e-08": [0.5, 0.5, 0.5], "nb": [20.0, 30.0, 10.0]}

    def take(name):
        order.append(name)
        if name == "broken":
            raise measure.RunFailedError("no such flag")
        return figures(times[name][order.count(name) - 1])

    def ours(line, variant, setting, *, write=True):
        return take(variant.name) if write or "-roi 0 0 0 0" not in line else figures(0.0)

    monkeypatch.setattr(measure, "ours", ours)
    monkeypatch.setattr(measure, "theirs", lambda command, line, setting: take(command[0]))
    monkeypatch.setattr(measure, "batch", lambda line, variant, setting, images: take(variant.name))
    return order


def test_ratios_are_those_of_neighbouring_runs():
    assert measure.ratios([2.0, 12.0, 9.0], [1.0, 2.0, 3.0]) == {"median": 3.0, "min": 2.0, "max": 6.0}
    assert measure.spread([4.0, 1.0]) == {"median": 2.5, "min": 1.0, "max": 4.0}
    with pytest.raises(ValueError, match="shorter"):
        measure.ratios([1.0, 2.0], [1.0])


def test_rows_of_a_workload(runs):
    rows = measure.image_rows(Workload("W", "-N 5"), [NUMPY, CPU, EVERY, CULLED], {"C": ["nb"], "torch": ["broken"]},
                              1, 3)
    ours = ["numpy", "cpu:double", "cpu:double all terms", "cpu:double cull 1e-08"]
    assert runs == ["nb", "broken", *ours] + ["nb", *ours] * 2
    numpy, cpu, every, culled = rows
    assert (numpy["variant"], numpy["render_s"], numpy["runs"], numpy["flags"]) == ("numpy", 5.0, 3, "-N 5")
    assert numpy["programs"]["C"]["ratio"] == {"median": 5.0, "min": 10.0 / 9.0, "max": 6.0}
    assert numpy["programs"]["torch"] == {"failed": "no such flag"}
    assert numpy["reference"] == {"median": 0.25, "min": 2.0 / 9.0, "max": 0.4}
    assert cpu["reference"]["max"] == 1.0
    assert culled["gain_of_culling"] == {"median": 6.0, "min": 2.0, "max": 8.0}
    assert cpu["gain_of_culling"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert "gain_of_culling" not in every


def test_all_programs_render_a_band(runs):
    row, = measure.image_rows(Workload("W", "-N 5", "-roi 3 4 0 9"), [CPU], {"C": ["nb"]}, 2, 1)
    assert runs == ["nb", "cpu:double"]
    assert (row["flags"], row["band"]) == ("-N 5 -roi 3 4 0 9", True)


def test_a_long_workload_has_fewer_runs(runs):
    row, = measure.image_rows(Workload("W", "-N 5", compared=False, runs=2), [CPU], {"C": ["nb"]}, 1, 3)
    assert (row["runs"], runs) == (2, ["cpu:double"] * 2)


def test_batches(runs, monkeypatch):
    monkeypatch.setattr(measure, "_program", lambda command, line, setting: (
        3.0 if "-misset 31" in line else 5.0, 70.0))
    numpy, cpu = measure.batch_rows(Stills("-N 5", 1000, 20, 2), [NUMPY, CPU], {"C": ["nb"]}, 1, 3)
    assert (numpy["images"], cpu["images"]) == (20, 1000)
    assert cpu["programs"]["C"]["render_s"] == 4.0
    assert cpu["programs"]["C"]["ratio"] == {"median": 2.0, "min": 2.0, "max": 4.0}


def test_a_sweep_has_the_ratio_of_each_point_to_the_one_before(monkeypatch):
    times = iter([1.0, 2.0, 5.0, 1.0, 3.0, 6.0])
    peaks = iter([10.0, 20.0, 30.0] * 2)
    order = []

    def ours(line, variant, setting, *, write=True):
        if "-roi" in line:
            return figures(0.0)
        order.append(line)
        return figures(next(times), peak_MB=next(peaks))

    monkeypatch.setattr(measure, "ours", ours)
    row = measure.sweep_row("pixels", "pixels", [(1, "a"), (2, "b"), (4, "c")], CPU, 1, 2)
    assert order == ["a", "b", "c"] * 2
    first, second, third = row["points"]
    assert "ratio" not in first
    assert second["ratio"] == {"median": 2.5, "min": 2.0, "max": 3.0}
    assert third["ratio"] == {"median": 2.25, "min": 2.0, "max": 2.5}
    assert third["memory_ratio"]["median"] == 3.0
    assert [point["render_s"] for point in row["points"]] == [1.0, 2.5, 5.5]


def test_a_sweep_that_fails(monkeypatch):
    def ours(line, variant, setting, *, write=True):
        raise measure.RunFailedError("no compiler")

    monkeypatch.setattr(measure, "ours", ours)
    row = measure.sweep_row("pixels", "pixels", [(1, "a"), (2, "b")], CPU, 1, 2)
    assert row["failed"] == "no compiler"
    assert suite.rules([row]) == []


def sweep(name: str, ratio: float, memory: float = 1.0) -> dict:
    point = {"ratio": measure.spread([ratio]), "memory_ratio": measure.spread([memory]), "render_s": ratio,
             "peak_MB": 1.0}
    return {"section": "growth", "workload": name, "what": "things", "variant": "numpy", "threads": 1,
            "points": [{"number": 1, "render_s": 1.0, "peak_MB": 1.0}, {"number": 4, **point}, {"number": 8, **point}]}


@pytest.mark.requirement("AT-PERF-008")
@pytest.mark.parametrize(("row", "holds"), [
    (sweep("pixels", 2.1), True), (sweep("pixels", 2.11), False), (sweep("domains", 2.0, 9.0), True),
    (sweep("domains", 3.0), False), (sweep("domains-gauss", 2.2), False), (sweep("samples", 50.0, 1.05), True),
    (sweep("samples", 1.0, 1.06), False)])
def test_rules(row, holds):
    rule, = suite.rules([row])
    assert rule["holds"] == holds
    assert (rule["from"], rule["to"]) == (1 if row["workload"] == "samples" else 4, 8)
    assert report.rule_table([rule]).splitlines()[-1].endswith("| yes |" if holds else "| NO |")


def test_no_rule_for_the_other_sweep():
    assert suite.rules([sweep("N", 9.0)]) == []


def test_sweeps_double():
    for quick in (False, True):
        for each in sweeps(quick):
            numbers = [number for number, _ in each.points]
            if each.name in ("pixels", "domains"):
                assert numbers[-1] == 2 * numbers[-2]
            assert len({each.line(point) for point in range(len(numbers))}) == len(numbers)


@pytest.mark.parametrize("quick", [False, True])
def test_every_line_is_understood(quick, tmp_path, monkeypatch):
    from cubragg.cli.build import build
    from cubragg.cli.parser import parse
    from cubragg.plan.make_plan import make_plan

    monkeypatch.chdir(tmp_path)
    (tmp_path / "random.hkl").write_text("1 0 0 1\n")
    plans = {name: make_plan(build(parse(f"{each.flags} {each.band}".split())).experiment)
             for name, each in workloads(quick).items()}
    for each in sweeps(quick):
        for point, (number, _) in enumerate(each.points):
            plan = make_plan(build(parse(each.line(point).split())).experiment)
            assert number == {"pixels": plan.shape[0] * plan.shape[1], "samples": plan.samples, "N": plan.cells[0],
                              "domains": plan.cell_axes.shape[1]}[each.name.removesuffix("-gauss")]
    plan = make_plan(build(parse(stills(quick).flags.split())).experiment)
    assert plan.shape == ((32, 32) if quick else (1024, 1024))
    if not quick:
        assert plans["R16-whole"].shape == (4371, 4150)
        # Whole columns: programs that give rows to threads share them out evenly.
        assert [plans[name].roi for name in ("W3", "R16")] == [(1104, 1199, 0, 2526), (1600, 1615, 0, 4370)]
        assert {name: plan.samples for name, plan in plans.items()} == {
            "W1": 1, "W1b": 1, "W2": 200, "W2-gauss": 200,
            "W3": 400, "W3-whole": 400, "R16": 2000, "R16-whole": 2000, "large": 40,
            "start": 1}


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1234"), (12.34, "12.3"), (2.0, "2"), (2.346, "2.35"),
                                             (0.0312, "0.0312"), (0.00012345, "0.00012")])
def test_digits(value, text):
    assert report._digits(value) == text


# The file that grows


@pytest.fixture
def fake(monkeypatch):
    """A suite of three jobs; each adds its name to the list, and fails if `setup` names it."""
    done, setup = [], {"broken": "", "commit": "a", "row": {}}

    def rows(name):
        if name == setup["broken"]:
            raise KeyboardInterrupt
        done.append(name)
        return [sweep("N", 2.0) | {"workload": name} | setup["row"]]

    monkeypatch.setattr(suite, "jobs", lambda options, programs: [
        suite.Job(name, lambda name=name: rows(name)) for name in ("one", "two", "three")])
    monkeypatch.setattr(machine, "commit", lambda: setup["commit"])
    monkeypatch.setattr(machine, "describe", lambda: {"cores": 2, "gpu": None})
    return done, setup


def started(path, **options):
    return suite.run(path, suite.Options(("numpy",), **options), "bench", ({}, ["C: none"]), [], lambda text: None)


@pytest.mark.requirement("AT-PERF-008")
def test_an_interrupted_suite_goes_on(fake, tmp_path):
    done, setup = fake
    setup["broken"] = "three"
    with pytest.raises(KeyboardInterrupt):
        started(tmp_path / "a.json")
    assert list(json.loads((tmp_path / "a.json").read_text())["jobs"]) == ["one", "two"]
    setup["broken"] = ""
    document = started(tmp_path / "a.json")
    assert done == ["one", "two", "three"]
    assert list(document["jobs"]) == ["one", "two", "three"]
    assert document == json.loads((tmp_path / "a.json").read_text())
    assert document["skipped"] == ["C: none"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


@pytest.mark.parametrize("change", ["commit", "runs", "damage", "failed"])
def test_what_is_not_kept(fake, tmp_path, change):
    done, setup = fake
    if change == "failed":
        setup["row"] = {"failed": "why"}
    started(tmp_path / "a.json")
    setup["row"] = {}
    if change == "commit":
        setup["commit"] = "b"
    if change == "damage":
        (tmp_path / "a.json").write_text("{")
    document = started(tmp_path / "a.json", runs=7 if change == "runs" else 5)
    assert done == ["one", "two", "three"] * 2
    assert not any("failed" in row for row in suite.rows_of(document))


@pytest.mark.parametrize(("arguments", "says"), [
    (["W9"], ("", "W9", "workload", "W1")), (["--suite", "--only", "W1", "nothing"], ("", "nothing", "workload")),
    (["--threads", "0"], ("--threads", "0", "1"))])
def test_wrong_command_lines(capsys, arguments, says):
    with pytest.raises(SystemExit):
        bench.main(arguments)
    states(capsys.readouterr().err.splitlines()[-1], *says)


# From end to end


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """JSON and Markdown of a quick run; cubragg itself takes the part of the C program."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        patch.setenv("PYTHONPATH", path)
        patch.setenv("NB_C_BIN", f"{sys.executable} -m cubragg --backend numpy")
        patch.setenv("NB_CUDA_BIN", "false")
        patch.delenv("NB_TORCH", raising=False)
        bench.main(["--suite", "--quick", "--cull", "0", "--backends", "numpy", "--only", "W1", "stills", "domains",
                    "samples", "factors", "counts", "--out", str(folder), "--name", "quick"])
    json_path, = folder.glob("*-quick.json")
    return json.loads(json_path.read_text()), json_path.with_suffix(".md").read_text(), folder


def tables(text: str) -> list[list[dict[str, str]]]:
    """The tables of a Markdown text: each a list of lines by heading."""
    found: list[list[dict[str, str]]] = []
    for block in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()
                 if line.startswith("|")]
        if lines:
            assert all(len(line) == len(lines[0]) for line in lines)
            found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def numbers(cell: str) -> list[float]:
    """Median, least and largest of a cell such as ``2.1 (1.9 to 2.4)``."""
    median, least, _, most = cell.replace("(", "").replace(")", "").split()
    return [float(median), float(least), float(most)]


def near(cell: str, value: float, digits: float = 0.006) -> bool:
    return float(cell) == pytest.approx(value, rel=digits, abs=6e-4)


@pytest.mark.requirement("AT-PERF-008")
def test_quick_run(quick):
    document, text, _ = quick
    rows = suite.rows_of(document)
    assert [row["workload"] for row in rows] == ["W1", "stills", "samples", "domains", "list", "model", "0.01"]
    assert not any("failed" in row for row in rows)
    assert all(row["programs"]["nanoBraggCUDA"] == {"failed": "exit status 1"} for row in rows[:2])
    assert [rule["rule"] for rule in document["rules"]] == [
        "twice the mosaic domains cost at most 2.1 times", "memory does not depend on the samples per pixel"]
    assert document["command"].startswith(
        f"NB_C_BIN={Path(sys.executable).name} NB_CUDA_BIN=false python scripts/bench.py --suite")
    assert document["skipped"] == ["torch: not measured, NB_TORCH is not set"]
    assert document["skipped"][0] in text
    assert document["commit"] in text
    assert document["command"] in text
    for row in rows[:2]:
        assert row["flags"] in text


@pytest.mark.requirement("AT-PERF-008", "AT-PERF-009", "AT-PERF-010")
def test_markdown_and_json_agree(quick):
    document, text, _ = quick
    image, batch, samples, domains, *factors, counts = suite.rows_of(document)
    image_lines, batch_lines, samples_lines, domains_lines, factor_lines, count_lines, rule_lines = tables(text)
    line, = image_lines
    assert [line["workload"], line["backend"], line["threads"]] == ["W1", "numpy", "1"]
    for title, key in (("set-up s", "setup_s"), ("write s", "write_s"), ("process s", "process_s")):
        assert near(line[title], image[key])
    assert near(line["render s"], image["render_s"], 0.5)
    assert near(line["peak MB"], image["peak_MB"], 0.02)
    assert near(line["C render s"], image["programs"]["C"]["render_s"])
    ratio = image["programs"]["C"]["ratio"]
    assert numbers(line["C / cubragg"]) == pytest.approx([ratio["median"], ratio["min"], ratio["max"]], rel=0.06)
    assert line["nanoBraggCUDA / cubragg"] == "exit status 1"
    line, = batch_lines
    assert [line["images"], line["backend"]] == ["2", "numpy"]
    assert near(line["s an image"], batch["render_s"])
    for row, lines in ((samples, samples_lines), (domains, domains_lines)):
        for point, line in zip(row["points"], lines, strict=True):
            assert line[row["what"]] == str(point["number"])
            assert near(line["render s"], point["render_s"])
            assert near(line["peak MB"], point["peak_MB"], 0.02)
        assert near(lines[1]["ratio to the line before"].split()[0], row["points"][1]["ratio"]["median"])
    for row, line in zip(factors, factor_lines, strict=True):
        assert (line["task"], line["number"], line["to A"]) == (row["what"], str(row["count"]), "4")
        assert near(line["seconds"].split()[0], row["seconds"]["median"])
        assert line["holds"] == ("yes" if row["holds"] else "NO")
        assert near(line["process s"], row["process_s"])
    line, = count_lines
    assert (line["mean"], line["instructions"], line["at least"]) == ("0.01", "native", "3")
    for title, key in (("ns", "ns"), ("NumPy ns", "numpy_ns"), ("NumPy / this", "ratio")):
        spread = counts[key]
        assert numbers(line[title]) == pytest.approx([spread["median"], spread["min"], spread["max"]], rel=0.006)
    assert line["holds"] == ("yes" if counts["holds"] else "NO")
    for rule, line in zip(document["rules"], rule_lines, strict=True):
        assert line["rule"] == rule["rule"]
        assert near(line["ratio"].split()[0], rule["ratio"]["median"])
        assert line["holds"] == ("yes" if rule["holds"] else "NO")
        assert line["measured"] == f"{rule['from']} to {rule['to']} {rule['what']}"


@pytest.mark.requirement("AT-PERF-009")
def test_structure_factors_are_of_the_size_they_claim(tmp_path):
    """As counted by gemmi: reflections of the whole task, atoms of the model, none upon another."""
    factors.write_reflections(tmp_path / "a.mtz", 1.5)
    mtz = gemmi.read_mtz_file(str(tmp_path / "a.mtz"))
    assert 95_000 < mtz.nreflections < 110_000
    assert mtz.resolution_high() == pytest.approx(1.5, abs=1e-3)
    factors.write_model(tmp_path / "a.pdb", 5000)
    model = gemmi.read_structure(str(tmp_path / "a.pdb"))
    assert model[0].count_atom_sites() == 5000
    assert gemmi.ContactSearch(1.2).find_contacts(gemmi.NeighborSearch(model[0], model.cell, 3.0).populate()) == []


@pytest.mark.requirement("AT-PERF-009")
def test_a_task_that_fails(tmp_path):
    row = factors._row(factors.Task("bad", "nothing", "raise SystemExit('why')", 1.0), str(tmp_path), 1.5, 2)
    assert row["failed"] == "why"
    assert "failed: why" in report.factor_table([row])


def test_plots(quick):
    pytest.importorskip("matplotlib")
    _, text, folder = quick
    for name in ("samples", "domains"):
        path, = folder.glob(f"plots/*-{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"](plots/{path.name})" in text


def test_named_workloads(capsys, monkeypatch, tmp_path):
    for variable in machine.PROGRAMS.values():
        monkeypatch.delenv(variable, raising=False)
    bench.main(["start", "--runs", "1", "--json", str(tmp_path / "a.json")])
    row, = json.loads((tmp_path / "a.json").read_text())
    printed = capsys.readouterr().out
    assert "none (set NB_C_BIN)" in printed
    line, = tables("\n\n" + printed.partition("\n")[2])[0]
    assert (line["workload"], line["backend"]) == ("start", "numpy")
    assert near(line["process s"], row["process_s"])


def test_other_programs_are_found_by_the_environment(monkeypatch):
    for variable in machine.PROGRAMS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NB_TORCH", "python -m 'port of it'")
    found, absent = machine.programs()
    assert found == {"torch": ["python", "-m", "port of it"]}
    assert absent == ["C: not measured, NB_C_BIN is not set", "nanoBraggCUDA: not measured, NB_CUDA_BIN is not set"]
