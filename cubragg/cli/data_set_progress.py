"""Show how far the writing of a data set is: a line on a terminal, plain lines elsewhere, JSON in a file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import click

from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.dataset.production import State

#: Seconds between lines on a terminal and elsewhere.
_TERMINAL_S, _PLAIN_S = 0.2, 10.0


class Progress:
    """Context manager; `report` is called with the state of the writing.

    Parameters
    ----------
    quiet
        Print nothing.
    log_json
        File to which a line of JSON is appended for each shard; ``-``: the standard output.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """

    def __init__(self, quiet: bool, log_json: str | None) -> None:
        self._quiet, self._log_name = quiet, log_json
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._log: IO[str] | None = None
        self._printed, self._width = 0.0, 0

    def __enter__(self) -> Progress:
        if self._log_name == "-":
            self._log = sys.stdout
        elif self._log_name is not None:
            try:
                self._log = open(self._log_name, "a", encoding="utf-8")
            except OSError as error:
                raise ConfigError("--log-json", f"got {self._log_name!r}; it cannot be written ({error.strerror})"
                                  ) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
        if self._log is not None and self._log is not sys.stdout:
            self._log.close()

    def report(self, state: State) -> None:
        """Show a state."""
        if self._log is not None and state.record is not None:
            self._log.write(json.dumps(_logged(state)) + "\n")
            self._log.flush()
        now = time.monotonic()
        if self._quiet or now - self._printed < (_TERMINAL_S if self._terminal else _PLAIN_S):
            return
        if not self._terminal and state.done == state.before:
            return
        self._printed = now
        text = line_of(state)
        if self._terminal:
            click.echo("\r" + text.ljust(self._width), nl=False, err=True)
            self._width = len(text)
        else:
            click.echo(text, err=True)


def line_of(state: State) -> str:
    """Describe a state in a line."""
    left = "" if state.seconds_left is None else f", {_duration(state.seconds_left)} left"
    failed = f", {state.failed} shards failed" if state.failed else ""
    total = sum(state.stages.values())
    stages = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in state.stages.items() if seconds > 0.0)
    busy = f", {state.busy} of {state.workers} workers busy" if state.workers > 1 else ""
    return (f"{state.done} of {state.shots} shots, {state.rate:.3g} shots/s{left}{busy}{failed}"
            + (f" ({stages})" if stages else ""))


def _logged(state: State) -> dict[str, Any]:
    return {"time": round(time.time(), 3), "shots": state.shots, "done": state.done, "failed": state.failed,
            "shots_per_s": round(state.rate, 4), "seconds": round(state.seconds, 3),
            "seconds_left": None if state.seconds_left is None else round(state.seconds_left, 1), "busy": state.busy,
            "stages": {name: round(seconds, 3) for name, seconds in state.stages.items()}, "record": state.record}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def summary_lines(summary: Mapping[str, Any], folder: str) -> Iterator[str]:
    """Yield the lines about a written data set."""
    rows = [("folder", f"{folder}: {summary['complete_shots']} of {summary['shots']} shots in {summary['shards']} "
                       f"shards, {summary['bytes'] / 1e6:.1f} MB"),
            ("images", f"{summary['photons_per_shot']:.4g} counts each, brightest pixel "
                       f"{summary['brightest_pixel']:g}, {summary['saturated']} saturated pixels"),
            ("reflections", f"{summary['reflections_per_shot']:.1f} each"),
            ("blank shots", f"{summary['blank']}"), ("rendered by", summary["rendered by"])]
    for label, text in rows:
        if not (label == "blank shots" and not summary["blank"]):
            yield f"{label:<14}{text}"
