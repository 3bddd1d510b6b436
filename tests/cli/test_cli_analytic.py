"""``--method analytic`` and ``--tail`` on the command line."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from support.messages import refused, warned

LINE = ("--semantics physical --method analytic -cell 60 62 66 90 95 90 -default_F 100 -lambda 1.1 -N 12 "
        "-distance 110 -pixel 0.3 -detpixels 80 -misset 11 23 37 -fluence 1e28 -osc 0.6 -floatfile a.bin ")


@pytest.mark.requirement("AT-ANA-007")
def test_an_image_and_its_truth(run, folder):
    result = run(LINE + "--crystal-shape gauss --mosaicity 0.2 --bandwidth 1e-3 --truth t.csv --cbffile a.cbf -seed 1")
    assert result.exit_code == 0
    rows = [line for line in (folder / "t.csv").read_text().splitlines() if not line.startswith("#")]
    table = list(csv.DictReader(rows))
    image = np.fromfile(folder / "a.bin", dtype="<f4").sum(dtype=float)
    assert sum(float(row["photons [photons]"]) for row in table) == pytest.approx(image, rel=2e-3)
    assert all(0.0 < float(row["phi_sigma [deg]"]) < 0.3 for row in table)
    assert (folder / "a.cbf").exists()


@pytest.mark.requirement("AT-ANA-009")
def test_nanobragg_semantics_is_refused(run, folder):
    refused(run(LINE.replace("physical", "nanobragg")), 2, "--method", "analytic", "--semantics physical")
    assert not list(folder.iterdir())


def test_a_still_of_one_cell_is_refused(run, folder):
    refused(run(LINE + "-N 1"), 2, "-N", "1 x 1 x 1", "3")


def test_verbose_names_settings_without_effect(run, folder):
    result = run(LINE + "-phisteps 7 -mosaic 0.5 -mosaic_domains 30 -v")
    assert result.exit_code == 0
    assert "spindle steps, mosaic domains: the method analytic does not sample" in result.stderr
    assert warned(result.stderr, "--mosaicity", "0.2482", "second moments")
    assert warned(result.stderr, "--crystal-shape gauss", "square", "fringes")


@pytest.mark.parametrize(("given", "least"), [("", 1), ("-oversample 3", 3), ("-oversample 40", 32)])
def test_the_summary_has_what_is_rendered(run, given, least):
    result = run(f"{LINE} --mosaicity 0.2 -mosaic_domains 30 {given}")
    assert f"at least {least} x {least} sub-pixels" in result.stderr
    assert "closed form, sigma 0.2 deg" in result.stderr
    assert not warned(result.stderr, "-mosaic_spread")  # Gaussian domains have a spread


def test_tail_widens_boxes(run, folder):
    images = []
    for tail in ("", "--tail 9"):
        assert run(LINE + tail).exit_code == 0
        images.append(np.fromfile(folder / "a.bin", dtype="<f4"))
    assert np.count_nonzero(images[1]) > np.count_nonzero(images[0])
    # A wider box may be evaluated with the second-order terms, which are worth up to 1e-3 of a standard deviation.
    assert images[1] == pytest.approx(images[0], abs=2e-4 * float(images[0].max()))
    refused(run(LINE + "--tail 2"), 2, "--tail", "2", "4.5")


def test_traces_are_refused(run, folder):
    refused(run(LINE + "--crystal-shape gauss -printout_pixel 3 4"), 2, "-printout_pixel", "", "--method")
