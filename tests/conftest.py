"""How tests run: in parallel, with caches that workers share; and fixtures that all of them share."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from cubragg import Experiment
from support import RUN_FOLDER

#: Folders whose tests have a mark in common.
FOLDER_MARKS = {"gpu": pytest.mark.gpu, "ptx": pytest.mark.ptx}
#: Marks of tests that need what a machine may not have.
NEEDS = ("gpu", "c_program", "dials", "ptx", "browser", "torch")
QUICK = "not slow"

pytest.register_assert_rewrite("support.dials", "support.image_bodies", "support.messages")
settings.register_profile("cubragg", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("cubragg")


def pytest_addoption(parser):
    """Options of the parity tests and of the tests of a GPU."""
    parser.addoption("--parity-artifacts", action="store_true", default=False,
                     help="every parity case leaves its images, figures and trace under reports/")
    parser.addoption("--gpu-stand-in", action="store_true", default=False,
                     help="run tests/gpu without a GPU, over a stand-in for CuPy: kernels compiled for the CPU")


def pytest_xdist_auto_num_workers(config):
    """Start no workers for tests that are named one by one."""
    return 0 if _named(config) else None


def pytest_configure(config):
    """Set caches, threads and signals for this process and those that it starts."""
    if _named(config) and config.option.markexpr == QUICK:
        config.option.markexpr = ""
    # A shell without job control starts what it puts in the background with SIGINT ignored, nohup what it is given
    # with SIGHUP ignored; programs that tests start would keep that, but not a handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    # Compiled kernels stay out of the user's cache.
    os.environ.setdefault("CUBRAGG_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))
    if not hasattr(config, "workerinput"):
        # Images of this run, and of no other: one that outlives a change of the code would hide it.
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="cubragg-tests-")
    elif hasattr(os, "sched_setaffinity"):
        # A worker has a core, and as many threads: two workers with two threads each would fight over two cores.
        cores = sorted(os.sched_getaffinity(0))
        number = int(config.workerinput["workerid"].removeprefix("gw"))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def pytest_unconfigure(config):
    """Remove the images of this run."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(RUN_FOLDER), ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Mark the tests of whole folders, and skip those whose program is not named."""
    tests = Path(__file__).parent
    no_program = pytest.mark.skip(reason="no C program: NB_C_BIN is not set")
    for item in items:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        if folder in FOLDER_MARKS:
            item.add_marker(FOLDER_MARKS[folder])
        if item.get_closest_marker("c_program") and not os.environ.get("NB_C_BIN"):
            item.add_marker(no_program)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter, config):
    """Say in the last lines what this machine, or the choice of tests, leaves out, and why."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    for mark in NEEDS:
        reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped if mark in report.keywords)
        if reasons:
            why = "; ".join(reason for reason, _ in reasons.most_common())
            terminalreporter.write_line(f"{mark} tests skipped: {reasons.total()} ({why})")
    if config.option.markexpr == QUICK:
        terminalreporter.write_line("slow tests left out: pytest -m slow runs them")


def _named(config) -> bool:
    """Whether the command line names single tests."""
    return bool(config.args) and all("::" in arg for arg in config.args)


@pytest.fixture
def replace():
    """dataclasses.replace for one section: replace(experiment, "beam", fluence=1e20)."""
    def changed(experiment: Experiment, section: str, **settings) -> Experiment:
        part = dataclasses.replace(getattr(experiment, section), **settings)
        return dataclasses.replace(experiment, **{section: part})
    return changed


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """An empty folder as the current one: a dump file left in another would be read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield
