"""Which files a run writes, whether they can be written, and writing them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg import units
from cubragg.cli.build import MARKS, Job, Output, Settings
from cubragg.cli.flags import DEFAULT_NAMES
from cubragg.detect.noise import noise_counts, noise_image
from cubragg.detect.quantize import int_image, int_scale, pgm_image
from cubragg.errors import ConfigError, CubraggError
from cubragg.experiment import Detector

if TYPE_CHECKING:
    from cubragg.render.render import Image

_IMAGES = ("float", "int", "pgm", "noise", "cbf", "png")


def choose(job: Job) -> dict[str, Output]:
    """The files to write, by kind.

    None named: nanoBragg's four files. Some named: these, and the rest of the four with ``--all-outputs``.
    The dump goes with a reflection list, where it is named or the rest is written.
    """
    settings = job.settings
    named = {kind: output for kind, output in settings.outputs.items() if kind in _IMAGES}
    rest = {} if named and not settings.all_outputs else {
        kind: Output(name, f"{kind} image") for kind, name in DEFAULT_NAMES.items() if kind != "dump"}
    chosen = {**rest, **named}
    for kind, wanted in (("noise", settings.noise), ("pgm", settings.pgm)):
        if not wanted:
            chosen.pop(kind, None)
    if job.from_hkl and (rest or "dump" in settings.outputs):
        chosen["dump"] = settings.outputs.get("dump", Output(DEFAULT_NAMES["dump"], "-dump"))
    if "config" in settings.outputs:
        chosen["config"] = settings.outputs["config"]
    return chosen


def check(targets: dict[str, Output], settings: Settings) -> None:
    """Find out before rendering what would fail after it.

    Raises
    ------
    ConfigError
        If two outputs, or an output and an input, are one file; counts for a CBF file are not defined; or a picture
        is described that is not written, or that cannot be drawn here.
    CubraggError
        If a file cannot be written where it is to be.
    """
    taken = {os.path.realpath(source.path): f"{source.named_by} reads" for source in settings.inputs}
    for target in targets.values():
        path = Path(target.path)
        special = path.exists() and not path.is_file() and not path.is_dir()
        place = os.path.realpath(path)
        if place in taken and not special:
            raise ConfigError(target.named_by, f"got {target.path!r}, which {taken[place]}; "
                              "every file needs its own name")
        taken[place] = f"{target.named_by} writes"
        problem = _problem(path)
        if problem:
            raise CubraggError(f"{target.named_by}: cannot write {target.path!r}: {problem}")
    for setting, flag in settings.picture.items():
        if "png" not in targets:
            raise ConfigError(flag, "got no --png; it says how that picture is made")
        if setting in MARKS:
            from cubragg.io.figure import require_matplotlib

            require_matplotlib(flag)
    if "cbf" in targets and not settings.noise and not settings.scale:
        raise ConfigError(targets["cbf"].named_by, "CBF holds whole counts; with -nonoise, give -scale "
                          "to say how photons become counts")


def _highest_trusted(detector: Detector) -> int:
    """The count up to which every panel can be trusted, as far as CBF goes."""
    from cubragg.io.cbf import MAX_COUNT

    return min([MAX_COUNT, *(int(panel.trusted[1]) for panel in detector.panels if panel.trusted is not None)])


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
class Writer:
    """Makes the files of one image.

    Attributes
    ----------
    written
        The files that are complete.
    figures
        What came out of quantizing, in words, for the summary.
    """

    job: Job
    image: Image
    written: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def write(self, targets: dict[str, Output]) -> None:
        """Write ``targets`` one after the other, each whole or not at all.

        Raises
        ------
        CubraggError
            Where a file cannot be written; those before it stay.
        """
        for kind in ("dump", "config", *_IMAGES):
            if kind not in targets:
                continue
            path, named_by = targets[kind]
            try:
                getattr(self, f"_write_{kind}")(path)
            except OSError as error:
                raise CubraggError(f"{named_by}: cannot write {path!r}: {error.strerror or error}") from error
            self.written.append(path)

    def __post_init__(self) -> None:
        self.figures["int scale"] = f"{self._int_scale:g}"

    @cached_property
    def _int_scale(self) -> float:
        return int_scale(self.image.photons, self.job.settings.scale, self.image.plan.roi)

    @cached_property
    def _noisy(self) -> np.ndarray:
        settings, image = self.job.settings, self.image
        self.figures["noise seed"] = f"{settings.seed}{' (drawn)' * settings.seed_drawn}, {settings.noise_rng}"
        return noise_counts(image.photons, image.plan.roi, settings.seed, settings.noise_rng)

    @cached_property
    def _smv_header(self) -> dict[str, str]:
        from cubragg.io.smv import smv_header

        plan = self.image.plan
        phi = units.deg_from_rad(units.rad_from_deg(plan.experiment.goniometer.phi_deg))
        slow, fast = plan.shape
        return smv_header(
            plan.geometry._replace(fast_pixels=fast, slow_pixels=slow),
            wavelength_A=plan.experiment.beam.wavelength_A, phi_deg=phi, osc_deg=units.deg_from_rad(plan.phi.span),
            twotheta_deg=units.deg_from_rad(plan.geometry.twotheta))

    def _write_dump(self, path: str) -> None:
        from cubragg.io.fdump import write_fdump

        factors = self.job.experiment.structure_factors
        assert factors.grid is not None
        write_fdump(path, factors.grid, factors.origin)

    def _write_config(self, path: str) -> None:
        from cubragg.io.atomic import write_bytes

        write_bytes(path, self.job.experiment.to_toml().encode("utf-8"))

    def _write_float(self, path: str) -> None:
        from cubragg.io.raw import write_float

        write_float(path, self.image.photons)

    def _write_int(self, path: str) -> None:
        from cubragg.io.smv import write_smv

        counts, _ = int_image(self.image.photons, self._int_scale, self.job.settings.adc, self.image.plan.roi)
        write_smv(path, counts, self._smv_header)

    def _write_pgm(self, path: str) -> None:
        from cubragg.io.pgm import write_pgm

        figures, settings = self.image.figures, self.job.settings
        gray, scale = pgm_image(self.image.photons, settings.pgm_scale, self._int_scale, figures.rmsd,
                                self.image.plan.roi)
        self.figures["pgm scale"] = f"{scale:g}"
        write_pgm(path, gray, scale)

    def _write_noise(self, path: str) -> None:
        from cubragg.io.smv import write_smv

        counts, photons, overloads = noise_image(self._noisy, self.job.settings.adc, self.image.plan.roi)
        self.figures["noise"] = f"{photons:.0f} photons, {overloads} overload{'s' * (overloads != 1)}"
        write_smv(path, counts, self._smv_header)

    def _write_cbf(self, path: str) -> None:
        from cubragg.io.cbf import counts_from_photons, minicbf_header, write_cbf

        plan, settings, beam = self.image.plan, self.job.settings, self.job.experiment.beam
        if settings.scale:
            counts = counts_from_photons(self.image.photons, settings.scale, where=path)
        else:
            counts = counts_from_photons(self._noisy, 1.0, where=path)
        excluded = 0
        if plan.mask is not None:
            counts[~plan.mask] = -1
            excluded = int((~plan.mask).sum())
        header = minicbf_header(
            plan.geometry, wavelength_A=beam.wavelength_A, start_angle_deg=plan.experiment.goniometer.phi_deg,
            angle_increment_deg=units.deg_from_rad(plan.phi.span), exposure_s=beam.exposure_s,
            timestamp=datetime.now(), n_excluded_pixels=excluded,
            count_cutoff=_highest_trusted(plan.experiment.detector),
            sensor_thickness_m=plan.layers.thickness_m if plan.layers.thickness_m > 0.0 else None,
            flux=beam.flux or None, polarization=(1.0 + beam.kahn_factor) / 2.0 if beam.polarized else None)
        write_cbf(path, counts, header)

    def _write_png(self, path: str) -> None:
        from cubragg.cli.pictures import notes_for
        from cubragg.io.figure import write_picture

        experiment = self.job.experiment
        notes = notes_for(self.job.settings.picture, self.image.geometry, experiment.beam.wavelength_A,
                          title=Path(path).name, curved=experiment.detector.curved)
        write_picture(path, self.image.photons, self.job.settings.style, notes, self.image.plan.mask)
