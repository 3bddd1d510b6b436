"""Build a data set from a command line and write it: what ``sweep`` and ``stills`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cubragg.cli import named_detectors
from cubragg.cli.build import Job, build
from cubragg.cli.data_set_command import Options
from cubragg.cli.data_set_defaults import defaults_of, used, with_catalog_response, with_catalog_sensor
from cubragg.cli.device_list import device_list
from cubragg.cli.ending_signals import Signalled
from cubragg.cli.exit_errors import Interrupted, RunError
from cubragg.cli.inputs import InputFile, model_path, reading
from cubragg.cli.parser import Given, parse
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.dataset.data_set import DataSet
    from cubragg.dataset.distributions import Distribution
    from cubragg.dataset.write_settings import WriteSettings
    from cubragg.engine.select import Devices
    from cubragg.experiment.experiment import Experiment

#: Parameters of the data sets, and the options that set them.
_FLAGS = {"n": "-n", "images": "--images", "osc_deg": "--osc", "start_deg": "--start", "seed": "--seed",
          "inverse_beam_deg": "--inverse-beam", "goniometer.axes": "--goniometer-axis",
          "goniometer.scan_axis": "--sweep", "wedges.start_deg": "--sweep", "wedges.images": "--sweep",
          "wedges.osc_deg": "--sweep",
          "crystals": "--crystals", "blank": "--blank", "dmin": "--dmin", "write.shard": "--shard",
          "write.format": "--format", "write.dtype": "--dtype", "write.compression": "--compression",
          "write.truth": "--truth", "write.labels": "--labels", "workers": "--workers", "devices": "--devices"}


#: Parameters of the commands that are not part of a data set.
_OF_RUN = ("model", "line", "output", "workers", "devices", "scheduler", "overwrite", "verify", "log_json", "report",
           "quiet")
#: Makes the data set of an experiment, of what varies, and of keywords of its rendering.
Maker = Callable[["Experiment", dict[str, "Distribution"], dict[str, Any]], "DataSet"]


def run(kind: str, model: str | None, line: Sequence[Given], options: Options, make: Maker) -> None:
    """Write the data set of a command line, or verify one.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    Interrupted
        If a signal stopped it.
    """
    if named_detectors.wants_list(line):
        click.echo(named_detectors.table())
        return
    if options.verify is not None:
        _verify(options.verify)
        return
    if options.output is None:
        raise ConfigError("-o", "got no folder for the data set; give -o FOLDER")
    assert model is not None
    model = model_path(model)
    devices = None if options.devices is None else device_list("--devices", options.devices)
    with _naming():
        if Path(model).suffix.lower() == ".toml":
            data, settings = _specified(kind, model, line)
        else:
            data, settings = _data_set(kind, model, line, options, make)
        _write(data, settings, options, devices)


@contextmanager
def _naming() -> Iterator[None]:
    """Name the option that sets a parameter in the errors about it."""
    try:
        yield
    except ConfigError as error:
        where = error.where.removeprefix("vary ")
        setting, _, part = where.partition(", ")  # of goniometer.axes, kappa
        named = f"{_FLAGS[setting]} {part}".rstrip() if setting in _FLAGS else where
        flag = f"--vary {where}" if where != error.where else named
        raise ConfigError(flag, error.what) from None


def _specified(kind: str, model: str, line: Sequence[Given]) -> tuple[DataSet, WriteSettings]:
    from cubragg.dataset.read_set import read_specification

    context = click.get_current_context()
    given = [one.spelling for one in line] + [
        param.opts[0] for param in context.command.params if param.name not in _OF_RUN
        and context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE]
    if given:
        raise ConfigError(given[0], f"got a flag beside {model}, which specifies the whole set; leave it out")
    with reading(InputFile(model, "MODEL")):
        data, settings = read_specification(model)
    if data.kind != kind:
        raise ConfigError("MODEL", f"got {model}, a data set of {data.kind}; 'cubragg {data.kind} {model} -o FOLDER' "
                          "writes it")
    return data, settings


def _data_set(kind: str, model: str, line: Sequence[Given], options: Options, make: Maker
              ) -> tuple[DataSet, WriteSettings]:
    from cubragg.dataset.distribution_tables import distribution_from_words
    from cubragg.dataset.write_settings import WriteSettings

    job, experiment = _experiment(kind, model, line, options)
    experiment, source = _without_file(experiment)
    vary = {}
    for one in options.vary:
        name, equals, text = one.partition("=")
        if not equals or not name or name in vary:
            raise ConfigError("--vary", f"got {one!r}; NAME=DISTRIBUTION is accepted, once for each name")
        vary[name] = distribution_from_words(f"--vary {name}", text)
    given = job.settings
    rendering: dict[str, Any] = {"backend": given.backend, "precision": given.precision, "device": given.device,
                 "threads": given.threads, "cull": given.cull}
    if any(flag.flag.name == "--method" for flag in line):
        rendering["method"] = given.method
    with job.replay.naming():
        data = make(experiment, vary, rendering)
    data.source = source
    truth = () if options.truth == "none" else tuple(options.truth.split(","))
    integrates = experiment.detector_response().kind == "integrating"
    integer = "int32" if integrates and options.file_format == "nxmx" else ""
    settings = WriteSettings(options.dtype or integer, options.compression or "", options.shard, truth,
                             labels=tuple(options.labels.split(",")) if options.labels else (),
                             format=options.file_format)
    if not options.quiet:
        _print_notes(kind, job, data)
    return data, settings


def _experiment(kind: str, model: str, line: Sequence[Given], options: Options) -> tuple[Job, Experiment]:
    """The job of the flags, and its experiment with the sensor and the response of its detector."""
    for given in line:
        if given.flag.name == "--semantics" and given.values != ("physical",):
            raise ConfigError(given.spelling, f"got {given.values[0]}; data sets are rendered in physical semantics")
    job = build([*parse(["--semantics", "physical"]), *line], "physical", defaults_of(kind), model, options.dmin)
    _check_flags(kind, job)
    if job.from_hkl and options.dmin is not None:
        raise ConfigError("--dmin", f"got a resolution for {model}, a list of reflections; leave it out")
    return job, with_catalog_response(with_catalog_sensor(job.experiment, job.replay))


def _without_file(experiment: Experiment) -> tuple[Experiment, dict[str, Any]]:
    """The experiment whose structure factors are written to the folder if they are those of atoms, and their source."""
    factors = experiment.structure_factors
    if factors.file is None or factors.file.dmin_A is None:
        return experiment, {}
    source = {"file": factors.file.path, "sha256": factors.file.sha256, "dmin_A": factors.file.dmin_A,
              "wavelength_A": experiment.beam.wavelength_A, "space_group": factors.file.symbol}
    return replace(experiment, structure_factors=replace(factors, file=None)), source


def _check_flags(kind: str, job: Job) -> None:
    """Refuse flags of single images, and a line without a detector."""
    replay = job.replay
    for setting in ("model", "panels", "fast_pixels", "fast_size_mm", "pixel_size_mm"):
        if replay.get(f"detector.{setting}"):
            break
    else:
        raise ConfigError("--detector", "got no detector; give --detector NAME and --distance MM, or --from FILE")
    if replay.get("detector.model") and replay.get("detector.distance_mm") is None:
        raise ConfigError("--distance", "got a detector without a distance; give --distance MM")
    for setting, origin in replay.provenance.items():
        if setting.startswith(("output.", "picture.")):
            raise ConfigError(origin, f"got a file or picture of a single image; cubragg {kind} writes to its folder, "
                              "-o")
    rotation = [name for name in ("goniometer.osc_deg", "goniometer.phi_step_deg", "goniometer.phi_steps")
                if name in replay.flagged]
    if kind == "stills" and rotation:
        raise ConfigError(replay.provenance[rotation[0]], "got a rotation for stills; leave it out, or use cubragg "
                          "sweep")
    if kind == "stills" and "run.images" in replay.flagged:
        raise ConfigError(replay.provenance["run.images"], "got images of a rotation for stills; give -n N, or use "
                          "cubragg sweep")


def _print_notes(kind: str, job: Job, data: DataSet) -> None:
    """Print what was read, the defaults in force, and each warning once."""
    from cubragg.plan.make_plan import make_plan

    for provenance in job.provenance_lines:
        click.echo(provenance, err=True)
    for text in used(kind, job.replay, data.experiment):
        click.echo(f"default: {text}", err=True)
    plan = make_plan(data.experiment_at(0), data.rendering.method)
    if data.rendering.method == "sampled":
        click.echo(f"samples: {plan.samples} in a pixel of shot 0; --method analytic has no samples", err=True)
        for note in plan.notes:
            click.echo(f"samples: {note}", err=True)
    for warning in dict.fromkeys([*job.warnings, *plan.warnings]):
        click.echo(f"warning: {warning}", err=True)


def _write(data: DataSet, settings: WriteSettings, options: Options, devices: Devices | None) -> None:
    from cubragg.cli.data_set_progress import Progress, summary_lines
    from cubragg.dataset.production import Stopped, write_data_set

    assert options.output is not None
    try:
        with Progress(options.quiet, options.log_json) as progress:
            summary = write_data_set(data, options.output, settings, workers=options.workers,
                                     devices=devices, scheduler=options.scheduler,
                                     overwrite=options.overwrite, report=progress.report)
    except Stopped as stop:
        raise Interrupted(Signalled(stop.number), f"{stop.outcome}.") from None
    if options.report:
        from cubragg.dataset.set_report import write_report

        page = write_report(options.output)
        if not options.quiet:
            click.echo(f"report: {page}", err=True)
    if not options.quiet:
        for text in summary_lines(summary, options.output):
            click.echo(text, err=True)


def _verify(folder: str) -> None:
    from cubragg.dataset.verification import faults

    found = list(faults(folder))
    for fault in found:
        click.echo(fault)
    if found:
        raise RunError(f"{folder}: {len(found)} faults; the command that wrote the set computes missing shards again, "
                       "and --overwrite all of them")
    click.echo(f"{folder}: complete, and every file has the content of the manifest")


