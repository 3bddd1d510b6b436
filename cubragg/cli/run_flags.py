"""Rows of the table of flags for what does not change the experiment: outputs, pictures, noise and the program."""

from __future__ import annotations

from cubragg.cli.flag_kinds import choice as _choice
from cubragg.cli.flag_kinds import count as _count
from cubragg.cli.flag_kinds import file as _file
from cubragg.cli.flag_kinds import name as _name
from cubragg.cli.flag_kinds import number as _number
from cubragg.cli.flag_kinds import switch as _switch

OUTPUT = (
    _file("-floatfile -floatimage", "photons/pixel, floats", "output.float", default="floatimage.bin"),
    _file("-intfile -intimage", "SMV, noiseless", "output.int",
          default="intimage.img"),
    _file("-noisefile -noiseimage", "SMV, with noise", "output.noise", default="noiseimage.img",
          also=(("run.noise", True),)),
    _file("-pgmfile -pgmimage", "grey picture", "output.pgm", default="image.pgm", also=(("run.pgm", True),)),
    _file("--cbffile", "miniCBF, integer counts (see Notes)",
          "output.cbf"),
    _choice("--cbf-convention", "auto|generic|pilatus", "miniCBF header (auto: pilatus for whole modules)",
            "run.cbf_convention", default="auto"),
    _file("--save", "counts in the format of the ending: .cbf .img .nxs .h5 .tif .npy", "output.save"),
    _file("--nxmx", "NXmx (HDF5), all images of a series, any geometry", "output.nxmx"),
    _choice("--nxmx-type", "uint32|int32|uint16|float32", "pixel type of NXmx; float32: noiseless", "run.nxmx_type",
            default="uint32"),
    _file("--tiff", "TIFF, pixels only", "output.tiff"),
    _choice("--tiff-type", "int32|uint16|float32", "pixel type of TIFF; float32: noiseless", "run.tiff_type",
            default="int32"),
    _choice("--smv-flavor", "nanobragg|adsc", "SMV header: the C program's, or true geometry for other programs",
            "run.smv_flavor", default="nanobragg"),
    _file("--png", "picture (see Pictures)", "output.png"),
    _file("--truth", "reflection table of the image: .csv, .h5, .refl", "output.truth"),
    _number("--truth-min", "photons", "omit fainter reflections", "run.truth_min", default="1"),
    _file("--expt", "experiment models of the image, for DIALS", "output.expt"),
    _file("--geom", "its geometry, for CrystFEL", "output.geom"),
    _file("--cell-file", "its cell, for CrystFEL", "output.cell"),
    _file("--xds-inp", "XDS.INP for the image", "output.xds"),
    _switch("--overwrite", "let a shorter series replace files of a longer one", "run.overwrite"),
    _switch("--all-outputs", "write the first four even if files are named", "run.all_outputs"),
    _switch("-nonoise", "no noise image", "run.noise", value=False),
    _switch("-nopgm", "no PGM picture", "run.pgm", value=False),
    _number("-scale", "", "factor from photons to -intfile", "run.scale", default="maximum to 55000"),
    _number("-pgmscale", "", "factor from photons to -pgmfile", "run.pgm_scale", default="5 rmsd to 250",
            also=(("run.pgm", True),)),
    _number("-adc", "", "offset added to SMV pixels", "run.adc", default="40", metavar="<counts>"),
    _switch("-printout", "print the last step of each pixel of a -roi", "run.printout"),
    _count("-printout_pixel", "print every step of this pixel", "run.printout_pixel", least=2, most=2,
           metavar="<fast slow>"),
    _count("-trace_pixel", "the same, slow before fast", "run.trace_pixel", least=2, most=2,
           metavar="<slow fast>"),
)

PICTURES = (
    _choice("--png-colors --png-colours", "inverted|grey|sea|fire|gray|gray_r|viridis|magma|inferno|cividis",
            "colours of --png; inverted: dark spots on white", "picture.colours", default="inverted",
            metavar="<name>"),
    _choice("--png-scale", "linear|sqrt|log", "scale from values to lightness", "picture.scale", default="sqrt"),
    _number("--png-range", "%", "percentiles of the pixels > 0 at the ends of the scale", "picture.percentiles",
            least=2, most=2, metavar="<low high>", default="automatic"),
    _switch("--png-rings", "resolution rings, beam centre, axes, colour bar", "picture.rings"),
    _count("--png-spots", "predicted spots with their indices; n: the brightest n, without it 1000", "picture.spots",
           least=0, metavar="[<n>]"),
    _switch("--png-counts", "counts with noise, as image files have them, instead of expected photons",
            "picture.counts"),
    _number("--png-dpi --dpi", "1/inch", "a figure with this resolution in place of 100", "picture.dpi"),
    _switch("--png-zoom", "the brightest spot enlarged", "picture.zoom"),
)

NOISE = (
    _count("-seed", "seed of the noise", "run.seed", default="drawn and reported"),
    _choice("--noise-rng", "philox|reference", "generator of the noise: counter-based or nanoBragg's",
            "run.noise_rng", default="philox"),
)

PROGRAM = (
    _file("--config", "experiment in TOML; flags override it", "input.config",
          c_program="its settings as flags"),
    _file("--save-config", "write experiment, method and seed as TOML", "output.config"),
    _choice("--semantics", "nanobragg|physical", "with nanoBragg's quirks or without",
            "run.semantics", default="nanobragg"),
    _choice("--method", "sampled|analytic", "sum samples, or spots in closed form (see Notes)", "run.method",
            default="sampled"),
    _choice("--backend", "auto|cuda|cpu|numpy", "backend that renders (see Notes)", "run.backend", default="auto"),
    _choice("--precision", "auto|double|mixed|single", "of the kernels (see Notes)", "run.precision", default="auto"),
    _count("--device", "number of the GPU", "run.device", default="0"),
    _name("--devices", "GPUs that share the images, or the rows of one", "run.devices", metavar="all|<n,n>"),
    _count("--threads", "CPU threads", "run.threads", default="all cores"),
    _number("--cull", "", "omit terms below this fraction of the peak (see Notes)", "run.cull", default="0",
            metavar="<fraction>"),
    _switch("--quiet", "print errors only", "run.quiet"),
    _choice("--log", "summary|nanobragg", "on stderr, or nanoBragg's text on stdout (default if called nanoBragg)",
            "run.log", default="summary"),
    _switch("-v --verbose", "print precision, tile and culling, and the reasons", "run.verbose"),
    _switch("-noprogress", "no progress bar", "run.progress", value=False),
    _switch("-progress", "progress bar on a terminal (default)", "run.progress"),
)
