"""Build an experiment and the run settings from an ordered list of flags."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg import checks, units
from cubragg.cli import model_file
from cubragg.cli.device_list import device_list
from cubragg.cli.factors import cell_warnings, given_factors
from cubragg.cli.flags import SPELLINGS
from cubragg.cli.imports import Imported
from cubragg.cli.inputs import InputFile, read_setting, reading
from cubragg.cli.overrides import move_panels
from cubragg.cli.parser import Given
from cubragg.cli.settings_builder import Replay
from cubragg.crystallography.vectors import Matrix, Vector, scale
from cubragg.engine.select import MAX_THREADS, Backend, Devices, Precision
from cubragg.errors import ConfigError
from cubragg.experiment import Background, Beam, Detector, Experiment, StructureFactors
from cubragg.experiment.conventions import pivot_in_force
from cubragg.experiment.experiment import Semantics
from cubragg.experiment.spectrum_channels import Channel, mean_wavelength
from cubragg.nanobragg.random_stream import MAX_SEED
from cubragg.plan.plan import Method
from cubragg.run.named_settings import NamedFile
from cubragg.view.colours import Style

#: Largest number of images of a series, whose file names are all checked before the first is rendered.
MAX_IMAGES = 100_000
#: Largest number of spots that can be marked in a picture.
MAX_SPOTS = 1_000_000
#: Marks of pictures and the number of dots, which need matplotlib; and picture settings that are no `Style`.
MARKS = ("rings", "spots", "zoom", "dpi")
NO_STYLE = ("rings", "spots", "zoom", "counts")
#: Largest number of spots marked in a picture, the brightest ones, if no other is given.
_MOST_SPOTS = 1000
_CENTRES = ("xbeam_mm", "ybeam_mm", "xclose_mm", "yclose_mm", "orgx", "orgy")


class Output(NamedTuple):
    """File to write, and the flag that names it."""

    path: str
    provenance: str


@dataclass(frozen=True)
class Settings:
    """Settings of a command line that are not part of the experiment.

    Attributes
    ----------
    outputs
        The files named, by kind (a key of `flags.DEFAULT_NAMES`, ``cbf``, ``nxmx``, ``tiff``, ``png``, ``truth`` or
        ``config``).
    inputs
        The files read.
    all_outputs, noise, pgm
        Write the rest at default names; render noise; write a PGM picture.
    scale, pgm_scale, adc
        Factors to SMV and PGM (``None``: automatic) and the offset in SMV.
    truth_min
        Reflections with fewer photons are left out of the truth.
    seed, seed_drawn, noise_rng
        Seed of the noise, whether it was drawn here, and the generator.
    method, backend, precision, device, devices, threads, cull, progress, quiet, verbose
        How to render and how much to print.
    log
        ``summary`` or ``nanobragg``; ``None``: by the name of the program.
    smv_flavor, cbf_convention, nxmx_type, tiff_type
        Header of SMV and CBF files, pixel type of NXmx and TIFF files.
    images, overwrite
        Number of images; more than one is a rotation series. Whether it may replace files with more images.
    style, picture
        Colours of the PNG picture; and the flag that made each picture setting (``rings``).
    spots
        Largest number of spots marked in it.
    printout, pixels
        Print traces: of these pixels (flag, fast, slow), or of all rendered pixels if the list is empty.
    crystal
        Number of the crystal of an experiment list, from 1.
    column, space_group
        Column to read from the reflection file, and its space group.
    """

    outputs: dict[str, Output]
    inputs: tuple[InputFile, ...]
    all_outputs: bool = False
    noise: bool = True
    pgm: bool = True
    scale: float | None = None
    pgm_scale: float | None = None
    adc: float = 40.0
    truth_min: float = 1.0
    seed: int = 1
    seed_drawn: bool = False
    noise_rng: str = "philox"
    method: Method = "sampled"
    backend: Backend = "auto"
    precision: Precision = "auto"
    device: int = 0
    devices: Devices | None = None
    threads: int | None = None
    cull: float = 0.0
    progress: bool = True
    quiet: bool = False
    log: str | None = None
    smv_flavor: str = "nanobragg"
    cbf_convention: str = "auto"
    nxmx_type: str = "uint32"
    tiff_type: str = "int32"
    images: int = 1
    overwrite: bool = False
    verbose: bool = False
    printout: bool = False
    style: Style = field(default_factory=Style)
    picture: Mapping[str, str] = field(default_factory=dict)
    spots: int = _MOST_SPOTS
    pixels: tuple[tuple[str, int, int], ...] = ()
    crystal: int = 1
    column: str | None = None
    space_group: str | None = None


class Job(NamedTuple):
    """Parsed command line. ``replay`` names the flag behind an error; ``from_hkl``: a reflection list was read.

    ``provenance_lines``: what was read from files of other programs, a line each.
    """

    experiment: Experiment
    settings: Settings
    warnings: list[str]
    replay: Replay
    from_hkl: bool
    provenance_lines: Sequence[str] = ()


def build(line: Sequence[Given], semantics: Semantics = "nanobragg",
          defaults: Mapping[str, tuple[Any, str]] | None = None, model: str | None = None,
          dmin_A: float | None = None) -> Job:
    """Build the job of a command line.

    Parameters
    ----------
    semantics
        Used if neither a flag nor the experiment file names them.
    defaults
        Value and origin of settings that neither flags nor files give.
    model
        MODEL: a file of atoms, or a list of reflections as of ``-hkl``.
    dmin_A
        Resolution of its structure factors [A], in place of that of ``-dmin`` or of the detector.

    Raises
    ------
    ConfigError
        For values that no experiment can have, and files that do not exist.
    FormatError
        For a file that breaks its format.
    """
    atoms = None
    if model is not None:
        atoms, line = model_file.resolve_model(model, line)
    replay = Replay()
    replay.take_models((), defaults or {})
    files = {flag: given for given in line for flag in given.flag.fields if flag.startswith("input.")}
    if "input.config" in files:
        replay.take_config(_named(files["input.config"]))
    for given in line:
        if given.flag.name == "--semantics":
            replay.take_flag(given)
    mask = replay.take_header(_named(files["input.mask"]), is_mask=True) if "input.mask" in files else None
    if "input.image" in files:
        replay.take_header(_named(files["input.image"]), is_mask=False)
    if atoms is not None:
        replay.set("input.model", atoms.path, atoms.provenance)
    imported = Imported()
    imported.read([given for given in line if "input.models" in given.flag.fields], replay,
                  next((given for given in reversed(line) if given.flag.name == "--crystal"), None))
    imported.lay_over(replay, semantics)
    for given in line:
        replay.take_flag(given)
        if given.spelling not in SPELLINGS:
            replay.warnings.append(f"{given.spelling} is read as {given.flag.name}, as in nanoBragg")
    replay.resolve(secrets.randbelow(MAX_SEED) + 1)
    imported.check(replay)
    if not imported.models.panels and replay.get("detector.panels") and replay.get("detector.model") is None:
        move_panels(replay, replay.provenance["detector.panels"].partition(": ")[0])
    settings = _settings(replay)
    atoms_file = replay.input_file("model")
    if atoms_file is None:
        factors, from_hkl, file_cell = given_factors(replay)
    else:
        atomic, file_cell = model_file.read_atoms(replay, atoms_file)
        factors, from_hkl = StructureFactors(1.0), False  # until the detector, which gives the resolution, is known
    if replay.get("run.semantics") is None:
        replay.sections["run"]["semantics"] = semantics
    experiment = _experiment(replay, imported, factors, _mask(replay, mask))
    if atoms_file is not None:
        experiment = model_file.with_factors(replay, experiment, atomic, dmin_A)
    named = (InputFile(file.path, file.provenance) for file in replay.named.values())
    settings = replace(settings, inputs=tuple(dict.fromkeys((*settings.inputs, *named, *replay.tables))))
    replay.warnings += cell_warnings(file_cell, experiment)
    replay.warnings += _centres_without_effect(replay, experiment)
    return Job(experiment, settings, list(dict.fromkeys(replay.warnings)), replay, from_hkl, replay.provenance_lines)


def _named(given: Given) -> InputFile:
    return InputFile(str(given.values[0]), given.spelling)


def _settings(replay: Replay) -> Settings:
    run = dict(replay.sections["run"])
    with replay.naming():
        for name in ("scale", "pgm_scale"):
            checks.number(f"run.{name}", "the scale", run.get(name), optional=True, at_least=0.0)
        checks.number("run.adc", "the offset", run.get("adc", Settings.adc))
        checks.number("run.truth_min", "the photons", run.get("truth_min"), "photons", optional=True, at_least=0.0)
        checks.integer("run.seed", "the seed", run["seed"], at_least=0, at_most=MAX_SEED)
        checks.integer("run.device", "the number of the GPU", run.get("device", Settings.device), at_least=0)
        checks.number("run.cull", "the tolerance", run.get("cull", Settings.cull), at_least=0.0, below=1.0)
        checks.integer("run.threads", "the number of threads", run.get("threads"), optional=True, at_least=1,
                       at_most=MAX_THREADS)
        checks.integer("run.images", "the number of images", run.get("images", Settings.images), at_least=1,
                       at_most=MAX_IMAGES)
    traced = [(replay.provenance[f"run.{name}"], *run[name][::step])
              for name, step in (("printout_pixel", 1), ("trace_pixel", -1)) if name in run]
    if "devices" in run:
        run["devices"] = device_list(replay.provenance["run.devices"], run["devices"])
    known = {name: run[name] for name in Settings.__dataclass_fields__ if name in run}
    outputs = {kind: Output(path, replay.provenance[f"output.{kind}"])
               for kind, path in replay.sections["output"].items()}
    inputs = tuple(InputFile(path, replay.provenance[f"input.{kind}"])
                   for kind, path in replay.sections["input"].items())
    with replay.naming():
        style = Style(**{name: value for name, value in replay.sections["picture"].items() if name not in NO_STYLE})
        spots = next(iter(replay.get("picture.spots", ())), _MOST_SPOTS)
        checks.integer("picture.spots", "the number of spots", spots, at_least=1, at_most=MAX_SPOTS)
    picture = {name: replay.provenance[f"picture.{name}"] for name in replay.sections["picture"]}
    return Settings(outputs, inputs, style=style, picture=picture, spots=spots, pixels=tuple(traced), **known)


def _mask(replay: Replay, from_header: np.ndarray | None) -> np.ndarray | None:
    """Return the pixels to render of the flag, bool [slow, fast]; ``None``: without it."""
    source = replay.input_file("mask")
    if from_header is None or source is None:
        return None
    replay.provenance["sampling.mask"] = source.provenance
    return from_header != 0


def _experiment(replay: Replay, imported: Imported, factors: StructureFactors | None, mask: np.ndarray | None
                ) -> Experiment:
    from cubragg.io.geometry.matrix import read_matrix
    from cubragg.io.geometry.sources import read_sources

    replay.forget_overruled_files()
    document: dict[str, Any] = {name: dict(section) for name, section in replay.sections.items()
                                if name not in ("amorphous", "input", "output", "picture", "run")}
    document["semantics"] = replay.get("run.semantics")
    matrix, sources, spectrum = (replay.input_file(kind) for kind in ("matrix", "sources", "spectrum"))
    if spectrum is not None:
        replay.provenance["beam.spectrum"] = spectrum.provenance
        if spectrum.path.startswith("sase") and not Path(spectrum.path).exists():
            raise ConfigError(spectrum.provenance, f"got {spectrum.path!r}; a file is accepted; spectra that differ "
                              "from shot to shot are those of cubragg stills, --vary spectrum=sase:BANDWIDTH,SPIKES")
        tables = read_setting("beam.spectrum", spectrum.path, spectrum.provenance, replay.named)
        channels = [Channel(**table) for table in tables]
        # A flag's wavelength is checked against the spectrum; else it is the spectrum's mean.
        if replay.get("beam.wavelength_A") is None:
            document["beam"]["wavelength_A"] = mean_wavelength(channels)
        document["beam"]["spectrum"] = tables
    if matrix is not None:
        with reading(matrix):
            document["crystal"]["a_matrix"] = _over_wavelength(replay, read_matrix(matrix.path))
        replay.provenance["crystal.a_matrix"] = matrix.provenance
    parts: dict[str, Any] = {}
    if factors is not None:
        # The arrays are set afterwards: from_dict accepts packed arrays only, and refuses an experiment with F = 0.
        kept = {name: value for name, value in document["structure_factors"].items() if name not in ("grid", "origin")}
        document["structure_factors"] = {**kept, "default_F": 1.0}
        parts["structure_factors"] = replace(factors, F000=kept.get("F000"))
    with replay.naming():
        experiment = Experiment.from_dict(document)
        if sources is not None:
            replay.provenance["beam.sources"] = sources.provenance
            with reading(sources):
                listed = read_sources(sources.path)
            parts["beam"] = replace(experiment.beam, sources=listed)
        background = _background(replay, experiment.background)
        if background is not None:
            parts["background"] = background
        terms = replay.get("run.response")
        if terms is not None:
            from cubragg.cli.response_terms import response_of

            replay.provenance["response"] = replay.provenance["run.response"]
            energy = units.HC_EV_ANGSTROM / experiment.beam.wavelength_A
            replay.forget_files("response")
            parts["response"] = response_of(terms, energy, replay.provenance["run.response"], replay.named)
        masked = replay.input_file("mask")
        if mask is not None and masked is not None:
            replay.named["sampling.mask"] = NamedFile(masked.path, mask, masked.provenance)
            parts["sampling"] = replace(experiment.sampling, mask=mask)
        return replace(experiment, **parts) if parts else experiment


def _background(replay: Replay, given: Background) -> Background | None:
    """Return the background with that of the flags; ``None``: without one."""
    terms, amorphous = replay.get("run.background"), replay.sections["amorphous"]
    if not terms and not amorphous:
        return None
    from cubragg.cli import background_terms

    flags = ", ".join(dict.fromkeys(replay.provenance[f"amorphous.{name}"] for name in amorphous))
    if amorphous and replay.get("run.semantics") != "physical":
        replay.warnings.append(f"{flags}: no effect, as in nanoBragg; --semantics physical adds this material")
        amorphous = {}
    elif amorphous and not {"stol", "4stol", "Q"} & set(amorphous):
        replay.warnings.append(f"{flags}: no effect, because there is no -stol, the table of the material")
        amorphous = {}
    if terms:
        replay.provenance["background"] = replay.provenance["run.background"]
        replay.forget_files("background")
        replay.tables += (InputFile(path, replay.provenance["run.background"])
                          for path in background_terms.stol_files(terms))
        given = background_terms.background_of(terms, replay.provenance["run.background"], replay.named)
    if amorphous:
        material = background_terms.amorphous(amorphous, replay.provenance)
        replay.tables += (InputFile(amorphous[name], replay.provenance[f"amorphous.{name}"])
                          for name in ("stol", "4stol", "Q") if name in amorphous)
        given = replace(given, scatterers=(*given.scatterers, material))
    return given


def _over_wavelength(replay: Replay, m: Matrix) -> tuple[Vector, Vector, Vector]:
    """Return the A matrix [1/A] of a MOSFLM matrix, which is A times the wavelength; divided as in the C program."""
    wavelength = replay.get("beam.wavelength_A", Beam.wavelength_A)
    with replay.naming():
        checks.number("beam.wavelength_A", "wavelength", wavelength, "A", above=0.0)
    per_wavelength = units.ANGSTROM_M / units.m_from_angstrom(wavelength)
    return scale(m[0:3], per_wavelength), scale(m[3:6], per_wavelength), scale(m[6:9], per_wavelength)


def _centres_without_effect(replay: Replay, experiment: Experiment) -> Iterator[str]:
    """Warn of beam centres that do not move the image: nanoBragg uses only those of the pivot in force."""
    detector, semantics = experiment.detector, experiment.semantics
    if detector.panels:
        return

    def corner(candidate: Detector) -> tuple[float, ...] | None:
        try:
            return replace(experiment, detector=candidate).placed().frame.pix0
        except ConfigError:
            return None

    placed = corner(detector)
    idle = [replay.provenance[f"detector.{name}"] for name in _CENTRES
            if f"detector.{name}" in replay.flagged
            and corner(replace(detector, **{name: getattr(detector, name) + 1.0})) == placed]
    if idle and placed is not None:
        pivot = pivot_in_force(detector.convention, detector.pivot, semantics)
        takes = "-ORGX, -ORGY" if pivot == "sample" and detector.convention != "custom" else "-Xbeam, -Ybeam"
        if semantics == "physical" and detector.pix0_m is not None:
            takes = "-pix0_vector"
        yield (f"{', '.join(idle)}: no effect on the image, because the {detector.convention} convention pivots about "
               f"the {pivot} and uses {takes}")
