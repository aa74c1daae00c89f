"""The store of one stream: rows into one object after another, each sent while it grows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress

from connector_sdk import Batch
from destination_s3.formats import Encoder, Layout
from destination_s3.objects import Objects, Tags, Upload


class ObjectStore:
    """See `connector_sdk.Store`. One object at a time; of it, a part that fills and a part on its way are in memory."""

    def __init__(
        self, objects: Objects, layout: Layout, name: Callable[[int], str], tags: Tags, size: int, sender: Executor
    ) -> None:
        self.held = 0
        self.full = False
        self._objects = objects
        self._layout = layout
        self._name = name
        self._tags = tags
        self._size = size
        self._sender = sender
        self._count = 0
        self._current: _Open | None = None
        self.before_first: Callable[[], None] = lambda: None
        """Called once, before the first object."""

    def write(self, batch: Batch) -> None:
        if not self._layout.fits(batch):
            self.commit()
        if self._current is None:
            self._current = self._begin()
        current = self._current
        for data in current.encoder.write(batch):
            current.add(data)
        self.held, self.full = current.held, current.size >= self._size

    def _begin(self) -> _Open:
        if not self._count:
            self.before_first()
        encoder = self._layout.encoder()
        upload = self._objects.upload(self._name(self._count), self._tags)
        self._count += 1
        return _Open(upload, encoder, self._objects.part_size, self._sender)

    def commit(self) -> None:
        if self._current is not None:
            self._current.finish()
            self._current = None
        self.held, self.full = 0, False

    def abort(self) -> None:
        """Leave nothing of an object that is not whole. Never raises."""
        if self._current is not None:
            self._current.abort()
            self._current = None


class _Open:
    """An object that is being written."""

    def __init__(self, upload: Upload, encoder: Encoder, part_size: int, sender: Executor) -> None:
        self.encoder = encoder
        self.size = 0
        """Bytes so far, sent or not."""
        self._upload = upload
        self._part_size = part_size
        self._sender = sender
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._on_its_way: Future[None] | None = None

    @property
    def held(self) -> int:
        sending = self._part_size if self._on_its_way and not self._on_its_way.done() else 0
        return self._waiting_size + sending + self.encoder.held

    def add(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
            self._waiting_size += len(data)
            self.size += len(data)
            if self._waiting_size >= self._part_size:
                self._send()

    def _send(self) -> None:
        """Hand over what fills whole parts. Blocks while the part before is still on its way."""
        data = b"".join(self._waiting)
        whole = len(data) - len(data) % self._part_size
        for start in range(0, whole, self._part_size):
            self._wait()
            self._on_its_way = self._sender.submit(self._upload.part, data[start : start + self._part_size])
        self._waiting = [data[whole:]]
        self._waiting_size = len(data) - whole

    def _wait(self) -> None:
        sent, self._on_its_way = self._on_its_way, None
        if sent is not None:
            sent.result()

    def finish(self) -> None:
        for data in self.encoder.finish():
            self.add(data)
        self._wait()
        self._upload.finish(b"".join(self._waiting))

    def abort(self) -> None:
        with suppress(Exception):
            self._wait()
        self._upload.abort()
