"""The threads that write: tasks in order within a lane, a limit in bytes over all of them, the first error kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Task = Callable[[], None]


class Lanes:
    """`submit` hands a task to a lane and blocks while more than `limit` bytes are under way.

    After an error no further task is run; `submit` and `wait` raise it.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.count = count
        self._limit = limit
        self._queues: list[deque[tuple[int, Task]]] = [deque() for _ in range(count)]
        self._threads: list[threading.Thread | None] = [None] * count
        self._changed = threading.Condition()
        self._bytes = 0
        self._tasks = 0
        self._error: BaseException | None = None
        self._cleaning = False

    def submit(self, lane: int, size: int, task: Task) -> None:
        """Queue a task that holds `size` bytes. Raises the error of an earlier one."""
        with self._changed:
            while size and self._bytes and self._bytes + size > self._limit and not self._error:
                self._changed.wait()
            self._raise()
            self._push(lane, size, task)

    def follow(self, lane: int, task: Task) -> None:
        """Queue a task from within a lane. Never blocks; after an error it is dropped."""
        with self._changed:
            if self._error is None:
                self._push(lane, 0, task)

    def wait(self, seconds: float | None = None) -> bool:
        """Until nothing is under way: True, or False when the time is up. Raises the error of a task."""
        with self._changed:
            idle = self._changed.wait_for(lambda: not self._tasks or self._error is not None, seconds)
            self._raise()
            return idle

    def check(self) -> None:
        """Raise the error of a task, if there was one."""
        with self._changed:
            self._raise()

    def abandon(self) -> None:
        """Forget what has not begun, and all errors from here on: the lanes are only used to clean up."""
        with self._changed:
            self._cleaning = True
            for queue in self._queues:
                self._tasks -= len(queue)
                self._bytes -= sum(size for size, _ in queue)
                queue.clear()
            self._error = None

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _push(self, lane: int, size: int, task: Task) -> None:
        self._bytes += size
        self._tasks += 1
        self._queues[lane].append((size, task))
        if self._threads[lane] is None:
            thread = threading.Thread(target=self._work, args=(lane,), name=f"lane-{lane}", daemon=True)
            self._threads[lane] = thread
            thread.start()
        self._changed.notify_all()

    def _work(self, lane: int) -> None:
        queue = self._queues[lane]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: queue and self._error is None)
                size, task = queue.popleft()
            error: BaseException | None = None
            try:
                task()
            except BaseException as caught:
                error = caught
            del task  # Or the rows of the last task would stay in memory until the next one.
            with self._changed:
                self._bytes -= size
                self._tasks -= 1
                if not self._cleaning:
                    self._error = self._error or error
                self._changed.notify_all()
