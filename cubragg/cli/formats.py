"""The writers behind the flags that name image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cubragg.cli.build import Output, Settings
from cubragg.errors import ConfigError, CubraggError, FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.io.images.writer import Writer, writer_of
from cubragg.plan.plan import Plan
from cubragg.run.scene import scene_of

#: Kind of output -> ending of the format's name in the registry.
ENDINGS = {"cbf": ".cbf", "tiff": ".tif", "nxmx": ".nxs"}
_PIXELS_ONLY = "--tiff and -floatfile hold the pixels alone"
#: What cannot describe a geometry, and what can.
_DESCRIBES = {"cbf": ("a miniCBF header", "--nxmx can"), "nxmx": ("an NXmx file", _PIXELS_ONLY)}


def writer_for(kind: str, settings: Settings, experiment: Experiment, plan: Plan) -> Writer:
    """The writer for a kind of output, a key of `ENDINGS`."""
    options = {"cbf": {"convention": settings.cbf_convention}, "nxmx": {"type_name": settings.nxmx_type},
               "tiff": {"type_name": settings.tiff_type}}[kind]
    return writer_of(ENDINGS[kind])(scene_of(experiment, plan, settings.scale or 1.0), **options)


def check(targets: Mapping[str, Output], settings: Settings, experiment: Experiment, plan: Plan) -> None:
    """Refuse formats that cannot describe the geometry, before anything is rendered.

    Raises
    ------
    ConfigError
        Naming the flag of the file, what it cannot describe, and a format that can.
    """
    for kind in ENDINGS.keys() & targets.keys():
        form, instead = _DESCRIBES.get(kind, ("", ""))
        with _refusing(targets[kind].named_by, form, instead):
            writer_for(kind, settings, experiment, plan).check()
    for kind in ("int", "noise"):
        if kind in targets and settings.smv_flavor == "adsc":
            from cubragg.io.images.smv import scene_header

            with _refusing(targets[kind].named_by, "an ADSC header", "--nxmx can"):
                scene = scene_of(experiment, plan)
                if scene.curved:
                    raise FormatError("got a curved detector")
                scene_header(scene, "adsc", 1.0, 0.0)


@contextmanager
def _refusing(flag: str, form: str, instead: str) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        other = _PIXELS_ONLY if "curved" in str(error) else instead
        raise ConfigError(flag, f"{error}, which {form} cannot describe; {other}") from None


@contextmanager
def series_writers(targets: Mapping[str, Output], settings: Settings, experiment: Experiment, plan: Plan,
                   written: list[str]) -> Iterator[dict[str, Writer]]:
    """The open writers of files that hold all images of a run, by kind; added to ``written`` when complete.

    Ctrl-C keeps the images that a file has by then; an error leaves no file.

    Raises
    ------
    CubraggError
        Where a file cannot be written.
    """
    writers = {kind: writer for kind in ENDINGS if kind in targets
               if (writer := writer_for(kind, settings, experiment, plan)).holds_series}
    opened: list[str] = []
    try:
        for kind, writer in writers.items():
            with naming_file(targets[kind]):
                writer.open(targets[kind].path, settings.images, writer.pixel_type("counts").name)
            opened.append(kind)
        yield writers
    except BaseException as error:
        _close(writers, targets, opened, written, keep=isinstance(error, KeyboardInterrupt))
        raise
    _close(writers, targets, opened, written, keep=True)


def _close(writers: Mapping[str, Writer], targets: Mapping[str, Output], opened: list[str], written: list[str], *,
           keep: bool) -> None:
    for kind in opened:
        with naming_file(targets[kind]):
            if writers[kind].close(keep):
                written.append(targets[kind].path)


@contextmanager
def naming_file(target: Output) -> Iterator[None]:
    """Turn an `OSError` into one that names the flag and the file."""
    try:
        yield
    except OSError as error:
        raise CubraggError(f"{target.named_by}: cannot write {target.path!r}: {error.strerror or error}") from error
