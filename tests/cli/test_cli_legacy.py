"""Reading a command line: order, variable numbers of values, negative values, faults."""

from __future__ import annotations

import math

import pytest

from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.errors import ConfigError


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


@pytest.mark.parametrize(("line", "message"), [
    ("-lamda 2", "No such option '-lamda'. Did you mean '-lambda'?"),
    ("-hdiv 2", "No such option '-hdiv'. Did you mean '-hdivstep'?"),
    ("-vdiv 2", "No such option '-vdiv'. Did you mean '-vdivstep'?"),
    ("-dispstep 2", "No such option '-dispstep'. Did you mean '-dispsteps'?"),
    ("--semantic physical", "No such option '--semantic'. Did you mean '--semantics'?"),
    ("-N5", "No such option '-N5'. Did you mean '-N'?"),
    ("-lambda=2", "No such option '-lambda=2'. Did you mean '-lambda'?"),
    ("-zzzzzq", "No such option '-zzzzzq'. 'cubragg simulate --help' lists them all."),
    ("-phi 0 1", "Unexpected argument '1'; -phi before it takes one value."),
    ("-phi 0 -1", "Unexpected argument '-1'; -phi before it takes one value."),
    ("-nopgm x", "Unexpected argument 'x'; -nopgm before it takes no value."),
    ("-cell 1 2 3 4 5 6 7", "Unexpected argument '7'; -cell before it takes at most 6 values."),
    ("foo", "Unexpected argument 'foo'; values follow a flag."),
])
def test_what_is_no_flag(line, message):
    with pytest.raises(CommandLineError) as caught:
        parse(line.split())
    assert caught.value.format_message() == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("line", "message"), [
    ("-distance abc", "-distance: got 'abc'; a number of mm is accepted"),
    ("-distance", "-distance: got no value; a number of mm is accepted"),
    ("-distance -N 5", "-distance: got no value; a number of mm is accepted"),
    ("-distance 1_0", "-distance: got '1_0'; a number of mm is accepted"),
    ("-scale x", "-scale: got 'x'; a number is accepted"),
    ("-N 5.7", "-N: got '5.7'; a whole number is accepted"),
    ("-N 1e3", "-N: got '1e3'; a whole number is accepted"),
    ("-N inf", "-N: got 'inf'; a whole number is accepted"),
    ("--xtalsize", "--xtalsize: got no value; a number of mm is accepted"),
    ("-cell", "-cell: got no value; 1 to 6 numbers (A, deg) are accepted"),
    ("-cell 100 9O 90", "-cell: got '9O'; 1 to 6 numbers (A, deg) are accepted"),
    ("-misset 1 2", "-misset: got 2 values; 3 numbers of deg or 'random' are accepted"),
    ("-misset 1 -N 2", "-misset: got 1 value; 3 numbers of deg or 'random' are accepted"),
    ("-misset x 1 2", "-misset: got 'x'; 3 numbers of deg or 'random' are accepted"),
    ("-roi 1 2 3", "-roi: got 3 values; 4 whole numbers are accepted"),
    ("-hkl", "-hkl: got no value; a file name is accepted"),
    ("-hkl -N 5", "-hkl: got no value; a file name is accepted"),
    ("-pivot detector", "-pivot: got 'detector'; sample or beam is accepted"),
    ("--backend=opencl", "--backend: got 'opencl'; auto, cuda, cpu or numpy is accepted"),
])
def test_malformed_values(line, message):
    with pytest.raises(ConfigError) as caught:
        parse(line.split())
    assert str(caught.value) == message


def test_an_empty_file_name_is_none():
    with pytest.raises(ConfigError, match="-hkl: got ''; a file name is accepted"):
        parse(["-hkl", ""])
