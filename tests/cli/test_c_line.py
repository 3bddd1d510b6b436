"""What a comparison gives the C program of a command line, and what it refuses."""

from __future__ import annotations

import bz2
import gzip
import os
import random
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cubragg.cli.build import build
from cubragg.cli.c_line import c_arguments, check
from cubragg.cli.compare import command as compare_command
from cubragg.cli.flag_kinds import HANDED_ON, LEFT_OUT
from cubragg.cli.flags import FLAGS, NO_EFFECT
from cubragg.cli.parser import parse
from cubragg.cli.trace import command as trace_command
from cubragg.device.host_build import find_compiler
from cubragg.errors import ConfigError, CubraggError
from cubragg.io.reflections.hkl import write_hkl
from support.command import SMALL
from support.flag_lines import HANDWRITTEN
from support.messages import refusal, refused

PROGRAM = os.environ.get("NB_C_BIN")

#: What nanoBragg.c looks for in the words of its command line that begin with a dash: as a part of the word, but for
#: -N and -MW. Taken from its source.
_KNOWN = """
-4stol -MW -N -Na -Nb -Nc -ORGX -ORGY -Q -Xbeam -Xclose -Ybeam -Yclose -adc -adxv -beam_vector -beamsize
-binary_spots -cell -close_distance -coherent -curved_det -default_F -density -denzo -detector_abs
-detector_rotx -detector_roty -detector_rotz -detector_thick -detector_thicksteps -detpixels -detpixels_f
-detpixels_s -detpixels_x -detpixels_y -detsize -detsize_f -detsize_s -dials -dispersion -dispsteps -distance
-divergence -divsteps -dmin -dump -energy -exposure -fdet_vector -floatfile -floatimage -fluence -flux -fudge
-gauss_xtal -hdivrange -hdivstep -hdivsteps -heigh -hkl -img -interpolate -intfile -intimage -lambda -mask -mat
-misset -misset_seed -molec -mosaic -mosaic_dom -mosaic_seed -mosaic_spr -mosaici -mosflm -nointerpolate
-noisefile -noiseimage -nonoise -nopgm -nopolar -noprogress -odet_vector -osc -oversample -oversample_omega
-oversample_polar -oversample_thick -pgmfile -pgmimage -pgmscale -phi -phistep -phisteps -pivot -pix0_vector
-pixel -point_pixel -polar -polar_vector -printout -printout_pixel -progress -roi -round_div -round_xtal
-sample_den -sample_heigh -sample_size -sample_thick -sample_width -sample_x -sample_y -sample_z -samplesize
-scale -sdet_vector -seed -source_dist -sourcefile -spindle_axis -square_div -square_xtal -stol -stolout
-thicksteps -tophat_spots -twotheta -twotheta_axis -vdivrange -vdivstep -vdivsteps -water -wave -width -xds
-xtal_heigh -xtal_size -xtal_thick -xtal_width -xtal_x -xtal_y -xtal_z -xtalsize
"""
KNOWN = _KNOWN.split()
WHOLE_WORDS = ("-N", "-MW")
#: The C program reads it and computes the first pixel from distance and beam centre all the same.
READ_WITHOUT_EFFECT = {"-pix0_vector"}
#: cubragg's, although the C program would find one of its options in them.
OF_CUBRAGG = {"--beam-divergence", "--beam-divergence-deg", "--beamstop-distance"}
LIST = "0 0 1 5\n1 0 0 7\n-1 -1 -1 3.5\n"


def is_known(spelling: str) -> bool:
    """Whether the C program finds one of its options in a word."""
    return any(spelling == option if option in WHOLE_WORDS else option in spelling for option in KNOWN)


@pytest.mark.c_program
def test_what_is_handed_on_is_in_the_program():
    """Among the words of its code; the compiler may have put short ones into instructions."""
    code = Path(PROGRAM).read_bytes()
    for flag in FLAGS:
        for option in KNOWN:
            if flag.c_program == HANDED_ON and len(option) > 8 and option in flag.name:
                assert f"{option}\0".encode() in code, option


