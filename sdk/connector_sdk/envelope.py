"""What stands around a row in a RECORD message, for those who have the row as JSON already."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from connector_sdk.streams import StreamName


class Envelope(NamedTuple):
    """A RECORD line is `head + row + tail + b"\\n"`; with losses `head + row + changes(...) + b"\\n"`.

    `head` carries `emitted_at`: make a new envelope for each block of rows.
    """

    head: bytes
    tail: bytes
    meta_head: bytes
    """A row with losses ends in `meta_head + <JSON array of changes> + meta_tail`."""
    meta_tail: bytes


def record_envelope(stream: StreamName) -> Envelope:
    """The bytes around a row of this stream, emitted now."""
    now = time.time_ns() // 1_000_000
    return Envelope(b'%b%d,"data":' % (_before_time(stream), now), b"}}", b',"meta":{"changes":', b"}}}")


@lru_cache(maxsize=64)
def _before_time(stream: StreamName) -> bytes:
    """Kept, since an envelope is made for each block of rows."""
    namespace = b'"namespace":%b,' % msgspec.json.encode(stream.namespace) if stream.namespace is not None else b""
    return b'{"type":"RECORD","record":{"stream":%b,%b"emitted_at":' % (msgspec.json.encode(stream.name), namespace)
