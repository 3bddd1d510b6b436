"""A cupy that executes PTX, where NVRTC and a C++ compiler are installed."""

from __future__ import annotations

import sys

import pytest

from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.errors import CubraggError
from ptx.stand_in import PtxCupy
from support.nvrtc import Nvrtc, installed


@pytest.fixture(scope="session")
def nvrtc() -> Nvrtc:
    """The compiler for GPUs."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    return installed()


@pytest.fixture
def cupy(nvrtc, monkeypatch):
    """The stand-in, in place of cupy."""
    cuda_device.kernel_module.cache_clear()
    module = PtxCupy(nvrtc)
    monkeypatch.setitem(sys.modules, "cupy", module)
    yield module
    cuda_device.kernel_module.cache_clear()
