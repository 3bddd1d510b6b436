"""Reading a command line: order, variable numbers of values, negative values, faults."""

from __future__ import annotations

import math

import pytest

from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.errors import ConfigError
from support.messages import refusal, states


def read(line: str) -> list[tuple]:
    return [(given.spelling, *given.values) for given in parse(line.split())]


@pytest.mark.parametrize(("line", "expected"), [
    ("-N 5 -Na 3 -N 4", [("-N", 5), ("-Na", 3), ("-N", 4)]),
    ("-cell 100 -N 5", [("-cell", 100.0), ("-N", 5)]),
    ("-cell 1 2 3 4 5 6 -nopolar", [("-cell", 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), ("-nopolar",)]),
    ("-misset -10 20 -3e1", [("-misset", -10.0, 20.0, -30.0)]),
    ("-misset random -N 2", [("-misset", "random"), ("-N", 2)]),
    ("-detector_abs inf", [("-detector_abs", math.inf)]),
    ("-polar -0.5 -detector_rotx -.5", [("-polar", -0.5), ("-detector_rotx", -0.5)]),
    ("-N 5.0 -Na +5. -Nb -5", [("-N", 5), ("-Na", 5), ("-Nb", -5)]),
    ("-lambda 1e-3 -wave 1.", [("-lambda", 0.001), ("-wave", 1.0)]),
    ("-img -odd.img -hkl 5", [("-img", "-odd.img"), ("-hkl", "5")]),
    ("--lambda 2 -backend numpy", [("--lambda", 2.0), ("-backend", "numpy")]),
    ("--config=a=b.toml --threads=2", [("--config", "a=b.toml"), ("--threads", 2)]),
    ("-roi 0 -1 2 3", [("-roi", 0, -1, 2, 3)]),
    ("", []),
])
def test_values(line, expected):
    assert read(line) == expected


@pytest.mark.requirement("AT-CLI-007")
@pytest.mark.parametrize(("line", "says"), [
    ("-lamda 2", ("-lamda", "", "-lambda")),
    ("-hdiv 2", ("-hdiv", "", "-hdivstep")),
    ("-vdiv 2", ("-vdiv", "", "-vdivstep")),
    ("-dispstep 2", ("-dispstep", "", "-dispsteps")),
    ("--semantic physical", ("--semantic", "", "--semantics")),
    ("-N5", ("-N5", "", "-N")),
    ("-lambda=2", ("-lambda=2", "", "-lambda")),
    ("-zzzzzq", ("-zzzzzq", "", "--help")),
    ("-phi 0 1", ("-phi", "1", "value")),
    ("-phi 0 -1", ("-phi", "-1", "value")),
    ("-nopgm x", ("-nopgm", "x", "value")),
    ("-cell 1 2 3 4 5 6 7", ("-cell", "7", "6")),
    ("foo", ("foo", "", "flag")),
])
def test_what_is_no_flag(line, says):
    with pytest.raises(CommandLineError) as caught:
        parse(line.split())
    states(caught.value.format_message(), *says)
    assert caught.value.exit_code == 2


@pytest.mark.requirement("AT-CLI-007")
@pytest.mark.parametrize(("line", "says"), [
    ("-distance abc", ("-distance", "abc", "number", "mm")),
    ("-distance", ("-distance", "", "value", "mm")),
    ("-distance -N 5", ("-distance", "", "value", "mm")),
    ("-distance 1_0", ("-distance", "1_0", "number", "mm")),
    ("-scale x", ("-scale", "x", "number")),
    ("-N 5.7", ("-N", "5.7", "whole number")),
    ("-N 1e3", ("-N", "1e3", "whole number")),
    ("-N inf", ("-N", "inf", "whole number")),
    ("--xtalsize", ("--xtalsize", "", "value", "mm")),
    ("-cell", ("-cell", "", "value", "6 numbers")),
    ("-cell 100 9O 90", ("-cell", "9O", "6 numbers")),
    ("-misset 1 2", ("-misset", "2 values", "3", "random")),
    ("-misset 1 -N 2", ("-misset", "1 value", "3", "random")),
    ("-misset x 1 2", ("-misset", "x", "3", "random")),
    ("-roi 1 2 3", ("-roi", "3 values", "4", "whole number")),
    ("-hkl", ("-hkl", "", "value", "file")),
    ("-hkl -N 5", ("-hkl", "", "value", "file")),
    ("-pivot detector", ("-pivot", "detector", "sample", "beam")),
    ("--backend=opencl", ("--backend", "opencl", "auto", "cuda", "cpu", "numpy")),
])
def test_malformed_values(line, says):
    with refusal(ConfigError, *says):
        parse(line.split())


def test_an_empty_file_name_is_none():
    with refusal(ConfigError, "-hkl", "''", "file"):
        parse(["-hkl", ""])
