"""Holds each STATE until every row that came before it is safe; then lets them go, in order, with their counts."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from connector_sdk.state import StateMessage
from connector_sdk.streams import StreamName


class Ledger:
    """Rows are covered by tickets: `open()` when the first row of a batch comes, `settle(ticket)` when all are safe.

    A STATE waits for every ticket that was opened before it came. `emit` is called with finished lines, in the order
    in which the STATEs came. May be used by several threads.
    """

    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._next = 0
        self._open: Counter[int] = Counter()
        self._since: Counter[StreamName] = Counter()

    def received(self, stream: StreamName, rows: int) -> None:
        """Rows that came, for the counts of the next STATE of their stream."""
        self._since[stream] += rows

    def open(self) -> int:
        """A ticket for rows that are about to be gathered."""
        with self._lock:
            self._open[self._next] += 1
            return self._next

    def settle(self, ticket: int) -> None:
        """All rows of this ticket are safe."""
        with self._lock:
            self._open[ticket] -= 1
            if not self._open[ticket]:
                del self._open[ticket]
            self._release()

    def hold(self, message: StateMessage) -> None:
        """A STATE that came. It leaves at once where nothing is open."""
        rows = self._count(message.scope)
        with self._lock:
            line = message.with_stats(rows)
            self._held.append((self._next, line))
            self._held_bytes += len(line)
            self._next += 1
            self._release()

    @property
    def holding(self) -> int:
        """How many STATEs wait."""
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        """How many bytes they take."""
        return self._held_bytes

    def _count(self, scope: StreamName | None) -> int:
        if scope is not None:
            return self._since.pop(scope, 0)
        rows = self._since.total()
        self._since.clear()
        return rows

    def _release(self) -> None:
        oldest = min(self._open, default=self._next)
        while self._held and self._held[0][0] < oldest:
            _, line = self._held.popleft()
            self._held_bytes -= len(line)
            self._emit(line)
