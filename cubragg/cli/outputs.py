"""Select the output files of a run, check that they can be written, and write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg.cli import formats, geometry_out
from cubragg.cli.build import MARKS, Job, Output
from cubragg.cli.earlier_files import check_no_shorter
from cubragg.cli.flags import DEFAULT_NAMES, flag_for_field
from cubragg.cli.run_figures import Conversion
from cubragg.cli.saved_run import saved_run
from cubragg.detect.nanobragg_images import int_image, int_scale, noise_image, pgm_image
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import ConfigError, CubraggError, FormatError
from cubragg.io.companions import companions
from cubragg.io.files.names import display_name, is_utf8

if TYPE_CHECKING:
    from cubragg.engine.panel_loop import Progress
    from cubragg.io.images.scene import Scene
    from cubragg.io.images.writer import Writer
    from cubragg.plan.plan import Plan
    from cubragg.reflections.reflection_table import ReflectionTable
    from cubragg.run.simulated_image import SimulatedImage

_IMAGES = ("float", "int", "pgm", "noise", *formats.ENDINGS, "png")
#: Kinds with one numbered file for each image of a series.
_NUMBERED_KINDS = (*_IMAGES, "truth")
#: Settings that affect only files of these kinds.
_AFFECTS = {
    "scale": ("int", "pgm", "cbf", "nxmx", "tiff", "save"), "adc": ("int", "noise", "save"), "pgm_scale": ("pgm",),
    "noise_rng": ("noise", "cbf", "nxmx", "tiff", "save"), "smv_flavor": ("int", "noise"), "cbf_convention": ("cbf",),
    "nxmx_type": ("nxmx",), "tiff_type": ("tiff",)}
_NUMBERED = re.compile(r"(.*_)(\d{4,})(\.[^./]*)?")
#: Largest number of files that one error lists.
_MOST_PROBLEMS = 5


def select_outputs(job: Job) -> dict[str, Output]:
    """Return the files to write, by kind.

    None named: nanoBragg's four files. Some named: these, and the rest of the four with ``--all-outputs``.
    The dump is written for a reflection list, if it is named or the four files are written.
    """
    settings = job.settings
    named = {kind: output for kind, output in settings.outputs.items() if kind in _IMAGES}
    rest = {} if named and not settings.all_outputs else {
        kind: Output(name, f"{kind} image") for kind, name in DEFAULT_NAMES.items() if kind != "dump"}
    selected = {**rest, **named}
    for kind, enabled in (("noise", settings.noise), ("pgm", settings.pgm)):
        if not enabled:
            selected.pop(kind, None)
    if job.from_hkl and (rest or "dump" in settings.outputs):
        selected["dump"] = settings.outputs.get("dump", Output(DEFAULT_NAMES["dump"], "-dump"))
    for kind in ("config", "truth", *geometry_out.KINDS):
        if kind in settings.outputs:
            selected[kind] = settings.outputs[kind]
    return selected


def numbered(targets: dict[str, Output], number: int) -> dict[str, Output]:
    """Return the files of image ``number``, from 1, of a series as name_0001.img.

    Devices and files of the whole series keep their names.
    """
    def name(path: str) -> str:
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            return path
        stem, suffix = os.path.splitext(path)
        return f"{stem}_{number:04d}{suffix}"
    return {kind: target._replace(path=name(target.path))
            if kind in _NUMBERED_KINDS and not formats.holds_series(kind, target) else target
            for kind, target in targets.items()}


def all_targets(targets: dict[str, Output], images: int) -> list[Output]:
    """Return every file of a run."""
    if images == 1:
        return list(targets.values())
    return list(dict.fromkeys(target for number in range(1, images + 1)
                              for target in numbered(targets, number).values()))


def listed(paths: list[str]) -> str:
    """Format paths for a message; a numbered series as its first and last file."""
    series: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        match = _NUMBERED.fullmatch(path)
        series.setdefault((match[1], match[3] or "") if match else (path,), []).append(path)
    return ", ".join(one[0] if one[0] == one[-1] else f"{one[0]} to {one[-1]}" for one in series.values())


def saved_text(job: Job, path: str) -> str:
    """Return the TOML text of ``--save-config`` for a file: the experiment and the section ``run``."""
    import tomli_w

    from cubragg.run.named_settings import document_of

    document = document_of(job.experiment, Path(path).parent, job.replay.named)
    return f"{tomli_w.dumps(document)}\n{tomli_w.dumps({'run': saved_run(job.settings)})}"


def check(targets: dict[str, Output], job: Job, plan: Plan) -> None:
    """Check before rendering that the files can be written.

    Raises
    ------
    ConfigError
        If two outputs, or an output and an input or a file read along with it, are one file; a file has more images
        than the run; counts for a file are not defined, or it cannot describe the geometry; the name of the truth has
        no known ending; or a flag is for a picture that is not written, or that cannot be drawn here.
    CubraggError
        If files cannot be written: all of them, each with the reason.
    """
    settings, experiment = job.settings, job.experiment
    uses = {os.path.realpath(companion): f"{source.provenance} {source.path} may read" for source in settings.inputs
            for companion in companions(source.path)}
    uses |= {os.path.realpath(source.path): f"{source.provenance} reads" for source in settings.inputs}
    problems: list[str] = []
    for target in all_targets(targets, settings.images):
        path = Path(target.path)
        special = path.exists() and not path.is_file() and not path.is_dir()
        real_path = os.path.realpath(path)
        if real_path in uses and not special:
            raise ConfigError(target.provenance, f"got {target.path!r}, which {uses[real_path]}; "
                              "every file needs its own name")
        uses[real_path] = f"{target.provenance} writes"
        problem = _problem(path)
        if problem:
            problems.append(f"{target.provenance}: cannot write {target.path!r}: {problem}")
    if problems:
        more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise CubraggError("; ".join(problems[:_MOST_PROBLEMS]) + more)
    if not settings.overwrite:
        check_no_shorter(targets, {kind: target for kind, target in numbered(targets, 1).items()
                                   if target != targets[kind]}, settings.images)
    if "truth" in targets:
        _check_truth(*targets["truth"])
    if "config" in targets and not is_utf8(saved_text(job, targets["config"].path)):
        raise ConfigError(targets["config"].provenance, "got a file to name whose name is not UTF-8; TOML needs one in "
                          "UTF-8")
    if "png" in targets:
        from cubragg.view.png import check_name, is_vector

        check_name(targets["png"].path)
        if is_vector(targets["png"].path):
            from cubragg.view.figure import require_matplotlib

            require_matplotlib(targets["png"].provenance)
    for setting, flag in settings.picture.items():
        if "png" not in targets:
            raise ConfigError(flag, "got no --png, the picture that it affects; give --png FILE")
        if setting in MARKS:
            from cubragg.view.figure import require_matplotlib

            require_matplotlib(flag)
    formats.check(targets, settings, experiment, plan)


def _check_truth(path: str, provenance: str) -> None:
    from cubragg.io.reflections.write_reflection_table import ending_of

    try:
        ending_of(path)
    except FormatError as error:
        raise ConfigError(provenance, str(error)) from None


def warnings(targets: dict[str, Output], job: Job) -> Iterator[str]:
    """Yield warnings about the files."""
    settings, replay = job.settings, job.replay
    if settings.images > 1 and "int" in targets and not settings.scale:
        yield (f"{targets['int'].provenance}: each image of the series is scaled by its own maximum; -scale gives all "
               "the same scale")
    for kind in ("noise", "pgm"):
        if kind in settings.outputs and kind not in targets:
            yield f"{settings.outputs[kind].provenance} has no effect: {replay.provenance[f'run.{kind}']} follows it"
    affects = dict(_AFFECTS)
    if "spots" not in settings.picture:
        affects["truth_min"] = ("truth",)
    if "counts" in settings.picture:
        affects["noise_rng"] = (*affects["noise_rng"], "png")
    for setting, kinds in affects.items():
        if f"run.{setting}" in replay.flagged and not targets.keys() & set(kinds):
            files = ", ".join(str(flag_for_field(f"output.{kind}")) for kind in kinds)
            yield f"{replay.provenance[f'run.{setting}']} has no effect: none of its files is written ({files})"


def inode(path: str) -> int | None:
    """Return the number of a file, which changes when it is replaced; ``None`` if there is no regular file."""
    return os.stat(path).st_ino if os.path.isfile(path) else None


def _problem(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {str(folder)!r}"
    if path.is_dir():
        return "that is a folder"
    if path.exists() and not os.access(path, os.W_OK):
        return "the file is write-protected"
    if not path.exists() and not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {str(folder)!r} is write-protected"
    return ""


@dataclass
class ImageFiles:
    """Write the files of one image.

    Attributes
    ----------
    number
        Index of the image in a series, from 0.
    series
        The open files that hold all images of the run, by kind.
    progress
        Called with the progress of the reflection table.
    begun
        The files that are complete or in work, and the inode of the file that was there before (``None``: none).
    conversion
        Figures of the conversion to counts.
    """

    job: Job
    image: SimulatedImage
    number: int = 0
    series: Mapping[str, Writer] = field(default_factory=dict)
    progress: Progress | None = None
    begun: dict[str, int | None] = field(default_factory=dict)

    def write(self, targets: dict[str, Output]) -> None:
        """Write the files that hold nothing but this image, one after the other, each whole or not at all.

        Raises
        ------
        CubraggError
            If the pixels of any of ``targets`` cannot be stored, before a file is written; or where a file cannot be
            written, after those before it.
        """
        self._prepare(targets)
        for kind in ("dump", "config", *_IMAGES, "truth"):
            if kind not in targets or kind in self.series or (self.number > 0 and kind in ("dump", "config")):
                continue
            path = targets[kind].path
            self.begun[path] = inode(path)
            with formats.naming_file(targets[kind]):
                if kind in formats.ENDINGS:
                    writer, pixels = self._stored.pop(kind)
                    writer.open(path, 1, pixels.dtype.name)
                    writer.append(pixels)
                    writer.close()
                else:
                    getattr(self, f"_write_{kind}")(path)

    def append(self, targets: dict[str, Output]) -> None:
        """Append this image to the files that hold all images, after `write`.

        Raises
        ------
        CubraggError
            Where a file cannot be written.
        """
        for kind in self.series:
            writer, pixels = self._stored.pop(kind)
            with formats.naming_file(targets[kind]):
                writer.append(pixels)

    def _prepare(self, targets: dict[str, Output]) -> None:
        """Compute what takes long and what can be refused: pixels of image formats, and the reflection table."""
        for kind in formats.ENDINGS:
            if kind in targets:
                self._stored[kind] = self._pixels_of(kind, targets[kind])
        if "truth" in targets or "spots" in self.job.settings.picture:
            len(self._truth)

    def __post_init__(self) -> None:
        self._stored: dict[str, tuple[Writer, np.ndarray]] = {}
        self.conversion = Conversion(self._int_scale)

    @cached_property
    def _int_scale(self) -> float:
        return int_scale(self.image.photons, self.job.settings.scale, self.image.plan.roi)

    @cached_property
    def _truth(self) -> ReflectionTable:
        from cubragg.reflections.predict import reflection_table

        settings = self.job.settings
        return reflection_table(self.image.plan, min_photons=settings.truth_min, threads=settings.threads,
                                backend=self.image.backend, progress=self.progress,
                                photons=self.image.bragg_photons, sums=self.image.sums)

    @cached_property
    def _noisy(self) -> np.ndarray:
        from cubragg.run.detection import counts_of

        settings, image = self.job.settings, self.image
        self.conversion.seed = settings.seed
        self.conversion.generator = f"{' (drawn)' * settings.seed_drawn}, {settings.noise_rng}"
        return counts_of(image.photons, image.experiment, image.plan, seed=settings.seed, shot=self.number,
                         rng=settings.noise_rng, backend="numpy" if image.backend == "numpy" else "auto",
                         threads=settings.threads)

    @cached_property
    def _scene(self) -> Scene:
        from cubragg.run.image_scene import scene_of

        return scene_of(self.image.experiment, self.image.plan)

    def _pixels_of(self, kind: str, target: Output) -> tuple[Writer, np.ndarray]:
        """Return writer and pixels for one of `formats.ENDINGS`: counts with noise, or photons times a given scale."""
        from cubragg.run.detection import stored_type

        settings = self.job.settings
        image = self.image
        writer = self.series.get(kind) or formats.writer_for(kind, target, settings, image.experiment, image.plan)
        pixel_type = stored_type(writer.pixel_type("counts"), image.experiment)
        noisy = not settings.scale and pixel_type.name != "float32"
        pixels = stored_pixels(self._noisy if noisy else image.photons, pixel_type, writer.live,
                               scale=1.0 if noisy else settings.scale or 1.0, offset=writer.offset, where=target.path)
        return writer, pixels

    def _write_dump(self, path: str) -> None:
        from cubragg.io.reflections.fdump import write_fdump

        factors = self.job.experiment.structure_factors
        assert factors.grid is not None
        write_fdump(path, factors.grid, factors.origin)

    def _write_config(self, path: str) -> None:
        from cubragg.io.files.atomic import write_bytes

        write_bytes(path, saved_text(self.job, path).encode())

    def _write_truth(self, path: str) -> None:
        from cubragg.io.reflections.write_reflection_table import write_reflection_table

        self.conversion.reflections = len(self._truth)
        write_reflection_table(path, self._truth, self.number)

    def _write_float(self, path: str) -> None:
        from cubragg.io.images.raw import write_float

        write_float(path, self.image.photons)

    def _write_int(self, path: str) -> None:
        from cubragg.io.images.smv import scene_header, write_smv

        adc = self.job.settings.adc
        counts, _ = int_image(self.image.photons, self._int_scale, adc, self.image.plan.roi)
        write_smv(path, counts, scene_header(self._scene, self.job.settings.smv_flavor, self._int_scale, adc))

    def _write_pgm(self, path: str) -> None:
        from cubragg.io.images.pgm import write_pgm

        figures, settings = self.image.figures, self.job.settings
        gray, scale = pgm_image(self.image.photons, settings.pgm_scale, self._int_scale, figures.rmsd,
                                self.image.plan.roi)
        self.conversion.pgm_scale = scale
        write_pgm(path, gray, scale)

    def _write_noise(self, path: str) -> None:
        from cubragg.io.images.smv import scene_header, write_smv

        settings, conversion = self.job.settings, self.conversion
        counts, conversion.noise_photons, conversion.overloads = noise_image(
            self._noisy, settings.adc, self.image.plan.roi)
        write_smv(path, counts, scene_header(self._scene, settings.smv_flavor, 1.0, settings.adc))

    def _write_png(self, path: str) -> None:
        from cubragg.view.figure import write_picture
        from cubragg.view.picture_notes import notes_for, spots_of

        experiment = self.job.experiment
        notes = notes_for(self.job.settings.picture, self.image.plan.detector_panels, self.image.geometry,
                          experiment.beam.wavelength_A, curved=experiment.detector.curved, title=display_name(path))
        if "spots" in self.job.settings.picture:
            notes = replace(notes, spots=spots_of(self._truth, self.job.settings.spots))
        pixels = self.image.photons
        if "counts" in self.job.settings.picture:
            pixels, notes = self._noisy, replace(notes, unit="counts")
        write_picture(path, pixels, self.job.settings.style, notes, self.image.plan.mask)
