"""Settings that exist in physical semantics only."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from cubragg.errors import ConfigError
from cubragg.experiment.background_settings import Background

#: Fields that nanobragg semantics refuses unless they have their defaults, by section.
PHYSICAL_ONLY = {
    "crystal": ("size_mm", "habit", "offset_mm", "wobble_mm", "wobble_cycles", "wobble_phase_deg", "block_size_um",
                "mosaicity_deg", "strain"),
    "beam": ("profile", "size_mm", "divergence_mrad", "divergence_deg", "bandwidth", "bandwidth_fwhm",
             "spectrum", "direct_fraction"),
    "structure_factors": ("F000",),
}

#: Parts that nanobragg semantics refuses: the default of each, the setting that errors are about, and a name.
PHYSICAL_PARTS = {
    "background": (Background(), "background", "a background"),
    "response": (None, "response", "a detector response"),
    "beamstop": (None, "beamstop.size_mm", "a beam stop"),
}


def refuse_physical_settings(parts: dict[str, Any]) -> None:
    """Check that the parts of an experiment in nanobragg semantics have no setting of physical semantics.

    Raises
    ------
    ConfigError
        For the first such setting.
    """
    for part, (default, where, what) in PHYSICAL_PARTS.items():
        if parts[part] != default:
            raise ConfigError(where, f"got {what}, which nanoBragg does not have; --semantics physical accepts it")
    for section, names in PHYSICAL_ONLY.items():
        defaults = {field.name: field.default for field in fields(parts[section])}
        for name in names:
            value = getattr(parts[section], name)
            assert defaults[name] is not MISSING
            if value != defaults[name]:
                shown = f"{len(value)} channels" if name == "spectrum" else f"{value}"
                raise ConfigError(f"{section}.{name}", f"got {shown}, which nanoBragg does not have; --semantics "
                                  "physical accepts it")
