"""Write the files of a run image by image, so that at any end of it they agree on the number of images."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from cubragg.cli import formats, geometry_out, outputs
from cubragg.cli.earlier_files import existing_images
from cubragg.cli.run_figures import ImageFigures, figures_of
from cubragg.io.files.held_signals import hold_signals

if TYPE_CHECKING:
    from cubragg.cli.build import Job, Output
    from cubragg.engine.panel_loop import Progress
    from cubragg.io.images.writer import Writer
    from cubragg.plan.plan import Plan
    from cubragg.run.simulated_image import SimulatedImage


class Series:
    """The files of a run, a context manager.

    An image is done when all its files are complete. Where a run of several images ends before the last, because of
    Ctrl-C or of an error, the files that hold all images have those that are done, the files that describe the images
    give their number, and the files of an image that is not done are removed.

    Parameters
    ----------
    job, plan, targets
        The run, and its files by kind.

    Attributes
    ----------
    done
        Number of images that are done.
    written
        The files that are complete.
    figures
        Figures of the images that are done.
    """

    def __init__(self, job: Job, plan: Plan, targets: Mapping[str, Output]) -> None:
        self._job, self._plan, self._targets = job, plan, dict(targets)
        self._earlier: dict[str, int] = {}  # images in files of earlier runs that a shorter series must not replace
        self._writers: dict[str, Writer] = {}
        self._opened: list[str] = []
        self._begun: dict[str, int | None] = {}  # files of the image in work; see `outputs.ImageFiles`
        self._appending = False
        self.done, self.written = 0, list[str]()
        self.figures: list[ImageFigures] = []

    @property
    def images(self) -> int:
        """Number of images of the run."""
        return self._job.settings.images

    def outcome(self) -> str:
        """Describe the files that are complete, for a message."""
        count = f"{self.done} of {self.images} images are done; " if self.images > 1 else ""
        kept = [f"{self._targets[kind].path} of an earlier run kept, which has {images} images; "
                for kind, images in self._earlier.items() if self.done < images]
        files = f"{outputs.listed(self.written)} complete, no other file" if self.written else "no file"
        return f"{count}{''.join(kept)}{files} was written."

    def __enter__(self) -> Series:
        settings, experiment = self._job.settings, self._job.experiment
        self._writers = {kind: formats.writer_for(kind, target, settings, experiment, self._plan)
                         for kind, target in self._targets.items() if formats.holds_series(kind, target)}
        if not settings.overwrite:
            self._earlier = existing_images({kind: self._targets[kind] for kind in self._writers})
        try:
            for kind, writer in self._writers.items():
                with formats.naming_file(self._targets[kind]):
                    writer.open(self._targets[kind].path, settings.images, writer.pixel_type("counts").name)
                self._opened.append(kind)
        except BaseException:
            self._close(keep=False)
            raise
        return self

    def add(self, image: SimulatedImage, progress: Progress | None) -> Mapping[str, Output]:
        """Write the files of the next image, and return them by kind.

        Raises
        ------
        CubraggError
            Where a file cannot be written.
        """
        targets = self._targets if self.images == 1 else outputs.numbered(self._targets, self.done + 1)
        self._begun = {}
        files = outputs.ImageFiles(self._job, image, self.done, self._writers, progress, self._begun)
        files.write(targets)
        with hold_signals():  # all or none of the files that hold all images have this one
            self._appending = True
            files.append(targets)
            self._appending = False
            self.done += 1
            self.written += self._begun
            self._begun = {}
        self.figures.append(figures_of(image, files.conversion))
        return targets

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        with hold_signals():
            if kind is None:
                self._finish()
                return
            self._discard_partial()
            if not (self.done > 0 and not self._appending):
                self._close(keep=False)
                return
            # A second error, as on a full disk, must not hide the first.
            with suppress(Exception):
                self._finish()

    def _discard_partial(self) -> None:
        """Remove the files of the image in work; those of a run of one image stay, each whole."""
        kept = [self._targets[kind].path for kind in ("dump", "config") if kind in self._targets]
        for path, before in self._begun.items():
            if outputs.inode(path) in (None, before):
                continue  # not complete, so that an earlier file is still there
            if self.images == 1 or path in kept:
                self.written.append(path)
            else:
                Path(path).unlink()

    def _finish(self) -> None:
        """Complete the files that hold all images, then those that describe them."""
        self._close(keep=True)
        if any(self.done < images for images in self._earlier.values()):
            return  # what describes the earlier run stays
        targets = self._targets if self.images == 1 else outputs.numbered(self._targets, 1)
        for kind, text in geometry_out.texts(self._job, targets, self.done).items():
            geometry_out.write(targets[kind], text)
            self.written.append(targets[kind].path)

    def _close(self, *, keep: bool) -> None:
        def close(kind: str) -> None:
            with formats.naming_file(self._targets[kind]):
                if self._writers[kind].close(keep and self.done >= self._earlier.get(kind, 0)):
                    self.written.append(self._targets[kind].path)

        with ExitStack() as stack:  # closes the others where one cannot be written
            for kind in reversed(self._opened):
                stack.callback(close, kind)
        self._opened = []

