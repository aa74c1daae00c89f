"""Streams of compressed bytes."""

from __future__ import annotations

import sys
from typing import Protocol

GZIP_LEVEL = 2
"""Of igzip's four: two thirds of the way to zlib's best, at a twentieth of its cost."""
ZSTD_LEVEL = 1


class Compressor(Protocol):
    held: int
    """Bytes that it takes while it is open."""

    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes:
        """The rest. Nothing may follow."""


class Plain:
    held = 0

    def compress(self, data: bytes | memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


class _Library(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Held:
    """A compressor of a library with what it takes of memory."""

    def __init__(self, library: _Library, held: int) -> None:
        self.compress = library.compress
        self.flush = library.flush
        self.held = held


def compressor(kind: str) -> Compressor:
    """For `compression_type` of the config."""
    if kind == "GZIP":
        from isal import isal_zlib

        return _Held(isal_zlib.compressobj(GZIP_LEVEL, wbits=31), 200_000)
    if kind == "ZSTD":
        return _Held(_zstd(), 2_000_000)
    return Plain()


def _zstd() -> _Library:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdCompressor
    else:
        from backports.zstd import ZstdCompressor
    made: _Library = ZstdCompressor(level=ZSTD_LEVEL)
    return made


EXTENSIONS = {"GZIP": ".gz", "ZSTD": ".zst"}
