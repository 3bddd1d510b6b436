"""A process that renders and writes shards for another one: ``python -m cubragg.dataset.worker``.

Messages are pickles with their length before them: the first on the standard input is the `shard.Work`, the others are
numbers of shards; the answers on the standard output are ``("done", record)`` or ``("failed", where, traceback,
full_disk)``. When the files of a shard only have to reach the disk, ``("finishing", number)`` comes before its answer,
and the next number can be sent, for which the worker does not wait then. A worker ends when its standard input ends,
also in the middle of a shard: so it does not outlive the process that started it, however that ends.
"""

from __future__ import annotations

import errno
import functools
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

#: First word of the answer that is not the last one of a shard.
FINISHING = "finishing"
_LENGTH = struct.Struct("<Q")


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message to a stream."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message of a stream.

    Raises
    ------
    EOFError
        At its end, also in the middle of a message.
    """
    return pickle.loads(_read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0]))


def _read(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def answer(work: Any, number: int, finishing: Callable[[], None] | None = None) -> tuple[Any, ...]:
    """Compute a shard; errors become an answer. ``finishing``: see `shard.Work.compute`."""
    try:
        return ("done", work.compute(number, finishing))
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        full = code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        text = os.strerror(code) if code is not None and full else f"{type(error).__name__}: {error}"
        return ("failed", number, text, traceback.format_exc(), full)


def main() -> None:
    """Answer messages until the standard input ends."""
    # The terminal sends Ctrl-C to all of its processes; the process that started this one decides what ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    messages: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        while True:
            try:
                messages.put(receive(sys.stdin.buffer))
            except EOFError:
                os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    work = messages.get()
    while True:
        number = messages.get()
        send(answers, answer(work, number, functools.partial(send, answers, (FINISHING, number))))


if __name__ == "__main__":
    main()
