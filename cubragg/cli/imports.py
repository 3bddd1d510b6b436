"""``--from``: read experiment models of other programs' files into the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cubragg.cli.inputs import InputFile, numbered, reading
from cubragg.cli.overrides import move_panels
from cubragg.cli.parser import Given
from cubragg.cli.settings_builder import Replay
from cubragg.errors import ConfigError, FormatError
from cubragg.io.geometry.experiment_models import CrystalModel, ExperimentModels, cell_of
from cubragg.io.geometry.model_settings import PLACES, settings_of, spread_of_profile

#: With fewer phi steps a warning gives the offset of the mean spindle angle.
_FEW_STEPS = 5
_ROTATION = ("phi_deg", "osc_deg", "phi_step_deg")
#: Settings that those of a profile model replace.
_SPREAD = {"crystal.mosaicity_deg": ("crystal.mosaic_spread_deg",),
           "beam.divergence_deg": ("beam.divergence_mrad", "beam.hdiv_range_mrad", "beam.vdiv_range_mrad")}
_ORIENTATION = ("cell", "a_matrix", "misset_deg", "misset_seed")


class Imported:
    """Experiment models of all ``--from`` files on a command line.

    Attributes
    ----------
    models
        ExperimentModels of all files; a later file replaces those of an earlier one.
    """

    def __init__(self) -> None:
        self.models = ExperimentModels()
        self._names: dict[str, str] = {}

    def read(self, line: Sequence[Given], replay: Replay, crystal: Given | None = None) -> None:
        """Read the files of all ``--from`` on a line, and add a line about each to ``replay.provenance_lines``.

        ``crystal`` is the flag that selects a crystal of experiment lists.

        Raises
        ------
        ConfigError
            For a file that cannot be opened, and a number of a crystal without an experiment list.
        FormatError
            For one that breaks its format.
        """
        from cubragg.io.geometry.sniff import geometry_kind, read_models

        wanted = None if crystal is None else int(crystal.values[0])
        found_list = False
        for given in line:
            path, number = numbered(str(given.values[0]))
            with reading(InputFile(path, given.spelling)):
                is_list = wanted is not None and number is None and geometry_kind(path) == "expt"
                models = read_models(path, number, wanted if is_list else None)
            found_list |= is_list
            replay.provenance_lines.append(f"from {given.values[0]}: {', '.join(_described(models)) or 'nothing'}")
            self.models = models.over(self.models)
            for part in ("beam", "panels", "spindle", "scan", "crystal", "profile"):
                if getattr(models, part):
                    self._names[part] = path
        if crystal is not None and not found_list:
            raise ConfigError(crystal.spelling, f"got {wanted}, but there is no experiment list with crystals; give "
                              "--from FILE.expt")

    def lay_over(self, replay: Replay, semantics: str) -> None:
        """Convert the models to settings, which replace those of an experiment file or a header for the same parts.

        ``semantics`` are those of the command, if neither a flag nor a file gives them.
        """
        if not self._names:
            return
        try:
            settings = settings_of(self.models)
        except ConfigError as error:
            raise FormatError(f"{next(iter(self._names.values()))}: {error.what}") from None
        models = self.models
        sensor = "detector.thickness_um" in settings
        gone = ["detector.thick_steps"] * sensor + [*PLACES] * bool(models.panels)
        gone += [f"goniometer.{name}" for name in _ROTATION if models.scan]
        gone += [f"crystal.{name}" for name in _ORIENTATION if models.crystal] + ["input.matrix"] * bool(models.crystal)
        if models.crystal and models.crystal.a_matrix:
            m = models.crystal.a_matrix
            settings["crystal.a_matrix"] = (m[0:3], m[3:6], m[6:9])
        part_of = {"detector": "panels", "beam": "beam", "goniometer": "scan", "crystal": "crystal"}
        replay.take_models(gone, {
            setting: (value, f"{self._names.get(part_of[setting.partition('.')[0]], '--from')}: {setting}")
            for setting, value in settings.items()})
        replay.warnings += models.warnings
        if sensor and replay.get("run.semantics") is None:
            # Nanobragg semantics weights every layer like the last one, which no real sensor does.
            replay.set("run.semantics", "physical", f"--semantics, for the sensor of {self._names['panels']}")
            replay.provenance_lines.append("semantics physical, in which each sensor layer has its own absorption; "
                                "--semantics nanobragg selects nanoBragg's rules")
        if models.profile is not None and (replay.get("run.semantics") or semantics) == "physical":
            self._lay_profile_over(replay)

    def _lay_profile_over(self, replay: Replay) -> None:
        """Set mosaicity and divergence by the profile model."""
        spread, profile = spread_of_profile(self.models), self.models.profile
        assert profile is not None
        gone = [setting for part in spread for setting in _SPREAD[part]]
        replay.take_models(gone, {setting: (value, f"{self._names['profile']}: profile") for setting, value in
                                  spread.items()})
        divergence = spread.get("beam.divergence_deg")
        rest = (f"divergence {divergence:.4g} deg; --mosaicity and --beam-divergence override them"
                if divergence is not None else "no divergence, because sigma_b is larger; --mosaicity overrides it")
        replay.provenance_lines.append(f"mosaicity {spread['crystal.mosaicity_deg']:.4g} deg and {rest}")

    def check(self, replay: Replay) -> None:
        """Check the models against the flags, once all flags are applied.

        Raises
        ------
        ConfigError
            For the flag of a convention, as the files define their own axes, and flags that cannot move placed panels.
        FormatError
            If no file and no flag gives the wavelength or the distance.
        """
        if not self.models.panels:
            return
        if replay.get("detector.convention") != "custom":
            raise ConfigError(replay.provenance["detector.convention"], "got a convention together with the detector "
                              f"of {self._names['panels']}, which defines its own axes; leave one of them out")
        if replay.get("beam.wavelength_A") is None:
            reason = self.models.missing_wavelength or f"{self._names['panels']}: no wavelength is given"
            raise FormatError(f"{reason}; give -lambda or -energy")
        reason = self.models.missing_distance
        if reason and not replay.flagged & {"detector.distance_mm", "detector.close_distance_mm"}:
            raise FormatError(f"{reason}; give -distance, the distance of the panel that the beam hits")
        move_panels(replay, self._names["panels"])
        self._keep_still(replay)
        replay.warnings += self._surprises(replay)

    def _keep_still(self, replay: Replay) -> None:
        """Keep a still a still, unless -osc gives a range: its one step is that of the file, not of a later range."""
        scan, crystal = self.models.scan, self.models.crystal
        is_still = scan.osc_deg == 0.0 if scan is not None else crystal is not None and crystal.a_matrix is not None
        if not is_still:
            return
        steps = sorted({"goniometer.phi_steps", "goniometer.phi_step_deg"} & replay.flagged)
        if "goniometer.osc_deg" in replay.flagged:
            if not steps:
                replay.sections["goniometer"].pop("phi_steps", None)
        elif steps:
            for setting in steps:
                replay.sections["goniometer"].pop(setting.partition(".")[2])
            if scan is not None:
                replay.sections["goniometer"]["phi_steps"] = 1
            flags = ", ".join(replay.provenance[setting] for setting in steps)
            described = self._names.get("scan", self._names.get("crystal"))
            replay.warnings.append(f"{flags}: no effect, because {described} describes a still; -osc gives a rotation "
                                   "range")

    def _polarization(self, replay: Replay) -> Iterator[str]:
        """Warn where the file does not give the polarization and nanoBragg's default is that of no X-ray source."""
        beam = self.models.beam
        given = replay.get("beam.kahn_factor") is not None or not replay.get("beam.polarized", True)
        if beam is not None and beam.polarization_fraction is None and not given:
            if replay.get("run.semantics") != "physical":
                yield (f"{self._names['beam']} does not give the polarization: the image is unpolarized (fraction "
                       "0.5), as in nanoBragg, where dxtbx assumes 0.999; -polar 0.998 renders that")
            else:
                replay.provenance_lines.append(f"{self._names['beam']} does not give the polarization: Kahn factor "
                                               "0.998, a fraction of 0.999, is assumed, as by dxtbx")

    def _surprises(self, replay: Replay) -> Iterator[str]:
        yield from self._polarization(replay)
        osc, steps = replay.get("goniometer.osc_deg"), replay.get("goniometer.phi_steps", 2)
        known = (isinstance(osc, float) and isinstance(steps, int) and replay.get("run.semantics") != "physical"
                 and "goniometer.phi_step_deg" not in replay.flagged)
        if self.models.scan and known and osc > 0.0 and 0 < steps < _FEW_STEPS:
            yield (f"phi steps are at the start of their intervals: with {steps} the image is {osc / steps / 2:g} deg "
                   "before the middle of the scan, more -phisteps reduce this")
        if replay.get("detector.thickness_um") and replay.get("run.semantics") != "physical":
            yield ("nanobragg semantics gives all sensor layers the same weight, which moves spots from where other "
                   "programs predict them; --semantics physical weights each layer by its absorption")


