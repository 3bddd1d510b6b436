"""The plan of an image: all numbers that engines need, in SI units and radians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cubragg.crystallography.shapes import CoherentBlock
from cubragg.crystallography.vectors import Vector
from cubragg.experiment.beam import SourceTable
from cubragg.experiment.beam_stop import BeamStop
from cubragg.experiment.crystal import Lattice, Mosaic
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.panel import Panel
from cubragg.experiment.sampling import ROI
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.nanobragg.fill_range import Sweep
from cubragg.plan.illumination import Illumination
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.rules import Rules
from cubragg.plan.sample_points import Domains
from cubragg.plan.spreads import Spreads

#: How photons are computed: ``sampled`` evaluates the lattice transform at every sample of a pixel, orientation and
#: source; ``analytic`` evaluates the integral over them in closed form.
Method = Literal["sampled", "analytic"]


@dataclass(frozen=True, eq=False)
class Plan:
    """All numbers that an engine needs to render an image.

    Attributes
    ----------
    rules
        The differences between the semantics.
    panels, detector_panels
        Panels with pixels to render, and all panels of the detector.
    shape, roi, mask
        Of the image: size (slow, fast) [pixel], region of interest, and pixels to render (bool [slow, fast], False
        between panels; ``None``: all).
    geometry
        Laboratory axes, and the geometry of the detector as nanoBragg prints it.
    curved, point_pixel
        Whether the detector is a cylinder, and whether solid angles are without obliquity.
    lattice, cells, crystal_shape, fudge
        The oriented lattice at phi = 0, cells along a, b, c (whole numbers as float), the shape's name in
        `crystallography.shapes.SHAPES`, and the factor on the spot radius squared.
    mosaic, phi, phi_start, phi_angles, phi_offsets
        Mosaic domains of nanobragg semantics; spindle steps, the angle at which the rotation starts, that of each step,
        and float64 [domain] the difference of a domain's from it [rad].
    domains
        Blocks and rays of physical semantics; ``None`` in nanobragg semantics.
    cell_axes
        float64 [phi, domain, 3, 3], cell axes of each orientation: a, b, c in rows, x, y, z [m] in columns.
    first_cell_axes
        The same for the first pass through the phi loop, if nanobragg semantics has other axes there; else ``None``.
        See `phi_zero.carried_rotations`.
    factors, interpolate
        Structure factors, and whether they are interpolated between reflections.
    sources, wavelength
        The sources, and the central wavelength [m].
    fluence, polarized, kahn_factor
        Photons per area in the centre of the beam [1/m^2]; whether there is a polarization correction, and the
        polarization of the beam.
    illumination, spreads
        The illuminated part of the crystal at the middle of the rotation range; and the distributions of the crystal's
        blocks and of the beam.
    oversample, recommended_oversample
        Sub-pixels along each edge of a pixel that are rendered, and that resolve the fringes of the coherent block.
    coarsest
        The geometry from which the recommended oversampling is computed.
    dmin
        Resolution limit [m]; 0: none.
    samples
        Number of samples by which the sum of a pixel is divided: sources x domains x spindle steps x sub-pixels.
    water
        Background of water: in nanobragg semantics the initial value of the sum [electron^2], in physical semantics
        photons per steradian.
    method
        ``sampled``, or ``analytic``: spots in closed form, with one orientation, at the start of the rotation range.
    tail_sigmas
        Half-width of the box of a spot of the method analytic, in standard deviations.
    beam_stop
        What hides part of the detector; the engines render as if it were not there, see `shadow.shadow_map`.
    parts
        Plans whose images add up to that of this plan, if its samples have different rays of the beam or places in the
        crystal; they have no parts themselves.
    warnings, notes
        Warnings for the user, and how samples were chosen.
    series
        The rotation series of the image; ``None``: it is alone. No bit depends on it.
    """

    rules: Rules
    panels: tuple[PanelPlan, ...]
    detector_panels: tuple[Panel, ...]
    shape: tuple[int, int]
    roi: ROI
    mask: np.ndarray | None
    geometry: DetectorFrame
    curved: bool
    point_pixel: bool
    lattice: Lattice
    cells: Vector
    crystal_shape: str
    fudge: float
    mosaic: Mosaic
    phi: Sweep
    phi_start: float
    phi_angles: list[float]
    phi_offsets: np.ndarray
    cell_axes: np.ndarray
    first_cell_axes: np.ndarray | None
    factors: StructureFactors
    interpolate: bool
    sources: SourceTable
    wavelength: float
    fluence: float
    polarized: bool
    kahn_factor: float
    illumination: Illumination
    spreads: Spreads
    oversample: int
    recommended_oversample: int
    coarsest: DetectorFrame
    dmin: float
    samples: int
    water: float
    method: Method = "sampled"
    tail_sigmas: float = 5.5
    beam_stop: BeamStop | None = None
    domains: Domains | None = None
    parts: tuple[Plan, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    series: ImageSeries | None = None

    @property
    def domain_count(self) -> int:
        """Number of mosaic domains, or of samples of block and beam, at each spindle step."""
        return self.cell_axes.shape[1]

    @property
    def orientations(self) -> int:
        """Number of orientations: spindle steps times mosaic domains."""
        return self.cell_axes.shape[0] * self.cell_axes.shape[1]

    @property
    def bragg_fluence(self) -> float:
        """Fluence times the number of illuminated blocks [1/m^2]: the factor on the scattering of one block."""
        return self.fluence * self.illumination.blocks

    @property
    def rotates(self) -> bool:
        """Whether the image is a rotation image: the spindle moves over a range, in nanobragg semantics in steps."""
        return self.phi.width > 0.0 and (self.phi.count > 1 or self.rules.per_sample)

    @property
    def block(self) -> CoherentBlock:
        """The coherent block, as the functions of its shape take it."""
        stars = np.array((self.lattice.a_star, self.lattice.b_star, self.lattice.c_star))
        return CoherentBlock(self.cells, stars, self.fudge)

    def panel_at(self, fast: int, slow: int) -> PanelPlan | None:
        """Return the panel of a pixel of the image; ``None`` if it is on no panel with pixels to render."""
        for panel in self.panels:
            rows, columns = panel.window
            if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
                return panel
        return None
