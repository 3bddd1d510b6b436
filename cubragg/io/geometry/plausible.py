"""Checks that lengths of experiments have plausible values, which a wrong or missing unit rarely leaves."""

from __future__ import annotations

#: Smallest and largest plausible value of each kind: wavelength [A], lengths [mm].
_RANGES = {"wavelength": (0.005, 200.0), "pixel": (1e-3, 10.0), "distance": (1.0, 50_000.0), "thickness": (1e-3, 20.0)}
#: Largest thickness of NXmx files that have no sensor, because dxtbx refuses a thickness of 0 [mm].
_NO_SENSOR_MM = 2e-6
#: Units in which an implausible value may have been written, and their values in A and mm, the likelier one first.
_OTHERS = {"A": (("A", 1e-10), ("nm", 1e-9), ("m", 1e10), ("nm", 10.0), ("pm", 0.01)),
           "mm": (("um", 1e-6), ("mm", 1e-3), ("m", 1e3), ("um", 1e-3))}


def plausible(where: str, kind: str, value: float, unit: str, warnings: list[str]) -> float:
    """Return a value [``unit``: A or mm], divided or multiplied by the ratio of units where that makes it plausible.

    An implausible value that no other unit explains stays; both cases add a warning.
    """
    low, high = _RANGES[kind]
    if low <= value <= high or (kind == "thickness" and value <= _NO_SENSOR_MM):
        return value
    for _, factor in _OTHERS[unit]:
        if low <= value * factor <= high:
            warnings.append(f"{where}: a {kind} of {value:g} {unit} is implausible, its unit seems to be wrong or "
                            f"missing; {value * factor:g} {unit} is assumed")
            return value * factor
    warnings.append(f"{where}: a {kind} of {value:g} {unit} is implausible; it is used as it is")
    return value