@pytest.mark.requirement("AT-TOOLS-005")
def test_every_flag_is_handed_on_or_left_out_or_refused():
    """Each is in one of the three classes, and the class is what its settings and the C program say."""
    for flag in FLAGS:
        sections = {path.partition(".")[0] for path in (*flag.fields, *(path for path, _ in flag.also))}
        if flag.c_program == LEFT_OUT:
            # Nothing that places or changes the experiment; amorphous material has no effect in nanobragg semantics.
            assert sections <= {"run", "output", "picture", "amorphous"}, flag.name
            assert bool(sections) != (flag.group == NO_EFFECT), flag.name
        elif flag.c_program == HANDED_ON:
            assert all(is_known(name) for name in flag.names), flag.name
            assert flag.name not in READ_WITHOUT_EFFECT
        else:
            assert flag.c_program, f"the row of {flag.name} must say what to type instead"
            assert not is_known(flag.name) or flag.name in READ_WITHOUT_EFFECT | OF_CUBRAGG, flag.name


@pytest.mark.requirement("AT-TOOLS-005")
def test_every_flag_on_a_line(inputs):
    """What is handed on reaches the arguments, what is left out does not, the rest is refused by name."""
    # A dump is read where there is no list, and its name is handed on then.
    base = parse(SMALL.split())
    before = c_arguments(base, build(base))
    for line in HANDWRITTEN:
        words = line.split()
        given, = parse(words)
        if given.flag.c_program not in (HANDED_ON, LEFT_OUT):
            with refusal(ConfigError, words[0], "", "C program", "instead"):
                check([*base, given])
            continue
        with_flag = c_arguments([*base, given], build([*base, given]))
        assert with_flag[:len(before)] == before, line
        handed_on = with_flag[len(before):]
        if given.flag.c_program == LEFT_OUT or words[0] in ("-dump", "-misset_seed"):
            assert handed_on == [], line
            continue
        assert handed_on[0].lstrip("-") == words[0].lstrip("-")
        for typed, value in zip(words[1:], handed_on[1:], strict=False):
            if given.flag.kind == "file":
                assert value == os.path.abspath(typed), line
            elif given.flag.kind in ("number", "count") and not typed.startswith("rand"):
                assert float(value) == float(typed), line
            else:
                assert value == typed, line


@pytest.mark.requirement("AT-TOOLS-006")
@pytest.mark.parametrize("seed", range(20))
def test_flags_arrive_as_typed_around_the_options_of_a_command(seed):
    """Every flag in its order with all its values, whatever options of the command are between them."""
    rng = random.Random(seed)
    flags = rng.sample([*HANDWRITTEN, "-misset -1 -2e-3 -.5", "--phi=-5", "-hkl -odd=name-phi.hkl", "--cull=1e-8"], 30)
    for command, start, options in (
            (compare_command, "", ["--c-bin nb", "--threshold -0.5", "--roi 0 1 0 1", "--out=o", "--save-diff"]),
            (trace_command, "12 14", ["--last", "--json t.json", "--against=nb", "--tolerance 1e-3"])):
        # compare takes some flags, such as --png, for its own picture.
        own = {spelling for parameter in command.params for spelling in parameter.opts}
        handed_on = [flag for flag in flags if flag.split()[0] not in own]
        line = list(handed_on)
        for option in options:
            line.insert(rng.randrange(len(line) + 1), option)
        words = f"{start} {' '.join(line)}".split()
        params = command.make_context(command.name, words).params
        assert list(params["words" if command is compare_command else "flags"]) == " ".join(handed_on).split()


@pytest.mark.requirement("AT-TOOLS-005")
@pytest.mark.parametrize(("flags", "instead"), [
    ("--from refined.expt", "-distance"), ("--detector pilatus300k", "-detpixels_f"), ("--config e.toml", "as flags"),
    ("--images 10", "-phi"), ("--column FC", "h k l F"), ("-pix0_vector 0.1 0 0", "-Xbeam"),
    ("--semantics physical -pix0_vector 0.1 0 0", "-Xbeam"), ("-from refined.expt -xds", "-distance")])
def test_what_changes_the_experiment_is_refused(run, flags, instead):
    """Before any file is read, with the status of an error in the command line."""
    for line, status in ((f"compare --c-bin {sys.executable} {SMALL}{flags}", 1),
                         (f"trace 1 2 --against {sys.executable} {SMALL}{flags}", 2)):
        name, _, value = flags.replace("--semantics physical ", "").partition(" ")
        refused(run(line), status, name, value.split()[0], instead)


def test_a_trace_without_the_c_program_takes_them(run, folder):
    assert run(f"{SMALL}--save-config e.toml -floatfile a.bin --quiet").exit_code == 0
    assert run("trace 1 2 --config e.toml --json t.json").exit_code == 0
    assert run("trace 1 2 --config e.toml --against t.json").exit_code == 0


