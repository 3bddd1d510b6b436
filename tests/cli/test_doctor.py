"""cubragg doctor: what it finds, and when it objects."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cubragg import BackendUnavailable, CubraggError
from cubragg.cli.doctor import doctor
from cubragg.device import host_build
from cubragg.device.host_build import find_compiler
from cubragg.engine.host import host_engine
from cubragg.errors import KernelBuildError
from cubragg.run import diagnosis


@pytest.fixture(autouse=True)
def _no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")


def needs_compiler():
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))


@pytest.mark.requirement("AT-BAK-009")
def test_everything_is_printed(capsys):
    needs_compiler()
    assert doctor() == 0
    text = capsys.readouterr().out
    for line in ("cubragg ", "Python ", "numpy ", "fabio ", "cupy            ", "C++ compiler",
                 "Cache of compiled kernels",
                 "cuda            not usable: cupy is not installed; pip install 'cubragg[cuda12]'",
                 "cpu             usable: ", "numpy           usable", "All backends that can run agree."):
        assert f"  {line}" in text or f"\n{line}" in text
    for trial in ("numpy double", "cpu double", "cpu mixed", "cpu single"):
        assert f"\n  {trial:<16}" in text
    assert "WRONG" not in text


def test_numpy_alone_is_enough(capsys, no_compiler):
    assert doctor() == 0
    text = capsys.readouterr().out
    assert "cpu             not usable: got CXX=no-such-compiler, which is not a program" in text
    assert "cpu double" not in text


def test_kernels_that_do_not_compile_are_reported(capsys, monkeypatch):
    def fail(*args):
        raise KernelBuildError("backend cpu: c++ cannot compile the kernels: render.cu:9: no")
    monkeypatch.setattr(host_engine, "HostEngine", fail)
    assert doctor() == 0
    assert "cpu             not usable: c++ cannot compile the kernels: render.cu:9: no" in capsys.readouterr().out


class Wrong:
    """A renderer whose image is off by a part of its maximum."""

    def __init__(self, plan, precision="double"):
        self._plan, self._precision = plan, precision

    def render(self, threads=None, progress=None):
        image = diagnosis.NumpyEngine(self._plan).render()
        image[3, 4] += np.float32({"double": 0.0, "mixed": 4e-6, "single": self.off}[self._precision]) * image.max()
        return image


@pytest.mark.requirement("AT-BAK-009")
@pytest.mark.parametrize("off", [1e-3, float("nan")])
def test_a_backend_that_disagrees(capsys, monkeypatch, off):
    monkeypatch.setattr(Wrong, "off", off, raising=False)
    monkeypatch.setattr(host_engine, "HostEngine", Wrong)
    assert doctor() == 1
    text = capsys.readouterr().out
    assert text.count("WRONG") == 1
    assert "WRONG: at most 5e-05 is accepted" in text
    assert text.endswith("Backends disagree or fail: see above.\n")


def test_a_backend_that_fails(capsys, monkeypatch):
    class Failing(Wrong):
        def render(self, threads=None, progress=None):
            raise BackendUnavailable("backend cpu: gone")
    monkeypatch.setattr(host_engine, "HostEngine", Failing)
    assert doctor() == 1
    assert "cpu double      FAILS: backend cpu: gone" in capsys.readouterr().out


def test_python_has_the_report_section_by_section(no_compiler):
    titles, rows, passed = zip(*diagnosis.diagnose(), strict=True)
    assert titles[:3] == ("Versions", "Cache of compiled kernels", "Backends")
    assert dict(rows[2])["numpy"] == "usable"
    assert passed == (True,) * 4


@pytest.mark.parametrize("state", ["absent", "ours", "open to others"])
def test_cache(capsys, monkeypatch, tmp_path, no_compiler, state):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CUBRAGG_CACHE", str(folder))
    if state != "absent":
        (folder / "kernels-1").mkdir(parents=True)
        (folder / "kernels-1" / "kernels.so").write_bytes(b"x" * 200_000)
        folder.chmod(0o700 if state == "ours" else 0o777)
    # What lies above pytest's folder is none of this test's business.
    monkeypatch.setattr(host_build, "_only_trusted_write", lambda status: True)
    doctor()
    text = capsys.readouterr().out
    assert f"folder          {folder}" in text
    if state == "absent":
        assert "not created yet" in text
        assert not folder.exists()
        return
    assert "1 libraries, 0.2 MB" in text
    assert ("drwx------, writable" if state == "ours" else "drwxrwxrwx") in text
    assert ("state           used" if state == "ours" else "not used, because other users can write to it") in text
