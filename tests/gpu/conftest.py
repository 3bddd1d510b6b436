"""With ``--gpu-stand-in``, the tests of a GPU without one."""

from __future__ import annotations

import sys

import pytest

from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.engine import select
from cubragg.errors import CubraggError
from support.cupy_stand_in import Cupy


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
