"""From libpq into a decoder: by native code where psycopg's libpq can be found in memory, else through psycopg."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from psycopg import pq

from connector_sdk import log, native
from connector_sdk.rows import Flown
from source_postgres.decode import Decodes

Pull = Callable[[], "bool | None"]
"""True when a block is full, False after a tick without that (or a signal), None when the COPY is over."""

TICK = 200
"""Milliseconds after which native code returns in any case."""
SIZE = 4 << 20
"""Bytes that flow before Python is asked again: by then it costs nothing."""


def puller(pgconn: pq.abc.PGconn, decoder: Decodes) -> Pull:
    """Feeds the decoder with the messages of the COPY that the connection is in."""
    pull = getattr(decoder, "pull", None)  # The native decoder has one; its Python twin needs none.
    library = _library() if pull else None
    if pull is None or library is None:
        return partial(_pull, pgconn, decoder)
    return partial(pull, library, pgconn, TICK)


def flowing(pgconn: pq.abc.PGconn, decoder: Decodes) -> Flowing | None:
    """As `puller`, for lines that nobody here wants to see; None where Python is needed to move them."""
    flow = getattr(decoder, "flow", None)
    library = _library() if flow else None
    return None if flow is None or library is None else Flowing(partial(flow, library, pgconn))


class Flowing:
    """Lines of one COPY on their way from the server to the output, without Python."""

    def __init__(self, flow: Callable[[int, int, int], tuple[bool, int, int, bytes]]) -> None:
        self.over = False
        self._flow = flow

    def write(self, fd: int) -> Flown:
        """For `Flow`: `SIZE` bytes, or what comes within a tick."""
        self.over, rows, size, rest = self._flow(fd, TICK, SIZE)
        return Flown(rows, size, rest)


def _pull(pgconn: pq.abc.PGconn, decoder: Decodes) -> bool | None:
    get_copy_data, feed = pgconn.get_copy_data, decoder.feed  # Looked up once: this loop runs once a row.
    deadline = time.monotonic() + TICK / 1000
    while True:
        size, message = get_copy_data(1)
        if size > 0:
            if feed(message):
                return True
        elif size < 0:
            return None
        elif not wait(pgconn, deadline - time.monotonic()):
            return False


def wait(pgconn: pq.abc.PGconn, seconds: float = TICK / 1000) -> bool:
    """Until the server has said something; false where it has not for so long."""
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    heard = bool(poll.poll(max(0.0, seconds) * 1000))
    pgconn.consume_input()
    return heard


@cache
def _library() -> Any:
    """The libpq in memory, for native code; None where there is none to be seen, or more than one."""
    try:
        maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
    except OSError:  # Not Linux.
        return None
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/libpq" in line}
    found = [path for path in paths if ".so" in Path(path).name]
    module = native.module()
    if module is None or len(found) != 1:
        return None
    try:
        return module.Libpq(found[0])
    except OSError as error:
        log.debug("%s: COPY data goes through Python, which costs 1 µs a row.", error)
        return None
