"""The identity of a series of images."""

from __future__ import annotations


class ImageSeries:
    """What plans of one rotation series have in common: engines keep with it what several of its images need.

    What is kept goes with the series. A copy, as of a data set that is sent to a process, is another series.
    """

    def __reduce__(self) -> tuple[type[ImageSeries], tuple[()]]:
        return ImageSeries, ()