@pytest.mark.requirement("AT-TOOLS-005")
@pytest.mark.parametrize(("name", "data", "word"), [
    ("a.hkl.gz", gzip.compress(LIST.encode()), "decompress"), ("a.hkl.bz2", bz2.compress(LIST.encode()), "decompress"),
    ("comment.hkl", b"# h k l F\n" + LIST.encode(), "h k l F only"),
    ("sigma.hkl", b"0 0 1 5 0.1\n1 0 0 7 0.2\n", "h k l F only"), ("commas.hkl", b"0,0,1,5\n", "h k l F only")],
    ids=["gzip", "bzip2", "comment", "sigma", "commas"])
def test_lists_that_the_c_program_reads_differently(folder, name, data, word):
    """It takes four numbers after four numbers, whatever the lines; cubragg reads all of these."""
    (folder / name).write_bytes(data)
    line = parse(f"-cell 50 -hkl {name} -detpixels 9".split())
    job = build(line)
    assert job.experiment.structure_factors.grid is not None
    with refusal(ConfigError, "-hkl", name, "C program", word):
        c_arguments(line, job)


def test_lists_that_both_read_alike(folder):
    (folder / "a.hkl").write_text("\n" + LIST.replace("\n", "\r\n") + "  2\t-3 4 1.5E+02\n\n")
    write_hkl("b.hkl", np.array([[1, -2, 3]]), np.array([1e-7]))
    for name in ("a.hkl", "b.hkl"):
        line = parse(f"-cell 50 -hkl {name} -detpixels 9".split())
        assert c_arguments(line, build(line))[2:] == ["-hkl", str(folder / name), "-detpixels", "9"]


@pytest.fixture
def mtz(folder) -> Path:
    """F.mtz with a cell of 20 A, P 21 21 21, and amplitudes 10, 11, ... to 4 A."""
    cell, group = gemmi.UnitCell(20, 21, 22, 90, 90, 90), gemmi.SpaceGroup("P 21 21 21")
    hkl = gemmi.make_miller_array(cell, group, 4.0)
    table = gemmi.Mtz(with_base=True)
    table.spacegroup = group
    table.add_dataset("x")
    table.set_cell_for_all(cell)
    table.add_column("F", "F")
    table.set_data(np.column_stack([hkl, 10.0 + np.arange(len(hkl))]).astype(np.float32))
    table.write_to_file("F.mtz")
    return folder / "F.mtz"


LINE = "-lambda 3 -N 5 -misset 10 20 30 -detpixels 24 -pixel 4 -distance 60 -oversample 1 -nointerpolate"


@pytest.mark.requirement("AT-TOOLS-005")
def test_a_list_with_symmetry_is_refused_with_a_way_out(run, mtz):
    """What the message says to type works."""
    refused(run(f"compare --c-bin nb -hkl F.mtz {LINE}"), 1, "-hkl", "F.mtz", "-hkl F.mtz -dump F.bin", "-dump F.bin",
            "-cell")
    assert run(f"-hkl F.mtz -dump F.bin {LINE} -floatfile a.bin --quiet").exit_code == 0
    line = parse(f"-dump F.bin -cell 20 21 22 90 90 90 {LINE}".split())
    assert c_arguments(line, build(line))[-2:] == ["-dump", os.path.abspath("F.bin")]
    if PROGRAM:
        result = run(f"compare --c-bin {PROGRAM} -dump F.bin -cell 20 21 22 90 90 90 {LINE}")
        assert result.exit_code == 0, result.output


def test_what_renders_is_what_the_line_says(run, folder):
    """--cull reaches the comparison: its image is that of simulate, to the bit."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    line = ("-default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 20 -mosaic 0.5 -mosaic_domains 30 -phi 1 -osc 1 "
            "-phisteps 4 -distance 100 -pixel 0.3 -detpixels 200 -oversample 1 -gauss_xtal --backend cpu "
            "--precision double")
    for name, more in (("all.bin", ""), ("culled.bin", "--cull 1e-4")):
        assert run(f"{line} {more} -floatfile {name} --quiet").exit_code == 0
    assert Path("all.bin").read_bytes() != Path("culled.bin").read_bytes()
    program = folder / "nb"
    program.write_text(f"#!/bin/sh\ncp {folder}/culled.bin floatimage.bin\n")
    program.chmod(0o755)
    result = run(f"compare --c-bin {program} {line} --cull 1e-4")
    assert result.exit_code == 0, result.output
    assert "max difference    0 at" in result.stdout
