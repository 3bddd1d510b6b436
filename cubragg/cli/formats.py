"""Create, open and close the writers of the image files that flags name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cubragg.cli.build import Output, Settings
from cubragg.errors import ConfigError, CubraggError, FormatError
from cubragg.experiment.beam import KAHN_FACTORS
from cubragg.experiment.experiment import Experiment
from cubragg.io.images.writer import Writer, writer_class, writer_of
from cubragg.plan.plan import Plan

#: Kind of output -> ending under which its writer is registered; empty: the ending of the file's name.
ENDINGS = {"cbf": ".cbf", "tiff": ".tif", "nxmx": ".nxs", "save": ""}
_PIXELS_ONLY = "--tiff and -floatfile hold pixels without a geometry"
#: Kind of output -> (format, as messages name it; formats to suggest instead).
_DESCRIBES = {"cbf": ("a miniCBF header", "--nxmx can"), "nxmx": ("an NXmx file", _PIXELS_ONLY)}


def writer_for(kind: str, target: Output, settings: Settings, experiment: Experiment, plan: Plan) -> Writer:
    """Return the writer for a file of a kind that is a key of `ENDINGS`.

    Raises
    ------
    ConfigError
        For a name without the ending of a format.
    """
    from cubragg.run.image_scene import scene_of

    options: dict[str, dict[str, object]] = {
        ".cbf": {"convention": settings.cbf_convention}, ".img": {"pedestal": settings.adc},
        ".nxs": {"type_name": settings.nxmx_type}, ".h5": {"type_name": settings.nxmx_type},
        ".tif": {"type_name": settings.tiff_type}, ".tiff": {"type_name": settings.tiff_type},
    }
    ending = ENDINGS[kind] or Path(target.path).suffix.lower()
    scene = scene_of(experiment, plan, settings.scale or 1.0)
    return _class_for(kind, target)(scene, **options.get(ending, {}))


def _class_for(kind: str, target: Output) -> type[Writer]:
    try:
        return writer_of(ENDINGS[kind]) if ENDINGS[kind] else writer_class(target.path)
    except FormatError as error:
        raise ConfigError(target.provenance, str(error)) from None


def holds_series(kind: str, target: Output) -> bool:
    """Return whether one file of a kind of output holds all images of a run.

    Raises
    ------
    ConfigError
        For a name without the ending of a format.
    """
    return kind in ENDINGS and _class_for(kind, target).holds_series


def check(targets: Mapping[str, Output], settings: Settings, experiment: Experiment, plan: Plan) -> None:
    """Refuse formats that cannot describe the geometry, before anything is rendered.

    Raises
    ------
    ConfigError
        Naming the flag of the file, what it cannot describe, and a format that can.
    """
    for kind in (kind for kind in ENDINGS if kind in targets):
        writer = writer_for(kind, targets[kind], settings, experiment, plan)
        form, instead = _DESCRIBES.get(kind, (writer.title, "--nxmx can"))
        with _refusing(targets[kind].provenance, form, _PIXELS_ONLY if experiment.detector.curved else instead):
            writer.check()
        _check_pixels(targets[kind], writer, settings)
    for kind in ("int", "noise"):
        if kind in targets and settings.smv_flavor == "adsc":
            from cubragg.io.images.smv import scene_header
            from cubragg.run.image_scene import scene_of

            instead = _PIXELS_ONLY if experiment.detector.curved else "--nxmx can"
            with _refusing(targets[kind].provenance, "an ADSC header", instead):
                scene_header(scene_of(experiment, plan), "adsc", 1.0, 0.0)


def _check_pixels(target: Output, writer: Writer, settings: Settings) -> None:
    try:
        type_name = writer.pixel_type("counts").name
    except FormatError:
        raise ConfigError(target.provenance, f"got {target.path!r}; {writer.title} holds expected photons, not "
                          "counts, give -floatfile instead") from None
    if type_name != "float32" and not (settings.noise or settings.scale):
        raise ConfigError(target.provenance, f"{writer.title} with {type_name} pixels holds counts; with -nonoise, "
                          "give -scale, the counts per photon")


@contextmanager
def _refusing(flag: str, form: str, instead: str) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise ConfigError(flag, f"{error}, which {form} cannot describe; {instead}") from None
    except ConfigError as error:  # of the only option of a writer that can contradict the image
        raise ConfigError("--cbf-convention", error.what) from None


def warnings(targets: Mapping[str, Output], plan: Plan) -> Iterator[str]:
    """Warn of files that approximate oblique panels, and of those that programs correct for another polarization."""
    yield from _polarization(targets, plan)
    flags = [target.provenance for kind, target in targets.items()
             if kind in ("expt", "xds") or (kind in ENDINGS and _class_for(kind, target).perpendicular)]
    if not flags:
        return
    from cubragg.io.perpendicular import obliqueness

    changed = obliqueness(plan.detector_panels)
    if changed:
        yield f"{', '.join(flags)}: {changed}"


def _polarization(targets: Mapping[str, Output], plan: Plan) -> Iterator[str]:
    """Warn of formats without a polarization in physical semantics: dxtbx assumes a Kahn factor of 0.998."""
    kahn = plan.kahn_factor if plan.polarized else None
    silent = [target.provenance for kind, target in targets.items()
              if kind in ("int", "noise", "cbf") or (kind == "save" and target.path.lower().endswith((".img", ".cbf")))]
    if silent and plan.rules.per_sample and kahn != KAHN_FACTORS["physical"]:
        is_of = "the image has no polarization" if kahn is None else f"the image has a Kahn factor of {kahn:g}"
        yield (f"{', '.join(silent)}: the format does not say the polarization, and {is_of}: dxtbx corrects for 0.998 "
               "(a fraction of 0.999); --nxmx holds it, -polar 0.998 renders that")


@contextmanager
def naming_file(target: Output) -> Iterator[None]:
    """Turn an `OSError` into one that names the flag and the file."""
    try:
        yield
    except OSError as error:
        raise CubraggError(f"{target.provenance}: cannot write {target.path!r}: {error.strerror or error}") from error
