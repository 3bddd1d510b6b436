"""Apply flags in their order to settings, and record which flag set what.

Settings are kept as plain values by ``section.field``, so that an experiment file,
the header of an image and the flags can override one another before anything is
validated. The rules about order are those of nanoBragg.c's parse loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cubragg import checks, units
from cubragg.cli.flags import NO_EFFECT, flag_for_field
from cubragg.cli.inputs import FILE_DETAILS, InputFile, header_settings, load_config, numbered, reading
from cubragg.cli.parser import Given
from cubragg.cli.saved_run import check_saved
from cubragg.errors import ConfigError
from cubragg.experiment import Crystal
from cubragg.experiment.conventions import PIXEL_MM

if TYPE_CHECKING:
    from cubragg.run.named_settings import NamedFile

_EXPERIMENT = ("background", "beam", "beamstop", "crystal", "detector", "goniometer", "response", "sampling",
               "structure_factors")
_OWN = ("amorphous", "input", "output", "picture", "run")
_THREES = {"crystal.cells": Crystal.cells, "crystal.sample_size_mm": Crystal.sample_size_mm}

#: A flag for the key removes these settings of an experiment file, which would overrule it.
_RIVALS = {
    "beam.fluence": ("beam.flux",),
    "crystal.cells": ("crystal.sample_size_mm", "crystal.block_size_um"),
    "crystal.misset_deg": ("crystal.misset_seed",),
    "detector.distance_mm": ("detector.close_distance_mm",),
    "detector.model": ("detector.panels",),
    "detector.fast_size_mm": ("detector.fast_pixels",),
    "detector.slow_size_mm": ("detector.slow_pixels",),
    "beam.bandwidth": ("beam.bandwidth_fwhm",),
    "beam.bandwidth_fwhm": ("beam.bandwidth",),
    "beam.divergence_deg": ("beam.divergence_mrad",),
    "beam.divergence_mrad": ("beam.divergence_deg",),
    "beam.hdiv_range_mrad": ("beam.divergence_deg",),
    "beam.vdiv_range_mrad": ("beam.divergence_deg",),
    "crystal.block_size_um": ("crystal.cells", "crystal.sample_size_mm"),
    "crystal.mosaicity_deg": ("crystal.mosaic_spread_deg",),
    "crystal.mosaic_spread_deg": ("crystal.mosaicity_deg",),
    "crystal.sample_size_mm": ("crystal.block_size_um",),
    "goniometer.axis": ("goniometer.axes", "goniometer.scan_axis"),
    "input.hkl": ("run.column", "run.space_group", "run.hkl_sha256", "input.model"),
    "input.model": ("run.space_group", "run.model_sha256", "run.model_dmin_A", "input.hkl"),
    "input.matrix": ("crystal.cell", "crystal.a_matrix"),
    "input.sources": ("beam.divergence_deg",),
    "input.spectrum": ("beam.spectrum", "beam.bandwidth", "beam.bandwidth_fwhm"),
}

#: (overruled setting, the setting that overrules it), in either order on the line.
_OVERRULED = (
    ("beam.fluence", "beam.flux"),
    ("crystal.cells", "crystal.sample_size_mm"),
    ("crystal.cells", "crystal.block_size_um"),
    ("detector.distance_mm", "detector.close_distance_mm"),
    ("detector.fast_size_mm", "detector.fast_pixels"),
    ("detector.slow_size_mm", "detector.slow_pixels"),
)
_CUSTOM_AXES = ("beam.direction", "detector.fast_axis", "detector.slow_axis", "detector.normal_axis",
                "beam.polarization_axis", "detector.twotheta_axis", "goniometer.axis")


class Replay:
    """Settings by section, and where each came from.

    Attributes
    ----------
    sections
        ``{section: {field: value}}``.
    provenance
        The source of a setting, as messages name it, by ``section.field`` or ``section.field[i]``.
    flagged
        The settings that flags made.
    warnings, provenance_lines
        Warnings, and what was read from files of other programs, a line each.
    named
        Files that settings were read from: those that the experiment file names, then those of flags.
    tables
        Tables of amorphous material that flags name.
    """

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, Any]] = {name: {} for name in (*_EXPERIMENT, *_OWN)}
        self.provenance: dict[str, str] = {}
        self.flagged: set[str] = set()
        self.warnings: list[str] = []
        self.provenance_lines: list[str] = []
        self.config_path: str | None = None
        self.named: dict[str, NamedFile] = {}
        self.tables: list[InputFile] = []
        self._from_config: set[str] = set()
        self._pivot: str | None = None
        self._pivot_meant = False
        self._lost_twotheta: str | None = None

    def get(self, setting: str, default: Any = None) -> Any:
        """Return the value of ``section.field``, or ``default``."""
        section, _, name = setting.partition(".")
        return self.sections[section].get(name, default)

    def input_file(self, kind: str) -> InputFile | None:
        """Return a file that is read, ``input.kind``; ``None``: none."""
        path = self.get(f"input.{kind}")
        return None if path is None else InputFile(path, self.provenance[f"input.{kind}"])

    def set(self, path: str, value: Any, origin: str) -> None:
        """Set ``section.field`` or one component of it, ``section.field[i]``."""
        setting, _, index = path.partition("[")
        section, _, name = setting.partition(".")
        if index:
            components = list(self.get(setting, _THREES[setting]))
            components[int(index[:-1])] = value
            value = tuple(components)
        for rival in _RIVALS.get(setting, ()):
            if rival in self._from_config:
                self._drop(rival)
        self.sections[section][name] = value
        self.provenance[setting] = self.provenance[path] = origin
        self._from_config.discard(setting)

    def _drop(self, setting: str) -> None:
        section, _, name = setting.partition(".")
        self.sections[section].pop(name, None)
        self._from_config.discard(setting)

    # the three sources; later ones override earlier ones

    def take_config(self, source: InputFile) -> None:
        """Start from an experiment file."""
        document, files, self.named = load_config(source)
        self.config_path = source.path
        if "semantics" in document:
            self.set("run.semantics", document.pop("semantics"), f"{source.path}: semantics")
        self._take_saved_run(source.path, document.pop("run", {}))
        for section, settings in document.items():
            if section in _OWN:
                raise ConfigError(f"{source.path}: {section}", "no such section; accepted are "
                                  f"{', '.join((*_EXPERIMENT, 'run'))}")
            self.sections.setdefault(section, {}).update(settings)
            for name in settings:
                setting = f"{section}.{name}"
                self.provenance[setting] = f"{source.path}: {setting}"
                self._from_config.add(setting)
        for setting in _THREES:
            value = self.get(setting)
            if value is not None and not (isinstance(value, list) and len(value) == 3
                                          and all(isinstance(component, int | float) for component in value)):
                raise ConfigError(self.provenance[setting], f"got {value!r}; it must be a list of 3 numbers")
        for name in FILE_DETAILS:
            if name in self.sections["structure_factors"]:
                self.set(f"run.{FILE_DETAILS[name]}", self.sections["structure_factors"].pop(name),
                         f"{source.path}: structure_factors.{name}")
                self._from_config.add(f"run.{FILE_DETAILS[name]}")
        for kind, file in files.items():
            self.sections["input"][kind] = file.path
            self.provenance[f"input.{kind}"] = file.provenance
            self._from_config.add(f"input.{kind}")

    def forget_files(self, section: str) -> None:
        """Drop the files that the settings of a section were read from."""
        self.named = {setting: file for setting, file in self.named.items() if not setting.startswith(f"{section}.")}

    def forget_overruled_files(self) -> None:
        """Drop the files of an experiment file whose settings others have replaced; those of flags come later."""
        self.named = {setting: file for setting, file in self.named.items() if self.get(setting) is file.value}

    def _take_saved_run(self, path: str, settings: Mapping[str, Any]) -> None:
        """Take the section ``run`` of an experiment file, which a command line saved."""
        for name, value in settings.items():
            where = f"{path}: run.{name}"
            check_saved(where, name, value)
            self.set(f"run.{name}", value, where)
            self._from_config.add(f"run.{name}")

    def take_models(self, gone: Iterable[str], settings: Mapping[str, tuple[Any, str]]) -> None:
        """Set values, each with its origin, from files of other programs, and remove the settings ``gone``."""
        for setting in gone:
            self._drop(setting)
        for setting, (value, origin) in settings.items():
            self.set(setting, value, origin)
            self._from_config.add(setting)

    def take_header(self, source: InputFile, *, is_mask: bool) -> Any:
        """Apply the header of an SMV image to the settings, and return its pixels [slow, fast]."""
        from cubragg.io.images.smv import read_smv

        with reading(source):
            image = read_smv(source.path)
        pixel_size = self.get("detector.pixel_size_mm", PIXEL_MM)
        with self.naming():
            checks.number("detector.pixel_size_mm", "the pixel size", pixel_size, "mm", above=0.0)
        for key, setting, value in header_settings(image, is_mask=is_mask, pixel_size_mm=pixel_size):
            if not setting:
                self.warnings.append(f"{key} {value:g} in {source.path} has no effect; give -twotheta")
            elif key == "OSC_RANGE" and value < 0.0:
                self.warnings.append(f"OSC_RANGE {value:g} in {source.path} has no effect; give -osc")
            else:
                self.set(setting, value, f"{source.path}: {key}")
        return image.pixels

    def take_flag(self, given: Given) -> None:
        """Apply one flag; flags must come in the order of the line."""
        flag = given.flag
        if flag.group == NO_EFFECT:
            self.warnings.append(f"{given.spelling} has no effect, as in nanoBragg")
            return
        special = _SPECIAL.get(flag.name)
        if special is not None:
            special(self, given)
        else:
            value = flag.value if flag.kind == "switch" else _one_or_several(given)
            for path in flag.fields:
                self._set_by_flag(path, value, given)
        for path, value in flag.also:
            self._set_by_flag(path, value, given)
        if flag.name == "-pivot" or flag.pivot:
            self._pivot = flag.pivot or str(given.values[0])
            self._pivot_meant |= not flag.pivot or "detector.convention" in flag.fields

    def _set_by_flag(self, path: str, value: Any, given: Given) -> None:
        self.set(path, value, given.spelling)
        self.flagged.add(path.partition("[")[0])

    def _take_from(self, given: Given) -> None:
        # The file was read before the flags; here it is only recorded as an input.
        self.set(f"input.models {given.values[0]}", numbered(str(given.values[0]))[0], given.spelling)
        self.flagged.update(given.flag.fields)

    def _take_cell(self, given: Given) -> None:
        for value in given.values:
            if float(value) < 0.0:
                raise ConfigError(given.spelling, f"got {value:g}; lengths must be > 0 A and angles > 0 deg")
        # 0 means omitted: Crystal fills it in as the C program does, to the bit. As there, a second
        # -cell with fewer values leaves the rest of the first.
        before = self.get("crystal.cell") if "crystal.cell" in self.flagged else (0.0,) * 6
        self._set_by_flag("crystal.cell", given.values + before[len(given.values):], given)

    def _take_mosaicity(self, given: Given) -> None:
        # nanoBragg's -mosaicity was read with two dashes as well, and still is in its semantics.
        if self.get("run.semantics") == "physical" or len(given.values) > 1:
            self._set_by_flag("crystal.mosaicity_deg", _one_or_several(given), given)
        else:
            self._set_by_flag("crystal.mosaic_spread_deg", given.values[0], given)

    def _take_energy(self, given: Given) -> None:
        energy = float(given.values[0])
        if not (math.isfinite(energy) and energy > 0.0):
            raise ConfigError(given.spelling, f"got {energy:g} eV; the energy must be > 0 eV")
        self._set_by_flag("beam.wavelength_A", units.angstrom_from_ev(energy), given)

    def _take_misset(self, given: Given) -> None:
        drawn = isinstance(given.values[0], str)
        self._set_by_flag("run.random_misset", drawn, given)
        if drawn:
            self._drop("crystal.misset_deg")
            self.provenance["crystal.misset_seed"] = given.spelling
        else:
            self._drop("crystal.misset_seed")
            self._set_by_flag("crystal.misset_deg", given.values, given)

    def _take_detector_abs(self, given: Given) -> None:
        depth = float(given.values[0])
        if depth < 0.0:
            raise ConfigError(given.spelling, f"got {depth:g} um; the attenuation depth must be >= 0 um")
        if depth == 0.0 or math.isinf(depth):
            # Not at the end of the line: a later -detector_thick restores the thickness.
            depth = math.inf
            self._set_by_flag("detector.thickness_um", 0.0, given)
        self._set_by_flag("detector.attenuation_um", depth, given)

    def _take_twotheta(self, given: Given) -> None:
        self._lost_twotheta = None
        self._set_by_flag("detector.twotheta_deg", given.values[0], given)

    def _take_twotheta_axis(self, given: Given) -> None:
        self._set_by_flag("detector.twotheta_axis", given.values, given)
        if self.get("run.semantics") == "physical":
            return
        before, angle = self.get("detector.twotheta_deg", 0.0), float(given.values[0])
        self._set_by_flag("detector.twotheta_deg", angle, given)
        if angle != before:
            self._lost_twotheta = (f"{given.spelling} also sets twotheta to {angle:g} deg, in place of {before} deg, "
                                   "as in nanoBragg; put -twotheta after it")

    # what depends on the whole line

    def resolve(self, fresh_seed: int) -> None:
        """Resolve what depends on the whole line: pivot, seeds, flags without effect."""
        detector = self.sections["detector"]
        custom = detector.get("convention") == "custom"
        if custom and self._pivot is not None and (self._pivot_meant or "detector.pivot" not in self._from_config):
            detector["pivot"] = self._pivot
        if self._lost_twotheta is not None:
            self.warnings.append(self._lost_twotheta)
        run = self.sections["run"]
        run["seed_drawn"] = "seed" not in run
        run.setdefault("seed", fresh_seed)
        random = run.get("random_misset", self.get("crystal.misset_seed") is not None)
        if random and ("random_misset" in run or "misset_seed" in run):
            seed = "misset_seed" if "misset_seed" in run else "seed"
            self.sections["crystal"]["misset_seed"] = run[seed]
            self.provenance["crystal.misset_seed"] = self.provenance.get(f"run.{seed}", "-seed")
        self.warnings += self._overruled(custom)
        if self.sections["beamstop"] and self.get("beamstop.size_mm") is None:
            flags = [self.provenance[setting] for setting in sorted(self.flagged) if setting.startswith("beamstop.")]
            if flags:
                raise ConfigError(flags[0], "got a setting of a beam stop, and none is there; give its size, "
                                  "--beamstop MM")

    def _all_set(self, setting: str) -> bool:
        value = self.get(setting)
        return all(component > 0.0 for component in value) if isinstance(value, tuple) else bool(value)

    def _overruled(self, custom: bool) -> Iterator[str]:
        """Warn of flags that have no effect because of another setting."""
        pairs = dict.fromkeys((self.provenance[loser], self.provenance[winner]) for loser, winner in _OVERRULED
                              if loser in self.flagged and self._all_set(winner))
        for loser, winner in pairs:
            yield f"{loser} has no effect: {winner} overrules it"
        if "run.misset_seed" in self.flagged and "misset_seed" not in self.sections["crystal"]:
            yield f"{self.provenance['run.misset_seed']} has no effect: there is no -misset random"
        if self.get("input.sources"):
            generated = dict.fromkeys(self.provenance[setting] for setting in sorted(self.flagged)
                                      if setting.startswith(("beam.hdiv", "beam.vdiv", "beam.dispersion")))
            if generated:
                yield f"{', '.join(generated)}: no effect, because {self.provenance['input.sources']} lists the sources"
        if not custom:
            axes = [self.provenance[setting] for setting in _CUSTOM_AXES if setting in self.flagged]
            if axes:
                yield (f"{', '.join(axes)}: no effect, because {self.provenance['detector.convention']} after it "
                       "sets its own axes")

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name the flag, file or header that made a setting in the errors about it."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError(self.source_of(error.where), error.what) from None

    def source_of(self, where: str) -> str:
        """Return what made a setting, as messages name it."""
        setting, _, index = (where if "." in where else f"run.{where}").partition("[")
        section, _, name = setting.partition(".")
        if setting in _THREES:
            for i, component in enumerate(self.sections[section].get(name, ())):
                if not component >= 0:
                    setting = f"{setting}[{i}]"
                    break
        origin = self.provenance.get(setting) or self.provenance.get(section) or flag_for_field(setting)
        if origin is None:
            return f"{self.config_path}: {where}" if self.config_path else where
        return f"{origin}, number {index[:-1]}" if index else origin


def _one_or_several(given: Given) -> Any:
    """Return the value of a flag that takes one, or the values."""
    return given.values[0] if len(given.values) == given.flag.least == 1 else given.values


_SPECIAL: dict[str, Callable[[Replay, Given], None]] = {
    "-cell": Replay._take_cell, "-energy": Replay._take_energy, "-misset": Replay._take_misset,
    "-detector_abs": Replay._take_detector_abs, "-twotheta": Replay._take_twotheta,
    "-twotheta_axis": Replay._take_twotheta_axis, "--from": Replay._take_from,
    "--mosaicity": Replay._take_mosaicity,
}
