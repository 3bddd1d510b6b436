"""The identity of a series of images."""

from __future__ import annotations

from cubragg.experiment.structure_factors import StructureFactors


class ImageSeries:
    """What plans of one rotation series have in common: engines keep with it what several of its images need.

    What is kept goes with the series. A copy, as of a data set that is sent to a process, is another series.
    """

    def __init__(self) -> None:
        self._factors: tuple[StructureFactors, StructureFactors] | None = None

    def without_direct_beam(self, factors: StructureFactors) -> StructureFactors:
        """Return structure factors without the direct beam; those of the image before are not copied again."""
        kept = self._factors
        if kept is None or kept[0] is not factors:
            kept = self._factors = factors, factors.without_direct_beam()
        return kept[1]

    def __reduce__(self) -> tuple[type[ImageSeries], tuple[()]]:
        return ImageSeries, ()
