"""Format the help of ``simulate`` from the table of flags."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import click

from cubragg.cli.base_command import COLUMN
from cubragg.cli.flags import FLAGS, Flag

_USAGE = "[MODEL] | -cell <a b c al be ga> | -mat <file>  -hkl <file> | -default_F <F>  [FLAGS]"

_INTRO = ("Simulate the diffraction image of a small crystal from nanoBragg's flags: the same flags give the same "
          "image. Lengths, angles and energies are in the unit given in angle brackets.")

_NOTES = (
    "Flags are read from left to right and the last one wins: -N 5 -Na 3 differs from -Na 3 -N 5. Values may be "
    "negative. Flags may have one dash or two.",
    "If no output is named, nanoBragg's four files are written: floatimage.bin, intimage.img, noiseimage.img, "
    "image.pgm. If any is named, only the named files are written.",
    "MODEL, before the flags, is a file of atoms (PDB, mmCIF, CIF) or of reflections, as -hkl reads it. From atoms "
    "structure factors are computed as by stills and sweep: to --dmin, without it to the corner of the detector (of a "
    "macromolecule at least 1.2 A), with f' and f'' at the wavelength and bulk solvent; 'cubragg sf' has more options. "
    "helix_bundle.pdb and quartz.cif come with cubragg.",
    "-hkl reads lines of h k l F as nanoBragg does. MTZ, mmCIF, .fcf and SHELX .hkl (beside its .ins, .res or .cif) "
    "are expanded by their space group, Bijvoet differences kept, and set the cell unless -cell or -mat gives one. "
    "--column names the column; without it the first of these is used: calculated F, F(+) and F(-), F, I(+) and I(-), "
    "I.",
    "--cbffile stores counts. With -scale they are photons * scale, rounded, without noise; otherwise those of "
    "the noise image (-seed), without -adc; with -nonoise, -scale is required. Masked pixels are -1. --save writes the "
    "same counts in the format of the file's ending; .img adds -adc.",
    "--background is a list of terms with commas: water=UM and ice=UM, lengths along the beam; air=MM:MM, lengths "
    "before and after the crystal; ice-grains=N spots in each ice ring (smooth without it), ice-width=1/A, ice-seed=N; "
    "constant=PHOTONS/pixel; stol=FILE:MM:DENSITY:MW, a table as -stol reads it, length along the beam, g/cm^3 and "
    "g/mol; radial=FILE, a table of sin(theta)/lambda and photons/pixel; image=FILE, photons/pixel. Names of settings "
    "(water_um) are accepted as well. 'cubragg background' extracts a stol table from an image. -stol, -4stol and -Q "
    "are 0.1 mm along the beam.",
    "--response is the name of a detector, or ideal, and terms with commas, in the order and with the units of "
    "specs/response.md: kind=counting|integrating, psf=gauss|fiber with psf-fwhm=UM, charge-cloud=UM, dead-time=NS, "
    "flicker, efficiency-sigma, flat-field-sigma, gain, gain-sigma, readout-sigma=PHOTONS, "
    "gain-stages=PHOTONS:NOISE/..., pedestal=COUNTS, dead-fraction, hot-fraction, noisy-fraction, bad-pixels=FILE, "
    "count-cutoff, calibration-seed. It changes counts, not the photons of -floatfile.",
    "A --config file is a TOML experiment as --save-config writes it, and may name hkl_file or model_file (in "
    "structure_factors), mask_file (sampling), source_file and spectrum_file (beam), matrix_file (crystal), image_file "
    "and radial_file (background) and bad_pixels_file (response), with paths relative to its own folder. --save-config "
    "adds a section run with method, seed, number of images and formats, so that --config reproduces the counts.",
    "--from reads the beam, detector, spindle, scan and crystal of a file, and may be repeated: later files override "
    "earlier ones, flags override all files (--from list.expt#1: the second experiment). --expt, --geom, --cell-file "
    "and --xds-inp describe the image of the run.",
    "--method analytic, with --semantics physical, renders each spot as the Gaussian integral over all orientations, "
    "wavelengths and directions: spindle steps and mosaic domains have no effect. It renders gauss and gauss_star "
    "blocks, square and round ones without their fringes, of 3 cells or more along each axis, in double or single.",
    "--backend cuda renders on a GPU through CuPy, cpu with the same kernels compiled by the machine's C++ compiler "
    "(once, in a few seconds), numpy without either; auto uses the first of these that can run.",
    "--precision double gives NumPy's image to the bit. mixed keeps Miller indices in double, lattice factors in "
    "single; single keeps double at the centres of tiles of pixels only. Errors are at most 7e-5 (mixed) and 2.3e-4 "
    "(single) of the image maximum; what these cannot represent is rendered in double with a warning. auto is "
    "double on the CPU, mixed on a GPU with half as many double units as single ones, else single.",
    "--cull 1e-8 omits terms that are known to be below 1e-8 of the theoretical peak on a tile of pixels, where that "
    "saves time, and next to spots only those below 1e-11. Measured: totals low by up to 6e-5, strong spots by up "
    "to 1.6e-5 (1e-10: 1e-6 and 2e-7); weak pixels between spots may lose most of their value. Without --cull only "
    "terms that are 0 are omitted, and no bit of the image changes.",
    "Exit status: 0, 1 if the run failed, 2 for an error in the command line, 130 at Ctrl-C, 143 at SIGTERM.",
)

_EXAMPLES = """\
  # a small cubic crystal; writes nanoBragg's four files
  cubragg -default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 \\
    -distance 100 -detpixels 1024
  # reflections and a MOSFLM matrix, half a degree of rotation, for DIALS
  cubragg -hkl P1.hkl -mat A.mat -lambda 0.98 -N 20 -fluence 1e24 \\
    -phi 10 -osc 0.5 -phisteps 5 -cbffile out.cbf
  # mosaic crystal in a random orientation
  cubragg -hkl P1.hkl -cell 79 79 38 90 90 90 -misset random -seed 7 \\
    -N 20 -mosaic 0.5 -mosaic_domains 50 -floatfile out.bin --png out.png
  # from coordinates to a picture
  cubragg simulate model.pdb -N 10 --png a.png
  # structure factors without bulk solvent; the MTZ has the cell
  cubragg sf model.pdb -o F.mtz --dmin 2 --no-solvent
  cubragg -hkl F.mtz -N 10
  # a catalog detector, a series in one file, files for DIALS and XDS
  cubragg --detector eiger2-4m -hkl F.mtz -lambda 1 -distance 150 -N 20 \\
    -osc 0.1 -phisteps 5 --images 10 --nxmx run.h5 --expt run.expt \\
    --xds-inp XDS.INP
  # an experiment refined by DIALS, at a larger distance
  cubragg --from refined.expt -distance 300 -hkl F.mtz -N 20 -phisteps 5 \\
    --nxmx far.h5
  # a saved experiment with one change
  cubragg --config exp.toml -distance 200 -intfile far.img
