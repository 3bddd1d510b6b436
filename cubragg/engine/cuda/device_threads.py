"""Threads that render on several GPUs: parts of one image, or images in order.

Python waits for a GPU between launches, so each GPU has a thread of its own. Progress is reported in the thread of the
caller, and an error or Ctrl-C there ends the others after the launch in work.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from typing import Generic, TypeVar

from cubragg.engine.panel_loop import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Yields one result for each item, in order, and reports the progress of the current one.
Worker = Callable[[Iterator[Item], Progress], Generator[Result, None, None]]

#: Time between reports of the progress of one image [s].
_REPORT_S = 0.1
#: Results of a worker that wait for those of others.
_AHEAD = 2


class _Stopped(BaseException):
    """Ends the work of a thread whose result is not needed any more."""


def together(calls: Sequence[Callable[[Progress], object]], progress: Progress | None, total: int) -> None:
    """Make calls, each in a thread of its own, and wait for all of them; at the first error the others end.

    Parameters
    ----------
    calls
        Called with a function to which they report their number of pixels.
    progress, total
        Called with the sum of these numbers, and ``total``.
    """
    done, stop = [0] * len(calls), threading.Event()

    def report(number: int, pixels: int, _: int) -> None:
        if stop.is_set():
            raise _Stopped
        done[number] = pixels

    with ThreadPoolExecutor(len(calls)) as threads:
        running: set[Future[object]] = {threads.submit(call, partial(report, number))
                                        for number, call in enumerate(calls)}
        try:
            while running:
                ended, running = wait(running, _REPORT_S, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                if progress is not None:
                    progress(sum(done), total)
        finally:
            stop.set()


def in_order(items: Iterator[Item], workers: Sequence[Worker[Item, Result]], progress: Progress | None
             ) -> Iterator[Result]:
    """Yield the results of items in their order; each worker takes the next item when it is ready for one.

    Parameters
    ----------
    items
        Iterated by one worker at a time; a worker may take an item before it yields the result of the one before.
    workers
        Each runs in a thread of its own, at most `_AHEAD` results ahead of what is yielded.
    progress
        Called with the progress of the worker whose result is yielded next.
    """
    yield from _InOrder(items, workers).results(progress)


class _InOrder(Generic[Item, Result]):
    """The state of `in_order`; ``_changed`` guards it."""

    def __init__(self, items: Iterator[Item], workers: Sequence[Worker[Item, Result]]) -> None:
        self._items, self._next = items, threading.Lock()
        self._changed = threading.Condition()
        self._takers: deque[int] = deque()  # the worker of each item that has been taken, but not yielded
        self._results: list[deque[Result]] = [deque() for _ in workers]
        self._progress: list[tuple[int, int] | None] = [None] * len(workers)
        self._errors: dict[int, BaseException] = {}
        self._working = set(range(len(workers)))
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, args=(number, worker), daemon=True)
                         for number, worker in enumerate(workers)]

    def results(self, progress: Progress | None) -> Iterator[Result]:
        """Yield the results, and raise the error of a worker in place of its first one that is missing."""
        for thread in self._threads:
            thread.start()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._takers or not self._working)
                    if not self._takers:
                        break
                    worker = self._takers.popleft()
                yield self._result(worker, progress)
            for error in self._errors.values():
                raise error
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in self._threads:
                thread.join()

    def _result(self, worker: int, progress: Progress | None) -> Result:
        """Wait for the next result of a worker."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._results[worker] or self._progress[worker]
                                       or worker not in self._working)
                reported, self._progress[worker] = self._progress[worker], None
                result = self._results[worker].popleft() if self._results[worker] else None
                if result is None and worker not in self._working:
                    raise self._errors[worker]
                self._changed.notify_all()
            if progress is not None and reported is not None:
                progress(*reported)
            if result is not None:
                return result

    def _work(self, number: int, worker: Worker[Item, Result]) -> None:
        """Run a worker until there is no item."""
        results = worker(self._take(number), partial(self._report, number))
        try:
            with closing(results):
                for result in results:
                    with self._changed:
                        self._results[number].append(result)
                        self._changed.notify_all()
                        self._changed.wait_for(lambda: self._stopped or len(self._results[number]) < _AHEAD)
                        if self._stopped:
                            return
        except _Stopped:
            pass
        except BaseException as error:
            self._errors[number] = error
        finally:
            with self._changed:
                self._working.discard(number)
                self._changed.notify_all()

    def _take(self, number: int) -> Iterator[Item]:
        while True:
            with self._next:
                if self._stopped or self._errors:
                    return
                try:
                    item = next(self._items)
                except StopIteration:
                    return
                with self._changed:
                    self._takers.append(number)
                    self._changed.notify_all()
            yield item

    def _report(self, number: int, done: int, total: int) -> None:
        if self._stopped:
            raise _Stopped
        with self._changed:
            self._progress[number] = done, total
            self._changed.notify_all()
