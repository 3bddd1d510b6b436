"""Writes traces as text and JSON, parses the C program's printout, and finds the first quantity that differs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cubragg.crystallography.vectors import Vector, norm, unit
from cubragg.documents import json_document
from cubragg.errors import FormatError
from cubragg.io.files.text import read_text
from cubragg.parity.pixel_trace import PixelTrace, format_trace
from cubragg.parity.plan_steps import Step, plan_steps
from cubragg.plan.plan import Plan

#: Relative difference above which two quantities differ: far above rounding, which grows with the number of
#: cells, and far below the effect of a wrong formula.
TOLERANCE = 1e-9
_NAME_WIDTH = 28


class Divergence(NamedTuple):
    """The first quantity that differs.

    Attributes
    ----------
    stage, name, unit
        Those of the step (see `Step`).
    ours, theirs
        Its values; ``None`` if a trace has no such step.
    absolute, relative
        Largest difference of a component, absolute and relative to the largest component; NaN for words.
    number
        Number of steps compared, including this one.
    """

    stage: str
    name: str
    unit: str
    ours: tuple[float | str, ...] | None
    theirs: tuple[float | str, ...] | None
    absolute: float
    relative: float
    number: int

    def __str__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        before = "1 quantity that agrees" if self.number == 2 else f"{self.number - 1} quantities that agree"
        lines = [f"first divergence: {self.stage}: {self.name}{unit}, after {before}",
                 f"  here      {_shown(self.ours)}", f"  there     {_shown(self.theirs)}"]
        if not math.isnan(self.absolute):
            lines.append(f"  off by    {self.absolute:.6g} absolute, {self.relative:.6g} relative")
        return "\n".join(lines)


def _shown(values: Sequence[float | str] | None) -> str:
    return "no such step" if values is None else _digits(values)


def _digits(values: Sequence[float | str]) -> str:
    return " ".join(value if isinstance(value, str) else f"{value:.15g}" for value in values)


def format_steps(trace: PixelTrace, steps: Sequence[Step]) -> str:
    """All steps with 15 digits, followed by the pixel in the format of the C program."""
    return "\n".join(_step_lines(steps)) + "\n\nas the C program prints it\n" + format_trace(trace)


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    open_stages: list[str] = []
    for step in steps:
        stages = step.stage.split(", ")
        # "layer 0, sub-pixel 0 0": one level of indentation each, with a line where a new one begins.
        for depth, stage in enumerate(stages):
            if open_stages[:depth + 1] != stages[:depth + 1]:
                yield "  " * depth + stage
        open_stages = stages
        indent = "  " * len(stages)
        yield f"{indent}{step.name:<{_NAME_WIDTH - len(indent)}} {_digits(step.values)} {step.unit}".rstrip()


def to_json(trace: PixelTrace, steps: Sequence[Step], version: str) -> str:
    """All steps as JSON, numbers with all digits; `from_json` reads them."""
    document = {"cubragg": version, "fast": trace.fast, "slow": trace.slow,
                "steps": [{**step._asdict(), "values": [_jsonable(value) for value in step.values]} for step in steps]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _jsonable(value: float | str) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(path: Path | str) -> tuple[int, int, list[Step]]:
    """Read fast, slow and the steps from a file with the output of `to_json`.

    Raises
    ------
    FormatError
        If the file is not such a trace.
    OSError
        If it cannot be read.
    """
    try:
        document = json_document(read_text(path))
        steps = [Step(str(entry["stage"]), str(entry["name"]), tuple(entry["values"]), str(entry["unit"]),
                      float(entry["scale"])) for entry in document["steps"]]
        if not all(isinstance(value, str | int | float) for step in steps for value in step.values):
            raise ValueError("a value is neither a number nor a string")
        return int(document["fast"]), int(document["slow"]), steps
    except FormatError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise FormatError(f"{path}: not a trace ({type(error).__name__}: {error}); the output of 'cubragg trace "
                          "--json' is accepted") from None


def is_trace(path: Path | str) -> bool:
    """Whether a path is that of a trace, by the suffix .json or else by the first character of the file."""
    if str(path).endswith(".json"):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False


def first_divergence(ours: Sequence[Step], theirs: Sequence[Step], tolerance: float = TOLERANCE) -> Divergence | None:
    """The first step that differs, in the order of computation; ``None`` if all agree.

    Components agree if they differ by at most ``tolerance`` times the largest component of both traces, or times
    the scale of the step if that is larger.
    """
    ours, theirs = ([step._replace(values=tuple(map(_jsonable, step.values))) for step in steps]
                    for steps in (ours, theirs))
    for number, (here, there) in enumerate(zip(ours, theirs, strict=False), start=1):
        if here[:2] != there[:2]:
            return Divergence(*here[:2], here.unit, here.values, None, math.nan, math.nan, number)
        found = _difference(here, there.values, [tolerance * max(here.scale, there.scale, *_sizes(here, there))]
                            * len(here.values), number)
        if found:
            return found
    if len(ours) != len(theirs):
        number = min(len(ours), len(theirs)) + 1
        step = max(ours, theirs, key=len)[number - 1]
        return Divergence(step.stage, step.name, step.unit, step.values if len(ours) > len(theirs) else None,
                          step.values if len(theirs) > len(ours) else None, math.nan, math.nan, number)
    return None


def _sizes(*steps: Step) -> list[float]:
    return [abs(value) for step in steps for value in step.values if not isinstance(value, str)] or [0.0]


def _difference(here: Step, there: Sequence[float | str], allowed: Sequence[float], number: int) -> Divergence | None:
    """A divergence if a component differs by more than its ``allowed`` difference, else ``None``."""
    values = tuple(there)
    apart = math.nan
    if len(here.values) == len(values) and not any(isinstance(value, str) for value in (*here.values, *values)):
        differences = [abs(float(x) - float(y)) for x, y in zip(here.values, values, strict=True)]
        if all(difference <= most for difference, most in zip(differences, allowed, strict=True)):
            return None
        apart = max(differences)
    elif here.values == values:
        return None
    size = max(_sizes(here, Step("", "", values)))
    return Divergence(here.stage, here.name, here.unit, here.values, values, apart,
                      apart / size if size else math.nan, number)


# The printout of the C program

_N = r"(\S+)"
_SHAPES = {"ellipsoidal": "round", "parallelpiped": "square", "gaussian": "gauss", "tophat-spot": "tophat"}


@dataclass(frozen=True)
class _Line:
    """A line of the C program: the step that it shows, its pattern, and the format of its numbers.

    ``digits`` > 0 is a number of significant digits (%g), < 0 of decimals (%f); 0 means words and whole numbers.
    """

    stage: str
    name: str
    pattern: str
    digits: int = 6


_HEADER = (
    _Line("experiment", "wavelength", rf"wave={_N} meters"),
    _Line("detector", "convention", r"^(\w+) convention selected", 0),
    _Line("detector", "pivot", r"pivoting detector around (?:direct )?(sample|beam)", 0),
    _Line("detector", "pixels", r"\((\d+)x(\d+) pixels\)", 0),
    _Line("detector", "pixel size", rf"pixel={_N} meters"),
    _Line("detector", "beam direction", rf"INCIDENT_BEAM_DIRECTION= {_N} {_N} {_N}"),
    _Line("detector", "spindle", rf"spindle ROTATION_AXIS= {_N} {_N} {_N}"),
    _Line("detector", "fast axis", rf"DIRECTION_OF_DETECTOR_X-AXIS= {_N} {_N} {_N}"),
    _Line("detector", "slow axis", rf"DIRECTION_OF_DETECTOR_Y-AXIS= {_N} {_N} {_N}"),
    _Line("detector", "normal", rf"DIRECTION_OF_DETECTOR_Z-AXIS= {_N} {_N} {_N}"),
    _Line("detector", "polarization plane normal", rf"POLARIZATION_PLANE_NORMAL= {_N} {_N} {_N}"),
    _Line("detector", "distance", rf"^  distance={_N}"),
    _Line("detector", "DIALS origin", rf"dials origin= {_N} {_N} {_N}"),
    _Line("detector", "Fbeam Sbeam", rf"Fbeam={_N} Sbeam={_N}"),
    _Line("detector", "Fclose Sclose", rf"Fclose={_N} Sclose={_N}"),
    _Line("detector", "sensor thickness", rf"sensor is {_N} m thick"),
    _Line("detector", "sensor layers", r"m thick in (\d+) layers", 0),
    _Line("crystal", "misset", rf"random orientation misset angles: {_N} {_N} {_N} deg", -6),
    _Line("crystal", "cell volume", rf"^volume = {_N} A\^3"),
    _Line("crystal", "cells", r"xtal: (\d+)x(\d+)x(\d+) cells", 0),
    _Line("crystal", "shape", r"^  (\S+) xtal: ", 0),
    _Line("crystal", "mosaic domains", r"(\d+) mosaic domains over", 0),
    _Line("crystal", "mosaic spread", rf"mosaic spread of {_N} degrees"),
    _Line("rotation", "phi steps", r"^  (\d+) phi steps from", 0),
    _Line("beam", "sources", r"created a total of (\d+) sources", 0),
    _Line("beam", "fluence", rf"incident fluence: {_N} photons"),
    _Line("beam", "Kahn factor", rf"Kahn polarization factor: {_N}", -6),
    _Line("sampling", "oversample", r"(\d+)x\d+ pixel oversample steps", 0),
)
_PIXEL = (
    _Line("pixel", "position", rf"^at {_N} {_N} {_N}"),
    _Line("pixel", "solid angle", rf"^omega +{_N}", 10),
    _Line("pixel", "capture fraction", rf"^capfrac +{_N}", 10),
    _Line("pixel", "stol", rf": stol = {_N} or"),
    _Line("pixel", "polarization", rf"^polar +{_N}", 10),
    _Line("pixel", "hkl", rf"^hkl= {_N} {_N} {_N}", -6),
    _Line("pixel", "hkl0", r"hkl0= (\S+) (\S+) (\S+)", 0),
    _Line("pixel", "F_latt", rf"F_latt={_N}"),
    _Line("pixel", "F_cell", rf"F_cell={_N}"),
    _Line("pixel", "I", rf"  I = {_N}"),
    _Line("pixel", "I/steps", rf"^I/steps +{_N}", 10),
    _Line("pixel", "photons", rf"^pixel +{_N}", 10),
)


class Printed(NamedTuple):
    """Values printed by the C program, and the largest difference of each from a value that is rounded to it."""

    values: tuple[float | str, ...]
    allowed: tuple[float, ...]


def parse_printout(text: str, fast: int, slow: int) -> dict[tuple[str, str], Printed]:
    """Parse the output of a run with ``-printout_pixel fast slow``, by stage and name of the step.

    Raises
    ------
    FormatError
        If the output does not contain the pixel.
    """
    # The line may begin with a warning that has no line end.
    start = re.search(rf"(?:^|printed! ) *{fast} +{slow} : stol = .*", text, re.MULTILINE)
    if start is None:
        raise FormatError(f"the C program: no line for pixel {fast} {slow}; it must be rendered (-roi, -mask) to be "
                          "printed")
    header, pixel = text[:start.start()], text[start.start():]
    found: dict[tuple[str, str], Printed] = {}
    for lines, part in ((_HEADER, header), (_PIXEL, pixel)):
        for line in lines:
            match = re.search(line.pattern, part, re.MULTILINE)
            if match:
                found[line.stage, line.name] = _printed(match.groups(), line.digits)
    if "polarization effect disabled" in header:
        found["beam", "Kahn factor"] = Printed(("off",), (0.0,))
    found.update(_tables(header, ("crystal", "crystal")))
    found.update(_tables(pixel, ("pixel", "")))
    found.update(_listed(header))
    return found


def _printed(words: Sequence[str], digits: int) -> Printed:
    if not digits:
        values = tuple(float(word) if re.fullmatch(r"-?\d+", word) else _SHAPES.get(word, word.lower())
                       for word in words)
        return Printed(values, (0.0,) * len(values))
    numbers = tuple(float(word) for word in words)
    return Printed(numbers, tuple(_half_unit(value, digits) for value in numbers))


def _half_unit(value: float, digits: int) -> float:
    """Half a unit of the last printed digit, and a little more for ties."""
    if digits < 0:
        return 0.500001 * 10.0 ** digits
    return 0.500001 * 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits) if value else 0.0


def _tables(text: str, stages: tuple[str, str]) -> Iterator[tuple[tuple[str, str], Printed]]:
    """Cell axes, which are printed in columns."""
    for title, stage, star in (("real-space", stages[0], ""), ("reciprocal-space", stages[1], "*")):
        rows = re.search(rf"^{title} cell vectors.*\n.*\nX: (.*)\nY: (.*)\nZ: (.*)", text, re.MULTILINE)
        if rows:
            columns = zip(*(row.split() for row in rows.groups()), strict=True)
            for name, words in zip("abc", columns, strict=True):
                yield (stage, name + star), _printed(words, -8)


def _listed(header: str) -> Iterator[tuple[tuple[str, str], Printed]]:
    """Phi angles and sources, which are printed one per line."""
    for number, word in re.findall(rf"^phi(\d+) = {_N}", header, re.MULTILINE):
        yield ("rotation", f"phi {number}"), _printed([word], 6)
    block = re.search(r"created a total of \d+ sources:\n((?:\S+ \S+ \S+   \S+ \S+\n)*)", header)
    for number, line in enumerate(block[1].splitlines() if block else ()):
        x, y, z, _, wavelength = line.split()
        position: Vector = (float(x), float(y), float(z))
        # It is printed as a position but used as a direction; its rounding is relative to the distance.
        away = unit(position)
        allowed = 2.0 * max(_half_unit(component, 6) for component in position) / norm(position)
        yield ("beam", f"source {number} incident"), Printed((-away[0], -away[1], -away[2]), (allowed,) * 3)
        yield ("beam", f"source {number} wavelength"), _printed([wavelength], 6)


def printable_steps(plan: Plan, trace: PixelTrace) -> Iterator[Step]:
    """Quantities that the C program may print, in the order of computation, with the last values of the pixel."""
    panel = plan.panel_at(trace.fast, trace.slow)
    assert panel is not None  # it was traced
    yield from plan_steps(plan, panel)
    a, b, c = trace.cell_vectors_A
    quantities: tuple[tuple[str, Sequence[float]], ...] = (
        ("position", trace.position_m), ("solid angle", (trace.omega,)),
        ("capture fraction", (trace.capture_fraction,)), ("stol", (trace.stol_per_m,)),
        ("polarization", (trace.polar,)), ("a", a), ("b", b), ("c", c), ("hkl", trace.hkl), ("hkl0", trace.hkl0),
        ("F_latt", (trace.F_latt,)), ("F_cell", (trace.F_cell,)), ("I", (trace.intensity,)),
        ("I/steps", (trace.intensity_per_step,)), ("photons", (trace.photons,)))
    units_of = {"position": "m", "solid angle": "sr", "stol": "1/m", "a": "A", "b": "A", "c": "A"}
    for name, values in quantities:
        yield Step("pixel", name, tuple(values), units_of.get(name, ""))


def printout_divergence(plan: Plan, trace: PixelTrace, text: str) -> tuple[Divergence | None, int]:
    """The first quantity that differs from the C program's printout in its digits, and the number compared.

    Raises
    ------
    FormatError
        If ``text`` does not contain the pixel.
    """
    printed = parse_printout(text, trace.fast, trace.slow)
    number = 0
    for step in printable_steps(plan, trace):
        there = printed.get((step.stage, step.name))
        # The C program prints uninitialized memory for a structure factor that it never looked up.
        if there is None or any(value != value for value in step.values):
            continue
        number += 1
        # The rounding error of a component that should be 0 is relative to the other components.
        spare = 1e-12 * max(_sizes(step)) if any(there.allowed) else 0.0
        found = _difference(step, there.values, [most + spare for most in there.allowed], number)
        if found:
            return found, number
    return None, number
