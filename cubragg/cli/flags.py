"""Table of the flags of ``simulate``, one row each.

`parser` reads a command line with this table, `settings_builder` converts the flags to settings, `usage` prints the
help, and `c_line` passes flags on to nanoBragg.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from cubragg.cli.flag_kinds import HANDED_ON, LEFT_OUT, Flag
from cubragg.cli.flag_kinds import choice as _choice
from cubragg.cli.flag_kinds import count as _count
from cubragg.cli.flag_kinds import file as _file
from cubragg.cli.flag_kinds import name as _name
from cubragg.cli.flag_kinds import number as _number
from cubragg.cli.flag_kinds import switch as _switch
from cubragg.cli.flag_kinds import vector as _vector
from cubragg.cli.run_flags import NOISE, OUTPUT, PICTURES, PROGRAM

#: Files that nanoBragg writes when none is named.
DEFAULT_NAMES: Mapping[str, str] = MappingProxyType({
    "dump": "Fdump.bin", "float": "floatimage.bin", "int": "intimage.img", "pgm": "image.pgm",
    "noise": "noiseimage.img"})


#: What to type for nanoBragg.c instead of the size of crystal and beam.
_BLOCKS = "-fluence, multiplied by the number of blocks,"
_NO_STOP = "-mask with the pixels behind the beam stop"
_CUSTOM = (("detector.convention", "custom"),)
_CELLS = ("crystal.cells[0]", "crystal.cells[1]", "crystal.cells[2]")
_SIZES = ("crystal.sample_size_mm[0]", "crystal.sample_size_mm[1]", "crystal.sample_size_mm[2]")

_CRYSTAL = (
    _number("-cell", "A, deg", "unit cell; omitted lengths are a, angles 90", "crystal.cell",
            least=1, most=6, metavar="<a b c al be ga>"),
    _count("-N", "unit cells along each of a, b, c", *_CELLS, default="1"),
    _count("-Na", "the same along one axis", _CELLS[0]),
    _count("-Nb", "", _CELLS[1]),
    _count("-Nc", "", _CELLS[2]),
    _number("-xtalsize -xtal_size -samplesize -sample_size", "mm",
            "size along each of a, b, c", *_SIZES),
    _number("-sample_x -sample_thick -xtal_x -xtal_thick", "mm", "the same along a, b, c", _SIZES[0]),
    _number("-sample_y -sample_width -xtal_y -xtal_width -width", "mm", "", _SIZES[1]),
    _number("-sample_z -sample_height -xtal_z -xtal_height -height", "mm", "", _SIZES[2]),
    _switch("-square_xtal", "parallelepiped, with fringes (default)", "crystal.shape", value="square"),
    _switch("-round_xtal", "ellipsoid", "crystal.shape", value="round"),
    _switch("-gauss_xtal", "Gaussian spots, no fringes", "crystal.shape", value="gauss"),
    _switch("-tophat_spots -binary_spots", "flat spots cut at half width, no fringes", "crystal.shape",
            value="tophat"),
    _name("--crystal-shape", "square, round, gauss, tophat; physical semantics: gauss_star, spheres", "crystal.shape",
          c_program="-square_xtal, -round_xtal, -gauss_xtal or -tophat_spots"),
    _number("-fudge", "", "factor on the squared spot radius", "crystal.fudge", default="1"),
    _number("-mosaic -mosaici -mosaicity -mosaic_spread", "deg", "mosaic spread, isotropic",
            "crystal.mosaic_spread_deg", default="0"),
    _count("-mosaic_domains -mosaic_dom", "mosaic domains", "crystal.mosaic_domains",
           default="10 with a spread, else 1; physical: as needed"),
    _count("-mosaic_seed", "seed of the domain orientations", "crystal.mosaic_seed", default="12345678"),
    _number("--crystal-size", "mm", "whole crystal, one number or along a, b, c*; its blocks multiply the photons",
            "crystal.size_mm", most=3, metavar="<mm>", c_program=_BLOCKS),
    _choice("--crystal-habit", "box|sphere|cylinder", "its shape; a cylinder is along c*", "crystal.habit",
            default="box", c_program=_BLOCKS),
    _vector("--crystal-offset", "mm", "its centre from the spindle axis and the beam, at phi = 0", "crystal.offset_mm",
            default="0 0 0", c_program=_BLOCKS),
    _vector("--crystal-wobble", "mm", "amplitude of its displacement by the spindle, which does not turn with it",
            "crystal.wobble_mm", default="0 0 0", c_program=_BLOCKS),
    _count("--crystal-wobble-cycles", "cycles of the wobble in a turn of the spindle", "crystal.wobble_cycles",
           default="2", c_program=_BLOCKS),
    _number("--crystal-wobble-phase", "deg", "phase of the wobble at phi = 0", "crystal.wobble_phase_deg", default="0",
            c_program=_BLOCKS),
    _number("--block-size", "um", "coherent block, one number or along a, b, c, instead of -N or -xtalsize",
            "crystal.block_size_um", most=3, metavar="<um>", default="one cell; of sweep and stills 1", c_program="-N"),
    _number("--mosaicity", "deg", "sigma of the blocks' rotation, one number or about a, b, c*; "
            "--semantics nanobragg: as -mosaic", "crystal.mosaicity_deg", most=3, metavar="<deg>", c_program=HANDED_ON),
    _number("--strain", "", "sigma of the relative cell lengths of the blocks", "crystal.strain", default="0",
            c_program="-dispersion"),
    _number("-water", "um", "edge of a cube of water: flat background", "sampling.water_um", default="0"),
)

_ORIENTATION = (
    _file("-mat -matrix", "MOSFLM matrix; -cell then sets the lengths", "input.matrix"),
    _vector("-misset", "deg", "rotate the crystal about x, then y, then z", "crystal.misset_deg",
            metavar="<x y z>|random", words=("random",)),
    _count("-misset_seed", "seed of -misset random", "run.misset_seed", default="that of -seed"),
)

_FACTORS = (
    _file("-hkl", "reflections: lines of h k l F, MTZ, CIF, SHELX, .sca", "input.hkl"),
    _file("--column", "column of F or I in that file (see Notes)", "run.column", metavar="<name>",
          c_program="-hkl with lines of h k l F"),
    _file("--space-group", "space group of that file, symbol or number", "run.space_group", metavar="<name>",
          c_program="-hkl with lines of h k l F"),
    _number("-default_F", "electrons", "F of every reflection not in the list", "structure_factors.default_F",
            default="0", metavar="<F>"),
    _number("--F000", "electrons", "F of 0 0 0, which is part of the beam and does not scatter by default; --semantics "
            "nanobragg: as any other", "structure_factors.F000", metavar="<F>", c_program="-default_F"),
    _file("-dump", "binary structure factors, written or read", "output.dump", default="Fdump.bin"),
    _switch("-interpolate", "interpolate F between reflections (default if an N <= 2)", "sampling.interpolate"),
    _switch("-nointerpolate", "F of the nearest reflection", "sampling.interpolate", value=False),
)

_BEAM = (
    _number("-lambda -wave -wavelength", "A", "wavelength", "beam.wavelength_A", default="1"),
    _number("-energy", "eV", "photon energy, instead of -lambda", "beam.wavelength_A"),
    _number("-fluence", "photons/m^2", "photons per area", "beam.fluence", default="1.26e29"),
    _number("-flux", "photons/s", "instead of -fluence, with -exposure and -beamsize", "beam.flux"),
    _number("-exposure", "s", "exposure time", "beam.exposure_s", default="1"),
    _number("-beamsize", "mm", "edge of the beam; clips the sample", "beam.beamsize_mm", default="0.1"),
    _choice("--beam-profile", "flat|gaussian", "of the beam across a crystal with a size", "beam.profile",
            default="flat", c_program=_BLOCKS),
    _number("--beam-size", "mm", "beam, full width at half maximum if Gaussian: one number, or along and across the "
            "polarization", "beam.size_mm", most=2, metavar="<mm>", default="-beamsize", c_program="-beamsize"),
    _number("--direct-beam", "", "fraction of the beam's photons that the detector records around its centre",
            "beam.direct_fraction", default="0", metavar="<fraction>", c_program=_NO_STOP),
    _number("--beamstop", "mm", "beam stop: diameter of a disc, or edges of a rectangle along and across the "
            "polarization", "beamstop.size_mm", most=2, metavar="<mm>", c_program=_NO_STOP),
    _number("--beamstop-distance", "mm", "from the crystal along the beam", "beamstop.distance_mm", default="30",
            c_program=_NO_STOP),
    _number("--beamstop-offset", "mm", "of its centre, along and across the polarization", "beamstop.offset_mm",
            least=2, most=2, metavar="<along across>", default="0 0", c_program=_NO_STOP),
    _number("--beamstop-arm", "mm", "width of its arm", "beamstop.arm_mm", default="0", c_program=_NO_STOP),
    _number("--beamstop-arm-angle", "deg", "direction of the arm, from the polarization", "beamstop.arm_deg",
            default="90", c_program=_NO_STOP),
    _number("-polar", "", "Kahn polarization factor, -1 to 1", "beam.kahn_factor",
            default="0, --semantics physical: 0.998", metavar="<K>", also=(("beam.polarized", True),)),
    _switch("-nopolar", "no polarization correction", "beam.polarized", value=False),
)

_SOURCES = (
    _number("-divergence", "mrad", "full divergence, horizontal and vertical", "beam.hdiv_range_mrad",
            "beam.vdiv_range_mrad", default="0"),
    _number("-hdivrange", "mrad", "full divergence, horizontal or vertical", "beam.hdiv_range_mrad"),
    _number("-vdivrange", "mrad", "", "beam.vdiv_range_mrad"),
    _number("-hdivstep", "mrad", "step of the grid of sources", "beam.hdiv_step_mrad"),
    _number("-vdivstep", "mrad", "", "beam.vdiv_step_mrad"),
    _count("-divsteps", "points of the grid, horizontal and vertical", "beam.hdiv_steps", "beam.vdiv_steps"),
    _count("-hdivsteps", "points of the grid, horizontal or vertical", "beam.hdiv_steps"),
    _count("-vdivsteps", "", "beam.vdiv_steps"),
    _switch("-round_div", "round off the grid (default)", "beam.round_divergence"),
    _switch("-square_div", "keep the corners of the grid", "beam.round_divergence", value=False),
    _number("-dispersion", "%", "full spectral width, of the wavelength", "beam.dispersion_percent",
            default="0"),
    _count("-dispsteps", "wavelengths over that width", "beam.dispersion_steps", default="2 with a width"),
    _number("--beam-divergence", "mrad", "sigma of the beam's direction: one number, or along and across the "
            "polarization", "beam.divergence_mrad", most=2, metavar="<mrad>", c_program="-divergence"),
    _number("--beam-divergence-deg", "deg", "the same in degrees", "beam.divergence_deg", most=2, metavar="<deg>",
            c_program="-divergence"),
    _number("--bandwidth", "", "sigma of the relative wavelength", "beam.bandwidth", default="0",
            c_program="-dispersion"),
    _number("--bandwidth-fwhm", "", "instead, its full width at half maximum", "beam.bandwidth_fwhm",
            c_program="-dispersion"),
    _file("--spectrum", "channels: lines of wavelength [A] or energy [eV], weight and perhaps bandwidth",
          "input.spectrum", c_program="-sourcefile"),
    _file("-sourcefile", "instead, a list: lines of x y z weight wavelength", "input.sources"),
)

_GEOMETRY = (
    _number("-distance", "mm", "sample to detector along the beam", "detector.distance_mm", default="100",
            pivot="beam"),
    _number("-close_distance", "mm", "to the nearest point; overrules -distance",
            "detector.close_distance_mm", pivot="sample"),
    _number("-pixel", "mm", "pixel size", "detector.pixel_size_mm", default="0.1"),
    _count("-detpixels", "size in pixels", "detector.fast_pixels", "detector.slow_pixels"),
    _count("-detpixels_f -detpixels_x", "the same, fast or slow", "detector.fast_pixels"),
    _count("-detpixels_s -detpixels_y", "", "detector.slow_pixels"),
    _number("-detsize", "mm", "size; pixels overrule it", "detector.fast_size_mm",
            "detector.slow_size_mm", default="102.4"),
    _number("-detsize_f", "mm", "the same, fast or slow", "detector.fast_size_mm"),
    _number("-detsize_s", "mm", "", "detector.slow_size_mm"),
    _name("--detector", "pixels and panels of a catalog detector; list: print all", "detector.model",
          metavar="<name>|list", c_program="-pixel, -detpixels_f and -detpixels_s"),
    _file("-img", "take the geometry from this SMV header", "input.image"),
    _file("--from", "experiment models from .expt, .geom, .cell, NXmx, CBF, SMV (see Notes)", "input.models",
          c_program="-lambda, -distance, -pixel, -Xbeam, -Ybeam, -mat and what else the file gives"),
    _count("--crystal", "crystal of an .expt with several, counted from 1", "run.crystal", default="1",
           c_program="-mat of one crystal"),
    _switch("-mosflm", "MOSFLM: beam along x, pivot beam (default)", "detector.convention", value="mosflm",
            pivot="beam"),
    _switch("-denzo", "DENZO: as MOSFLM, centre half a pixel off", "detector.convention", value="denzo",
            pivot="beam"),
    _switch("-adxv", "ADXV: beam along z, pivot beam", "detector.convention", value="adxv",
            pivot="beam"),
    _switch("-xds", "XDS: beam along z, pivot sample", "detector.convention", value="xds",
            pivot="sample"),
    _switch("-dials", "DIALS: as XDS, spindle along y", "detector.convention", value="dials", pivot="beam"),
    _number("-Xbeam", "mm", "beam centre, as the convention defines it", "detector.xbeam_mm",
            default="middle", pivot="beam"),
    _number("-Ybeam", "mm", "", "detector.ybeam_mm", pivot="beam"),
    _number("-Xclose", "mm", "nearest point, fast and slow (custom only)", "detector.xclose_mm",
            pivot="sample"),
    _number("-Yclose", "mm", "", "detector.yclose_mm",
            pivot="sample"),
    _number("-ORGX", "pixels", "nearest point, as in XDS (xds, dials)", "detector.orgx", pivot="sample"),
    _number("-ORGY", "pixels", "", "detector.orgy", pivot="sample"),
    _choice("-pivot", "sample|beam", "centre of tilts (custom only)", "detector.pivot",
            default="as above"),
    _number("-detector_rotx", "deg", "tilt about x", "detector.rotx_deg", default="0"),
    _number("-detector_roty", "deg", "then about y", "detector.roty_deg", default="0"),
    _number("-detector_rotz", "deg", "then about z", "detector.rotz_deg", default="0"),
    _number("-twotheta", "deg", "then about the two-theta axis", "detector.twotheta_deg", default="0",
            pivot="sample"),
    _vector("-beam_vector", "", "beam direction; all these select custom",
            "beam.direction", default="1 0 0", also=_CUSTOM),
    _vector("-fdet_vector", "", "fast axis", "detector.fast_axis", default="0 0 1", also=_CUSTOM),
    _vector("-sdet_vector", "", "slow axis", "detector.slow_axis", default="0 -1 0", also=_CUSTOM),
    _vector("-odet_vector", "", "normal, away from the sample", "detector.normal_axis", default="1 0 0", also=_CUSTOM),
    _vector("-polar_vector", "", "E vector of the beam", "beam.polarization_axis", default="0 0 1", also=_CUSTOM),
    _vector("-twotheta_axis", "", "axis of -twotheta; give it before -twotheta", "detector.twotheta_axis",
            default="0 1 0", also=_CUSTOM, pivot="sample"),
    _vector("-pix0_vector", "", "first pixel [m] (--semantics physical only)", "detector.pix0_m",
            also=_CUSTOM, c_program="-distance with -Xbeam and -Ybeam"),
)

_PHYSICS = (
    _number("-detector_abs -detector_absorb -detector_absorption", "um",
            "attenuation depth; 0 as inf", "detector.attenuation_um",
            default="inf", metavar="<um>|inf"),
    _number("-detector_thick", "um", "sensor thickness", "detector.thickness_um", default="0"),
    _count("-detector_thicksteps -thicksteps", "sensor layers; by default in physical semantics as many as spots need",
           "detector.thick_steps"),
    _switch("-point_pixel", "solid angle without obliquity", "detector.point_pixel"),
    _switch("-curved_det -curved_detector", "cylinder, all pixels at the same distance", "detector.curved"),
)

_ROTATION = (
    _number("-phi", "deg", "spindle angle at the start", "goniometer.phi_deg", default="0"),
    _number("-osc", "deg", "rotation range", "goniometer.osc_deg", default="0"),
    _number("-phistep", "deg", "rotation step", "goniometer.phi_step_deg"),
    _count("-phisteps", "steps over the range", "goniometer.phi_steps",
           default="2 with -osc, else 1; physical: as needed"),
    _vector("-spindle_axis", "", "axis; selects the custom convention", "goniometer.axis", default="0 0 1",
            also=_CUSTOM),
    _count("--images", "images of a series: image i starts at phi + i osc, files name_0001", "run.images", default="1",
           c_program="the -phi and -osc of one image"),
)

_BACKGROUND = (
    _name("--background", "terms such as water=50,air=10:20, um and mm, with commas (see Notes)",
          "run.background", metavar="<terms>", c_program="-water"),
    _file("-stol", "amorphous material: sin(theta)/lambda [1/A], F of a molecule", "amorphous.stol"),
    _file("-4stol", "the same, of 4 sin(theta)/lambda or of 4 pi sin(theta)/lambda", "amorphous.4stol"),
    _file("-Q", "", "amorphous.Q"),
    _number("-density -sample_density", "g/cm^3", "its density", "amorphous.density", default="1"),
    _number("-MW -molecular_weight", "g/mol", "weight of its molecules", "amorphous.MW", default="18"),
)

_RESPONSE = (
    _name("--response", "name of a detector, ideal, or terms such as psf=fiber,psf-fwhm=80 (see Notes)", "run.response",
          metavar="<terms>", default="that of --detector, else ideal", c_program="-noisefile, with Poisson noise only"),
)

_SAMPLING = (
    _count("-oversample", "sub-pixels along each edge", "sampling.oversample",
           default="as needed"),
    _number("--tail", "", "where a spot of --method analytic ends, in standard deviations", "sampling.tail_sigmas",
            default="5.5", metavar="<sigmas>", c_program="-mosaic_domains, -phisteps and -oversample"),
    _switch("-oversample_thick", "sensor absorption at every sub-pixel", "sampling.oversample_thick"),
    _switch("-oversample_polar", "polarization at every sub-pixel", "sampling.oversample_polar"),
    _switch("-oversample_omega", "solid angle at every sub-pixel", "sampling.oversample_omega"),
    _count("-roi", "pixels to render, ends included", "sampling.roi", least=4, most=4,
           metavar="<xmin xmax ymin ymax>", default="all"),
    _file("-mask", "SMV, pixels of 0 are skipped; its header is read as by -img", "input.mask"),
    _number("-dmin", "A", "skip samples of higher resolution", "sampling.dmin_A", default="0"),
)

NO_EFFECT = "Accepted without effect, as in nanoBragg"
_IGNORED = (
    _file("-stolout", "background"),
    _switch("-coherent", "coherent sum"),
    _number("-hdiv -vdiv", "mrad", "of nanoBragg's README; -hdivrange and -vdivrange are its options"),
    _number("-detsize_x -detsize_y", "mm", "of its README; -detsize_f and -detsize_s"),
    _vector("-xdet_vector -ydet_vector -zdet_vector", "", "of its README; -fdet_vector, -sdet_vector, -odet_vector"),
)

_GROUPS: tuple[tuple[str, str, tuple[Flag, ...]], ...] = (
    ("Crystal", HANDED_ON, _CRYSTAL), ("Orientation", HANDED_ON, _ORIENTATION),
    ("Structure factors", HANDED_ON, _FACTORS), ("Beam", HANDED_ON, _BEAM), ("Sources", HANDED_ON, _SOURCES),
    ("Detector geometry", HANDED_ON, _GEOMETRY), ("Detector physics", HANDED_ON, _PHYSICS),
    ("Rotation", HANDED_ON, _ROTATION), ("Background (--semantics physical)", LEFT_OUT, _BACKGROUND),
    ("Response (--semantics physical)", LEFT_OUT, _RESPONSE),
    ("Sampling", HANDED_ON, _SAMPLING), ("Output", LEFT_OUT, OUTPUT),
    ("Pictures", LEFT_OUT, PICTURES), ("Noise", LEFT_OUT, NOISE), ("Program", LEFT_OUT, PROGRAM),
    (NO_EFFECT, LEFT_OUT, _IGNORED),
)


def _in_group(flag: Flag, group: str, c_program: str) -> Flag:
    """Return the flag with its heading, and with its group's ``c_program`` where its row has none.

    The C program has no flag with two dashes: the row gives what to type instead.
    """
    if c_program == HANDED_ON and flag.name.startswith("--"):
        c_program = ""
    return replace(flag, group=group, c_program=flag.c_program or c_program)


#: Every flag, in the order of the help.
FLAGS: tuple[Flag, ...] = tuple(_in_group(flag, group, c_program) for group, c_program, flags in _GROUPS
                                for flag in flags)


def _spellings() -> dict[str, Flag]:
    table: dict[str, Flag] = {}
    for flag in FLAGS:
        for name in flag.names:
            if table.setdefault(name, flag) is not flag:
                raise RuntimeError(f"two flags are spelled {name}")
    # With the other number of dashes too, unless that is a flag of its own (-mosaicity, --mosaicity).
    own = set(table)
    for flag in FLAGS:
        for name in flag.names:
            bare = name.lstrip("-")
            for spelling in {f"-{bare}", f"--{bare}"} - own:
                if table.setdefault(spelling, flag) is not flag:
                    raise RuntimeError(f"two flags are spelled {spelling}")
    return table


#: Every accepted spelling, with one dash and with two.
SPELLINGS: Mapping[str, Flag] = MappingProxyType(_spellings())


def flag_for_field(setting: str) -> str | None:
    """Return the spelling of the first flag that sets ``section.field``; ``None`` if no flag does."""
    for flag in FLAGS:
        if any(path.partition("[")[0] == setting for path in flag.fields):
            return flag.name
    return None
