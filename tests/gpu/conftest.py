"""The device of the tests, or with ``--gpu-stand-in`` a stand-in."""

from __future__ import annotations

import sys

import pytest

from cubragg import BackendUnavailable
from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.engine import select
from cubragg.errors import CubraggError
from support.cupy_stand_in import Cupy


@pytest.fixture(scope="module", autouse=True)
def _device(stand_in, tmp_path_factory):
    """A device, and an empty folder: a dump file left in the current one would be read."""
    try:
        cuda_device.device_count()
    except BackendUnavailable as error:
        pytest.skip(f"{error}; --gpu-stand-in runs them without a GPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("gpu"))
        yield


@pytest.fixture(scope="module")
def stand_in(request):
    """With the option, a stand-in for cupy in its place, whose kernels are compiled for the CPU."""
    if not request.config.getoption("gpu_stand_in"):
        yield
        return
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    cuda_device.kernel_module.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", Cupy(runs=True))
        patch.setattr(select, "_cupy_is_installed", lambda: True)
        yield
    cuda_device.kernel_module.cache_clear()
