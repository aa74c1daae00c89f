"""A bounded fan-out: threads that read, one consumer that takes what they have read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from connector_sdk.rows import Yielded

ROOM = 2 << 20
"""Bytes that wait in the queue. One item may be larger, but only where it waits alone."""
PATIENCE = 5.0
"""Seconds in which threads end after they were told to."""


class Stopped(BaseException):
    """The consumer has gone. Not an Exception, so that nobody takes it for a fault of the server."""


class Fan:
    """Threads put items, the consumer iterates. The first error of a thread ends the others, and is raised to the
    consumer after what was read before it.

    A consumer that stops taking makes the threads wait, and loses nothing. One that leaves (`close`) ends them.
    """

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._items: deque[tuple[Yielded, int]] = deque()
        self._held = 0
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._error: BaseException | None = None
        self._closed = False

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""
        with self._state:
            self._running += 1
        thread = threading.Thread(target=self._run, args=(work,), name=f"reader-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def put(self, item: Yielded, size: int) -> None:
        """For a thread: hand an item on, once there is room. Raises Stopped where nobody wants it any more."""
        with self._state:
            while self._held and self._held + size > ROOM and not self._closed:
                self._state.wait()
            self.check()
            self._items.append((item, size))
            self._held += size
            self._state.notify_all()

    def check(self) -> None:
        """For a thread that waits for something else: raises Stopped where nobody wants the result any more."""
        if self._closed:
            raise Stopped

    def __iter__(self) -> Iterator[Yielded]:
        """Items as they come, until all threads have ended."""
        while True:
            with self._state:
                while not self._items and self._running and not self._error:
                    self._state.wait()
                if not self._items:
                    if self._error:
                        raise self._error
                    return
                item, size = self._items.popleft()
                self._held -= size
                self._state.notify_all()
            yield item

    def close(self) -> None:
        """Tell the threads to end, and wait for them a while. May be called twice."""
        with self._state:
            self._closed = True
            self._items.clear()
            self._state.notify_all()
        deadline = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, work: Callable[[], None]) -> None:
        error: BaseException | None = None
        try:
            work()
        except Stopped:
            pass
        except BaseException as raised:
            error = raised
        with self._state:
            self._running -= 1
            self._error = self._error or error
            self._closed = self._closed or error is not None
            self._state.notify_all()
