"""What the formats of images can say of an experiment, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cubragg import units
from cubragg.cli.build import Output, Settings
from cubragg.detect.quantize import MAX_COUNT
from cubragg.errors import ConfigError, CubraggError, FormatError
from cubragg.experiment.detector import DetectorGeometry
from cubragg.experiment.experiment import Experiment
from cubragg.io.images import image_panels as tiles
from cubragg.io.images import pilatus
from cubragg.plan.plan import Plan

if TYPE_CHECKING:
    from cubragg.io.images.cbf import MiniCbfHeader
    from cubragg.io.images.nxmx import NxmxScene, NxmxWriter

#: Names of sensor materials in miniCBF headers, where they differ from the formula.
_SENSORS = {"Si": "Silicon"}
_PIXELS_ONLY = "--tiff and -floatfile hold the pixels alone"


@dataclass(frozen=True)
class Formats:
    """The experiment of one image in the words of the formats."""

    settings: Settings
    experiment: Experiment
    plan: Plan

    @cached_property
    def tiles(self) -> tuple[tiles.Tile, ...]:
        """Its panels."""
        return tiles.tiles_of(self.experiment.detector, self.plan.geometry)

    @cached_property
    def live(self) -> np.ndarray:
        """bool [slow, fast]: pixels that exist and are not masked."""
        return tiles.live(self.experiment.detector, self.plan.mask)

    @property
    def _phi_deg(self) -> float:
        return units.deg_from_rad(units.rad_from_deg(self.experiment.goniometer.phi_deg))

    @property
    def _range_deg(self) -> float:
        return units.deg_from_rad(self.plan.phi.span)

    @property
    def _kahn_factor(self) -> float | None:
        beam = self.experiment.beam
        return beam.kahn_factor if beam.polarized else None

    def facing(self) -> DetectorGeometry:
        """The detector as one flat picture that faces the beam; `FormatError` where it is none."""
        detector = self.experiment.detector
        return tiles.facing_geometry(self.tiles, detector.shape(), rotating=self.plan.phi.span > 0.0)

    def smv_header(self, counts_per_photon: float, offset: float) -> dict[str, str]:
        """The header of the flavor asked for, over pixels that are photons * counts_per_photon + offset."""
        from cubragg.io.images.smv import adsc_header, smv_header

        beam = self.experiment.beam
        if self.settings.smv_flavor == "adsc":
            return adsc_header(self.facing(), wavelength_A=beam.wavelength_A, phi_deg=self._phi_deg,
                               osc_deg=self._range_deg, exposure_s=beam.exposure_s, pedestal=offset,
                               counts_per_photon=counts_per_photon)
        slow, fast = self.live.shape
        return smv_header(self.plan.geometry._replace(fast_pixels=fast, slow_pixels=slow),
                          wavelength_A=beam.wavelength_A, phi_deg=self._phi_deg, osc_deg=self._range_deg,
                          twotheta_deg=units.deg_from_rad(self.plan.geometry.twotheta))

    def cbf_convention(self) -> str:
        """``generic`` or ``pilatus``."""
        wanted, geometry = self.settings.cbf_convention, self.facing()
        shape = geometry.slow_pixels, geometry.fast_pixels
        if wanted == "pilatus" and pilatus.gaps(shape) is None:
            slow, fast = pilatus.MODULE
            raise ConfigError("--cbf-convention", f"got pilatus for {shape[1]} x {shape[0]} pixels; that header needs "
                              f"whole modules of {fast} x {slow} pixels with gaps of {pilatus.GAP[1]} and "
                              f"{pilatus.GAP[0]} between them")
        if wanted == "auto":
            sizes = geometry.pixel_size, geometry.slow_pixel_size
            return "pilatus" if pilatus.looks_like_pilatus(shape, sizes) else "generic"
        return wanted

    def cbf_live(self) -> np.ndarray:
        """As ``live``; a Pilatus detector has no pixels in its gaps either."""
        gaps = pilatus.gaps(self.live.shape) if self.cbf_convention() == "pilatus" else None
        return self.live if gaps is None else self.live & ~gaps

    def cbf_header(self, excluded_pixels: int) -> MiniCbfHeader:
        """The short header."""
        from cubragg.io.images.cbf import minicbf_header

        experiment, kahn = self.experiment, self._kahn_factor
        beam = experiment.beam
        material, thickness = tiles.sensor_of(self.tiles)
        trusted = tiles.trusted_of(experiment.detector)
        return minicbf_header(
            self.facing(), wavelength_A=beam.wavelength_A, start_angle_deg=experiment.goniometer.phi_deg,
            angle_increment_deg=self._range_deg, exposure_s=beam.exposure_s, timestamp=datetime.now(),
            count_cutoff=MAX_COUNT if trusted is None else min(MAX_COUNT, int(trusted[1])),
            n_excluded_pixels=excluded_pixels, sensor_thickness_m=thickness if thickness > 0.0 else None,
            sensor=_SENSORS.get(material, material), flux=beam.flux or None,
            polarization=None if kahn is None else (1.0 + kahn) / 2.0, convention=self.cbf_convention())

    def nxmx_scene(self) -> NxmxScene:
        """What an NXmx file says besides pixels; ``plan`` is that of the first image."""
        from cubragg.io.images.nxmx import NxmxScene

        experiment = self.experiment
        beam = experiment.beam
        return NxmxScene(
            self.tiles, self.live, beam.wavelength_A, experiment.goniometer.phi_deg, self._range_deg, beam.exposure_s,
            datetime.now(), flux=beam.flux or None,
            beamsize_m=units.m_from_mm(beam.beamsize_mm) if beam.flux else None, kahn_factor=self._kahn_factor or 0.0,
            counts_per_photon=self.settings.scale or 1.0, trusted=tiles.trusted_of(experiment.detector))


def check(targets: Mapping[str, Output], settings: Settings, experiment: Experiment, plan: Plan) -> None:
    """Refuse formats that cannot say the geometry, before anything is rendered.

    Raises
    ------
    ConfigError
        Naming the flag of the file, what it cannot say, and a format that can.
    """
    formats = Formats(settings, experiment, plan)
    smv = ("int", "noise") if settings.smv_flavor == "adsc" else ()
    for kind, form, instead, describe in (
            *((kind, "an ADSC header", "--nxmx can", lambda: formats.smv_header(1.0, 0.0)) for kind in smv),
            ("cbf", "a miniCBF header", "--nxmx can", lambda: formats.cbf_header(0)),
            ("nxmx", "an NXmx file", _PIXELS_ONLY, lambda: tiles.sensor_of(formats.tiles))):
        if kind not in targets:
            continue
        if experiment.detector.curved:
            raise ConfigError(targets[kind].named_by, f"got a curved detector, which {form} cannot say; {_PIXELS_ONLY}")
        try:
            describe()
        except FormatError as error:
            raise ConfigError(targets[kind].named_by, f"{error}, which {form} cannot say; {instead}") from None


@contextmanager
def nxmx_file(target: Output | None, settings: Settings, experiment: Experiment, plan: Plan, written: list[str]
              ) -> Iterator[NxmxWriter | None]:
    """The open NXmx file of a run, if it writes one; told in ``written`` when it is complete.

    Raises
    ------
    CubraggError
        Where it cannot be written.
    """
    if target is None:
        yield None
        return
    from cubragg.io.images.nxmx import NxmxWriter

    scene = Formats(settings, experiment, plan).nxmx_scene()
    writer = NxmxWriter(target.path, scene, settings.images, settings.nxmx_type)
    try:
        with writer:
            yield writer
    except OSError as error:
        raise CubraggError(f"{target.named_by}: cannot write {target.path!r}: {error.strerror or error}") from error
    finally:
        if writer.complete:
            written.append(target.path)
