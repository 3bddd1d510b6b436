"""Whose light is it, by the host-compiled kernels: the account of `Attribution.everything`, as fast as the image."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from cubragg.engine import kernel_params
from cubragg.engine.host.host_engine import CpuRenderer, available_cores, first_place, place_pixel
from cubragg.engine.panel_parts import Progress, place_count
from cubragg.engine.reference.numpy_engine import Rules
from cubragg.plan.plan import RenderPlan
from cubragg.reflections.reflection_sums import SUMS, Attribution, Codes, Sums, add_up


class CpuAttribution(CpuRenderer):
    """The account of a plan, panel after panel; for plans without running products (`oversample_omega` and its kin).

    Parameters
    ----------
    plan
        Of the whole image.
    part
        Its first run; see `panel_parts`.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `CpuRenderer`.
    """

    _entry = "attribute"

    def __init__(self, plan: RenderPlan, part: RenderPlan) -> None:
        super().__init__(plan)
        self._part, self._reference = part, Attribution(part)

    @property
    def codes(self) -> Codes:
        """How reflections are numbered on the panel in turn."""
        return self._reference.codes

    def go_to(self, part: RenderPlan) -> None:
        """Go on with another panel of the same detector."""
        self._part = part
        self._reference.go_to(part)

    def everything(self, threads: int | None, progress: Progress | None = None) -> Sums:
        """The account of the panel in turn: every sample of every pixel."""
        self._kernel.threads = threads or available_cores()
        part, reference = self._part, self._reference
        first = first_place(part)
        stop = self._stop_place(part, kernel_params.mask_of(part), first)
        lone = sorted({place for place in (first, stop) if place is not None})
        kept = _without(part, lone)
        with _account(self._kernel.library) as account:
            self._sweep(kept, stop, kernel_params.mask_of(kept), (
                reference.turns, reference.codes.reach.astype(np.float64), reference.rim.view(np.uint8),
                np.array(account.value, dtype=np.uint64)), progress)
            found = _read(self._kernel.library, account)
        interpolated_to = (place_count(part) if stop is None else stop) if part.interpolate else -1
        return add_up([found, *(reference.alone(place, Rules(place <= interpolated_to, place == first, place == stop))
                                for place in lone)])


def _without(plan: RenderPlan, places: list[int]) -> RenderPlan:
    """The plan with the pixels at some places of its region masked."""
    if not places:
        return plan
    mask = np.ones(plan.shape, dtype=bool) if plan.mask is None else plan.mask.copy()
    for place in places:
        fast, slow = place_pixel(plan, place)
        mask[slow, fast] = False
    return replace(plan, mask=mask)


@contextmanager
def _account(library: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    """An empty account of `kernels/accounts.cuh`."""
    library.accounts_open.restype = ctypes.c_void_p
    account = ctypes.c_void_p(library.accounts_open())
    try:
        yield account
    finally:
        library.accounts_close(account)


def _read(library: ctypes.CDLL, account: ctypes.c_void_p) -> Sums:
    library.accounts_size.restype = ctypes.c_longlong
    count = library.accounts_size(account)
    code, values = np.zeros(count, dtype=np.int64), np.zeros((count, SUMS))
    library.accounts_read(account, ctypes.c_void_p(code.ctypes.data), ctypes.c_void_p(values.ctypes.data))
    order = np.argsort(code)
    return Sums(code[order], values[order])