"""


def write_help(context: click.Context, formatter: click.HelpFormatter) -> None:
    """Print usage, the flags by group, notes and examples."""
    formatter.write_usage(context.command_path, _USAGE)
    formatter.write_paragraph()
    formatter.write_text(_INTRO)
    for group in dict.fromkeys(flag.group for flag in FLAGS):
        _section(formatter, group, _rows([flag for flag in FLAGS if flag.group == group]))
    _section(formatter, "Other spellings", [(flag.name, ", ".join(flag.names[1:])) for flag in FLAGS
                                            if len(flag.names) > 1])
    with formatter.section("Notes"):
        indent = " " * formatter.current_indent
        for note in _NOTES:  # Click's own wrapping divides names of terms at their hyphens.
            formatter.write(fill(note, formatter.width, initial_indent=indent, subsequent_indent=indent,
                                 break_on_hyphens=False) + "\n")
    with formatter.section("Examples"):
        formatter.write(_EXAMPLES)


def _section(formatter: click.HelpFormatter, title: str, rows: list[tuple[str, str]]) -> None:
    with formatter.section(title):
        formatter.write_dl([(left.ljust(COLUMN), right) for left, right in rows], col_max=COLUMN)


def _rows(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    """Return spelling and help of each flag; a flag without help shares the row before it."""
    rows: list[list[Flag]] = []
    for flag in flags:
        if flag.help:
            rows.append([flag])
        else:
            rows[-1].append(flag)
    return [(f"{', '.join(flag.name for flag in row)} {row[0].metavar}".rstrip(),
             f"{row[0].help} [{row[0].default}]" if row[0].default else row[0].help) for row in rows]