def _described(models: ExperimentModels) -> Iterator[str]:
    """Yield a phrase for each part of the models."""
    beam, scan = models.beam, models.scan
    if beam is not None and beam.wavelength_A is not None:
        yield f"wavelength {beam.wavelength_A:.6g} A"
    if beam is not None and beam.polarization_fraction is not None:
        yield f"polarization fraction {beam.polarization_fraction:g}"
    if models.panels:
        yield _detector(models)
    if models.spindle is not None:
        yield f"spindle {_numbers(*models.spindle)}"
    if scan is not None:
        first = f" (the first of {scan.images} images)" if scan.images > 1 else ""
        yield f"phi {_numbers(scan.phi_deg)} deg, osc {_numbers(scan.osc_deg)} deg{first}"
        if scan.exposure_s:
            yield f"exposure {scan.exposure_s:g} s"
    if models.crystal is not None:
        yield _crystal(models.crystal)
    if models.profile is not None:
        yield f"profile of sigma_b {models.profile.sigma_b_deg:.4g} deg, sigma_m {models.profile.sigma_m_deg:.4g} deg"


def _detector(models: ExperimentModels) -> str:
    sizes = dict.fromkeys(f"{panel.fast_pixels} x {panel.slow_pixels} pixels of "
                          f"{_edges(*panel.pixel_mm)} mm" for panel in models.panels)
    count = f"{len(models.panels)} panels of " if len(models.panels) > 1 else ""
    sensor = next((panel for panel in models.panels if panel.thickness_um), None)
    material = f", sensor {sensor.thickness_um:g} um {sensor.material}".rstrip() if sensor else ""
    return f"detector {count}{' or '.join(sizes)}{material}"


def _edges(fast: float, slow: float) -> str:
    """Return the edges of a pixel [mm]; steps of refined geometries have lengths that differ further back."""
    along, across = f"{fast:.5g}", f"{slow:.5g}"
    return along if along == across else f"{along} x {across}"


def _crystal(crystal: CrystalModel) -> str:
    return f"cell {_numbers(*cell_of(crystal))}" + (" with its orientation" if crystal.a_matrix else "")


def _numbers(*values: float) -> str:
    return " ".join(f"{round(value, 6) + 0.0:.6g}" for value in values)
