"""Threads that render blocks of an image, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Workers:
    """A pool of threads for an image, which keep their workspaces from panel to panel; one thread is the caller's."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def in_order(self, function: Callable[[A], R], arguments: Iterable[A]) -> Generator[R, None, None]:
        """Map a function over arguments, with results in order, a few calls ahead; cancels pending calls on close."""
        if self._pool is None:
            yield from map(function, arguments)
            return
        pending: deque[Future[R]] = deque()
        try:
            for argument in arguments:
                pending.append(self._pool.submit(function, argument))
                if len(pending) > 2 * self._count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            wait([future for future in pending if not future.cancel()])
