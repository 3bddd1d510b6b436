"""Fixtures that all tests share, and the last lines about what was left out."""

from __future__ import annotations

import dataclasses
import os
import signal

import pytest
from hypothesis import settings

from cubragg import Experiment

pytest.register_assert_rewrite("support")
settings.register_profile("cubragg", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("cubragg")


def pytest_addoption(parser):
    """Options of the parity tests."""
    parser.addoption("--parity-artifacts", action="store_true", default=False,
                     help="every parity case leaves its images, figures and trace under reports/")


def pytest_configure(config):
    """Compiled kernels of the tests stay out of the user's cache; and signals reach what the tests start."""
    # A shell without job control starts what it puts in the background with SIGINT ignored, nohup what it is given
    # with SIGHUP ignored; programs that tests start would keep that, but not a handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    os.environ.setdefault("CUBRAGG_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))


def pytest_terminal_summary(terminalreporter):
    """Say how many tests a machine without a GPU, or without an optional program, leaves out."""
    skipped = terminalreporter.stats.get("skipped", [])
    gpu = [report for report in skipped if "tests/gpu/" in report.nodeid]
    terminalreporter.write_line(f"GPU tests skipped: {len(gpu)}" + (f" ({gpu[0].longrepr[2]})" if gpu else ""))


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
