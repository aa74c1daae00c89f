"""What a source yields, as messages of one stream: envelopes, counts, checkpoints, RUNNING at the first row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from connector_sdk import protocol
from connector_sdk.envelope import Envelope, record_envelope
from connector_sdk.meter import Meter
from connector_sdk.output import Output
from connector_sdk.rows import Checkpoint, ConfigUpdate, Estimate, Flow, Flown, Lines, Records, Row, Yielded
from connector_sdk.streams import StreamName
from connector_sdk.values import carry, repaired


class Emitter:
    """Writes the rows of one stream. `rows` counts them since `told()` was last called."""

    def __init__(self, stream: StreamName, output: Output, meter: Meter) -> None:
        self.stream = stream
        self.rows = 0
        self._output = output
        self._meter = meter
        self._envelope: Envelope | None = None
        self._envelope_at = 0
        self._running = False

    def emit(self, item: Yielded) -> Checkpoint | None:
        """Write one item. A checkpoint is handed back: whose state it becomes, the caller knows."""
        match item:
            case Records():
                self._count(item.count, len(item.data))
                self._output.data(item.data)
            case Lines():
                self._count(item.count, len(item.data))
                self._output.data(self._enveloped(item))
            case Flow():
                self.running()
                self._output.flow(partial(self._flown, item.write))
            case Checkpoint():
                return item
            case Estimate():
                self._output.message(protocol.estimate_line(self.stream, item))
            case ConfigUpdate():
                self._output.control(item.config)
            case Row():
                self._row(item.data, item)
            case _:
                self._row(item, None)
        return None

    def running(self) -> None:
        """Say RUNNING, once: at the first row or before a flow, else before the end of the stream."""
        if not self._running:
            self._running = True
            self._output.message(protocol.status_line(self.stream, "RUNNING"))

    def told(self) -> int:
        """The rows since the last call, for the counts of a STATE."""
        rows, self.rows = self.rows, 0
        return rows

    def _count(self, rows: int, size: int) -> None:
        self.running()
        self.rows += rows
        self._meter.add(rows, size)

    def _flown(self, write: Callable[[int], Flown], fd: int) -> bytes:
        rows, size, rest = write(fd)
        self._count(rows, size)
        return rest

    def _row(self, data: Mapping[str, Any], row: Row | None) -> None:
        carried = carry(data)
        if isinstance(carried, Row):
            row = Row(carried.data, carried.changes + (row.changes if row else ()))
            data = row.data
        envelope = self._now()
        self._count(1, 0)
        try:
            self._meter.bytes += self._output.row(envelope.head, data, _tail(envelope, row))
        except (UnicodeEncodeError, TypeError):
            repair = repaired(data, protocol.encoder.encode)
            row = Row(repair.data, repair.changes + (row.changes if row else ()))
            self._output.row(envelope.head, row.data, _tail(envelope, row))

    def _enveloped(self, lines: Lines) -> bytes:
        head, tail, *_ = self._now()
        end = tail + b"\n"
        return head + lines.data[:-1].replace(b"\n", end + head) + end if lines.data else b""

    def _now(self) -> Envelope:
        """The envelope of this millisecond."""
        now = protocol.now_ms()
        if self._envelope is None or now != self._envelope_at:
            self._envelope, self._envelope_at = record_envelope(self.stream), now
        return self._envelope


def _tail(envelope: Envelope, row: Row | None) -> bytes:
    if row is None or not row.changes:
        return envelope.tail
    return envelope.meta_head + protocol.changes_json(row.changes) + envelope.meta_tail
