"""Reading a command line: order, variable numbers of values, negative values, faults."""

from __future__ import annotations

import math

import pytest

from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.errors import ConfigError
from cubragg.io.images.smv import read_smv
from support.command import SMALL
from support.messages import refusal, states, warned


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


@pytest.mark.requirement("AT-CLI-013")
@pytest.mark.parametrize(("line", "name", "values"), [
    ("-adcoffset 10", "-adc", (10.0,)), ("-sample_heigh 0.1", "-sample_z", (0.1,)), ("-heigh 0.1", "-sample_z", (0.1,)),
    ("-xtal_heigh 0.1", "-sample_z", (0.1,)), ("-mosaic_spr 1", "-mosaic", (1.0,)), ("-lambda_A 2", "-lambda", (2.0,)),
    ("-waves 2", "-lambda", (2.0,)), ("-hklfile a.hkl", "-hkl", ("a.hkl",)), ("-molec 18", "-MW", (18.0,)),
    ("-misset_deg 1 2 3", "-misset", (1.0, 2.0, 3.0)), ("-oversample_thickness", "-oversample_thick", ()),
    ("-nonoise_please", "-nonoise", ()), ("-curved_detectors", "-curved_det", ()),
    ("-hdiv 0", "-hdiv", (0.0,)), ("-vdiv -1", "-hdiv", (-1.0,)), ("-xdet_vector 0 0 1", "-xdet_vector", (0, 0, 1)),
    ("-detsize_x 5", "-detsize_x", (5.0,))])
def test_what_the_c_program_accepts(line, name, values):
    """strstr finds an option within a word; its README prints some that it does not have."""
    given, = parse(line.split())
    assert (given.flag.name, given.values) == (name, values)


@pytest.mark.requirement("AT-CLI-013")
def test_spellings_of_the_c_program_are_mentioned(run):
    stderr = run(f"{SMALL} -adcoffset 10 -hdiv 0 -floatfile a.bin -intfile i.img").stderr
    assert warned(stderr, "-adcoffset", "", "-adc", "nanoBragg")
    assert warned(stderr, "-hdiv", "", "effect", "nanoBragg")
    assert read_smv("i.img").pixels.min() == 10


@pytest.mark.parametrize("flag", ["-seed", "-N", "-phisteps", "--images", "--threads"])
def test_whole_numbers_of_5000_digits(flag):
    with refusal(ConfigError, flag, "", "whole number"):
        parse([flag, "1" * 5000])


@pytest.mark.requirement("AT-CLI-007")
@pytest.mark.parametrize(("line", "says"), [
    ("-lamda 2", ("-lamda", "", "-lambda")),
    ("-hdivz 2", ("-hdivz", "", "-hdiv")),
    ("-foo 2", ("-foo", "", "--help")),
    ("--help-me", ("--help-me", "", "--help")),
    ("-phi_start 2", ("-phi_start", "", "--help")),
    ("-misset_seeds 2", ("-misset_seeds", "", "-misset_seed")),
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
