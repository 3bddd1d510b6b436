"""The experiment to simulate, as frozen, validated dataclasses in the user's units."""

from cubragg.experiment.background_settings import Background, Scatterer
from cubragg.experiment.beam import Beam, Source
from cubragg.experiment.beam_stop import BeamStop
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.detector import Detector
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.experiment_parts import ExperimentParts
from cubragg.experiment.goniometer import Goniometer
from cubragg.experiment.goniometer_axes import GoniometerAxis
from cubragg.experiment.panel import Panel
from cubragg.experiment.response_settings import Response
from cubragg.experiment.sampling import Sampling
from cubragg.experiment.spectrum_channels import Channel
from cubragg.experiment.structure_factors import StructureFactors

__all__ = [
    "Background",
    "Beam",
    "BeamStop",
    "Channel",
    "Crystal",
    "Detector",
    "Experiment",
    "ExperimentParts",
    "Goniometer",
    "GoniometerAxis",
    "Panel",
    "Response",
    "Sampling",
    "Scatterer",
    "Source",
    "StructureFactors",
]
