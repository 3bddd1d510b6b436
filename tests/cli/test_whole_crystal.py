"""The command line of a whole crystal in a real beam, and the experiment file that names its structure factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cubragg.cli.background_terms import background_of
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from support.messages import refused

CRYSTAL = ("-hkl P1.hkl -cell 50 60 70 80 90 100 -N 5 -lambda 6.2 -distance 100 -detpixels 12 -pixel 1 "
           "--semantics physical ")


def experiment_of(line: str):
    return build(parse(line.split())).experiment


def test_flags_become_fields(inputs):
    experiment = experiment_of(CRYSTAL + "--crystal-size 0.05 --crystal-habit sphere --crystal-offset 0.01 0 -0.02 "
                               "--crystal-wobble 0.002 0 0.001 --crystal-wobble-cycles 3 --crystal-wobble-phase 45 "
                               "--mosaicity 0.1 0.2 0.3 --strain 0.001 --beam-profile gaussian --beam-size 0.02 0.01 "
                               "--beam-divergence 0.5 --spectrum s.spec")
    crystal, beam = experiment.crystal, experiment.beam
    assert (crystal.size_mm, crystal.habit, crystal.offset_mm) == (0.05, "sphere", (0.01, 0.0, -0.02))
    assert (crystal.wobble_mm, crystal.wobble_cycles, crystal.wobble_phase_deg) == ((0.002, 0.0, 0.001), 3, 45.0)
    assert (crystal.mosaicity_deg, crystal.strain) == ((0.1, 0.2, 0.3), 0.001)
    assert (beam.profile, beam.size_mm, beam.divergence_mrad) == ("gaussian", (0.02, 0.01), 0.5)
    assert [(channel.wavelength_A, channel.weight) for channel in beam.spectrum] == [(6.1, 1.0), (6.2, 3.0), (6.3, 1.0)]


def test_the_wavelength_of_a_spectrum_is_its_mean(inputs):
    assert experiment_of("-default_F 1 -cell 50 --semantics physical --spectrum s.spec").beam.wavelength_A == \
        pytest.approx(6.2)


def test_one_dash_is_nanobraggs_spread(inputs):
    assert experiment_of(CRYSTAL + "-mosaicity 0.3").crystal.mosaic_spread_deg == 0.3
    assert experiment_of(CRYSTAL + "--mosaicity 0.3").crystal.mosaicity_deg == 0.3
    nanobragg = experiment_of("-default_F 1 -cell 50 --mosaicity 0.3").crystal
    assert (nanobragg.mosaic_spread_deg, nanobragg.mosaicity_deg) == (0.3, None)


@pytest.mark.parametrize("flag", ["--crystal-size 0.1", "--strain 0.001", "--bandwidth 0.001", "--block-size 1"])
def test_nanobragg_semantics_names_the_flag(run, inputs, flag):
    result = run(f"-default_F 1 -cell 50 {flag} -floatfile a.bin")
    assert result.exit_code == 2
    assert flag.split()[0] in result.stderr
    assert "--semantics physical" in result.stderr


def test_an_experiment_file_names_the_structure_factors(run, inputs):
    """With their SHA-256 and relative to itself, in place of the grid: the image is the same."""
    Path("sub").mkdir()
    assert run(CRYSTAL + "-oversample 1 --save-config sub/e.toml -floatfile a.bin --quiet").exit_code == 0
    text = Path("sub/e.toml").read_text()
    assert 'hkl_file = "../P1.hkl"' in text
    assert "zlib" not in text
    assert run("--config sub/e.toml -floatfile b.bin --quiet").exit_code == 0
    np.testing.assert_array_equal(np.fromfile("a.bin", np.float32), np.fromfile("b.bin", np.float32))
    # saved again, it still names the file
    assert run("--config sub/e.toml --save-config f.toml -floatfile b.bin --quiet").exit_code == 0
    assert 'hkl_file = "P1.hkl"' in Path("f.toml").read_text()


def test_a_changed_file_of_structure_factors_is_refused(run, inputs):
    assert run(CRYSTAL + "-oversample 1 --save-config e.toml -floatfile a.bin --quiet").exit_code == 0
    with open("P1.hkl", "a") as file:
        file.write("1 1 3 5\n")
    result = run("--config e.toml -floatfile b.bin --quiet")
    assert result.exit_code == 2
    assert "e.toml" in result.stderr
    assert "SHA-256" in result.stderr
    # another file on the command line is not held against the saved hash
    assert run("--config e.toml -hkl P1.hkl -floatfile b.bin --quiet").exit_code == 0


def test_printed_figures(run, inputs):
    """Illuminated volume, blocks, the brightest reflection and the background at 3 A."""
    result = run(CRYSTAL.replace("-lambda 6.2", "-lambda 2 -flux 1e12") + "--crystal-size 0.05 --beam-size 0.02 "
                 "--background constant=2 -oversample 1 -floatfile a.bin -distance 10")
    assert result.exit_code == 0
    assert "box of 0.05 x 0.05 x 0.05 mm" in result.stderr
    assert "photons on an image" in result.stderr
    assert "2 photons per pixel at 3 A" in result.stderr


@pytest.mark.parametrize(("flags", "warned"), [
    ("-polar 0.5 --cbffile a.cbf", True), ("-nopolar --save a.img", True), ("--cbffile a.cbf", False),
    ("-polar 0.5 --nxmx a.h5", False), ("-polar 0.5 -floatfile a.bin", False)])
def test_a_format_that_is_corrected_for_another_polarization(run, inputs, flags, warned):
    result = run(CRYSTAL + f"-oversample 1 -seed 1 {flags}")
    assert result.exit_code == 0
    assert ("dxtbx corrects for 0.998" in result.stderr) == warned


@pytest.mark.parametrize(("fields", "terms"), [
    ("water_um=20,air_mm=1:2", "water=20,air=1:2"),
    ("ice_um=2,ice_fwhm_per_A=0.01,ice_grains=9,ice_seed=3", "ice=2,ice-width=0.01,ice-grains=9,ice-seed=3")])
def test_background_terms_have_the_names_of_settings_as_well(fields, terms):
    assert background_of(fields, "--background") == background_of(terms, "--background")


@pytest.mark.parametrize(("line", "says"), [
    ("--beamstop-distance 20", ("--beamstop-distance", "", "--beamstop MM")),
    ("--beamstop-arm 1", ("--beamstop-arm", "", "--beamstop MM")),
    ("--beamstop 2 --beamstop-distance 200", ("--beamstop-distance", "200 mm", "100 mm")),
    ("--background air=5:200", ("--background", "200 mm", "100 mm")),
    ("--background radial=s.spec", ("s.spec:1", "'wavelength'", "sin(theta)/lambda")),
    ("--background ice=1,ice-grains=-1", ("--background", "ice-grains=-1", ">= 0")),
    ("--background water=5,water_um=6", ("--background water", "twice")),
    ("--background ice_fwhm_per_A=0", ("--background ice-width", "0 1/A", "> 0")),
    ("--response kind=integrating,gain-stages=10", ("--response", "gain-stages=10", "SIGNAL:NOISE")),
    ("--response gain-stages=10:1", ("--response gain-stages", "integrating", "kind=integrating")),
    ("--response chips=5", ("--response", "chips=5", "FAST:SLOW:GAP:GAP")),
    ("--response chips=2:2:1:1", ("--response chips", "2 x 2 pixels", "4 x 4")),
    ("--response gain=2,gain=3", ("--response gain", "twice")),
    ("--response bad-pixels=bad.npy", ("--response bad-pixels", "256", "1 dead")),
    ("--response flicker=5", ("--response flicker", "5", "< 1")),
    ("--spectrum sase", ("--spectrum", "'sase'", "--vary spectrum=sase:BANDWIDTH,SPIKES")),
])
def test_wrong_settings_name_the_flag(run, inputs, line, says):
    np.save("bad.npy", np.full((1, 1), 256, dtype=np.int32))
    result = run(f"{CRYSTAL}{line} -floatfile a.bin")
    refused(result, result.exit_code, *says)
    assert result.exit_code in (1, 2)
    assert not Path("a.bin").exists()
