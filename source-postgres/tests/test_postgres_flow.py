"""Lines that flow from the server to the output without Python: the bytes that Python would write, whoever reads."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count

import psycopg
import pytest

from connector_parts.postgres import Database
from connector_sdk import Envelope, native
from connector_sdk.output import Output, ReaderGone
from connector_sdk.rows import Flow, Flown
from connector_sdk.schema import BOOLEAN, INTEGER, STRING
from source_postgres import pull
from source_postgres.copy import copy, flow
from source_postgres.decode import BLOCK, CopyError, Decoder, Decodes
from source_postgres.types import Column, Layout

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native part is not there or switched off")

COLUMNS = [Column("id", INTEGER, Layout("int4")), Column("pad", STRING, Layout("text"))]
ROWS = "SELECT g, repeat(md5(g::text), g % 60) FROM generate_series(1, 20000) g"
PLAIN = Envelope(b'{"d":', b"}", b"", b"")


def decoder_of(columns: list[Column] = COLUMNS, envelope: Callable[[], Envelope] = lambda: PLAIN) -> Decodes:
    module = native.module()
    assert module is not None
    made: Decodes = module.CopyDecoder(columns, envelope, 0, BLOCK, CopyError)
    return made


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with closing(database.connect()) as connection:
        yield connection


class Sink:
    """An output, and what a reader has taken from it. The reader is handed each piece before it takes the next."""

    def __init__(self, look: Callable[[bytes], None]) -> None:
        self._reading, self._writing = os.pipe()
        self._look = look
        self.output = Output(self._writing)
        self.rows = 0
        self.size = 0
        self.took = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        pieces = []
        with suppress(EOFError):
            while piece := os.read(self._reading, 1 << 16):
                pieces.append(piece)
                self._look(piece)
        os.close(self._reading)
        self.took = b"".join(pieces)

    def take(self, items: Iterator[object]) -> None:
        for item in items:
            assert isinstance(item, Flow)
            self.output.flow(partial(self._counted, item.write))
        self.output.flush()

    def _counted(self, write: Callable[[int], Flown], fd: int) -> bytes:
        rows, size, rest = write(fd)
        self.rows += rows
        self.size += size
        return rest

    def end(self) -> None:
        """The reader sees the end. The number stays taken: an output may still have something for it, which would
        come out of the pipe of the next test.
        """
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._writing)
        self._reader.join()


@contextmanager
def sink(look: Callable[[bytes], None] = lambda piece: None) -> Iterator[Sink]:
    made = Sink(look)
    try:
        yield made
    finally:
        made.end()


def wanted(connection: psycopg.Connection) -> bytes:
    """What the Python decoder makes of it, without a flow."""
    return b"".join(lines for lines, _ in copy(connection, ROWS, Decoder(COLUMNS, lambda: PLAIN)))


def stops_once() -> Callable[[bytes], None]:
    """A reader that takes nothing for longer than native code may stay away."""
    pauses = iter([0.0] * 20 + [3 * pull.TICK / 1000])
    return lambda piece: time.sleep(next(pauses, 0.0))  # The stop is what is tested.


@pytest.mark.parametrize(
    "look",
    [lambda piece: None, lambda piece: time.sleep(0.002), stops_once()],  # Readers of three speeds.
    ids=["quick", "slow", "stops"],
)
def test_the_lines_are_those_of_the_twin(connection: psycopg.Connection, look: Callable[[bytes], None]) -> None:
    expected = wanted(connection)
    with sink(look) as to:
        to.take(flow(connection, ROWS, decoder_of()))
    assert to.took == expected
    assert (to.rows, to.size) == (20_000, len(expected))


@pytest.fixture
def alarms() -> Iterator[None]:
    """A signal now and then."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarms")
def test_signals_tear_nothing(connection: psycopg.Connection) -> None:
    """Each ends a wait or a write early: what is left of the block waits for the next one who writes."""
    expected = wanted(connection)
    with sink(lambda piece: time.sleep(0.001)) as to:  # A slow reader, so that writes are cut short.
        to.take(flow(connection, ROWS, decoder_of()))
    assert to.took == expected
    assert to.rows == 20_000


def test_messages_come_between_whole_lines(connection: psycopg.Connection) -> None:
    """Another thread has something to say while a slow reader makes blocks wait."""
    over = threading.Event()
    with sink(lambda piece: time.sleep(0.001)) as to:  # A slow reader, so that writes are cut short.

        def talk() -> None:
            while not over.wait(0.001):
                to.output.message(b"a message\n")

        talker = threading.Thread(target=talk)
        talker.start()
        to.take(flow(connection, ROWS, decoder_of()))
        over.set()
        talker.join()
    lines = to.took.splitlines(keepends=True)
    assert b"a message\n" in lines
    assert b"".join(line for line in lines if line != b"a message\n") == wanted(connection)


@pytest.mark.usefixtures("alarms")
def test_a_signal_ends_the_wait_for_a_reader_that_takes_nothing(connection: psycopg.Connection) -> None:
    """Or nobody could ever end us."""
    expected = wanted(connection)
    reading, writing = os.pipe()
    item = next(flow(connection, ROWS, decoder_of()))
    assert isinstance(item, Flow)
    rows = size = 0
    while not (flown := item.write(writing)).rest:  # A signal before the first row ends it as well.
        rows, size = rows + flown.rows, size + flown.size
    os.close(writing)
    with open(reading, "rb") as written:
        whole = written.read() + flown.rest
    assert flown.rest
    assert whole == expected[: len(whole)]
    assert (whole.count(b"\n"), len(whole)) == (rows + flown.rows, size + flown.size)


def test_a_reader_that_has_gone(connection: psycopg.Connection) -> None:
    def leave(piece: bytes) -> None:
        raise EOFError

    with sink(leave) as to, pytest.raises(ReaderGone):
        to.take(flow(connection, ROWS, decoder_of()))


def test_a_disk_that_is_full(connection: psycopg.Connection) -> None:
    with open("/dev/full", "wb") as full:
        output = Output(full.fileno())
        with pytest.raises(ReaderGone, match="No space left"):
            for item in flow(connection, ROWS, decoder_of()):
                assert isinstance(item, Flow)
                output.flow(lambda fd, write=item.write: write(fd).rest)  # type: ignore[misc]


def test_what_was_written_before_bad_bytes_is_counted(connection: psycopg.Connection) -> None:
    """Rows that nobody knows of would be read twice."""
    query = "SELECT CASE WHEN g < 100000 THEN '\\x01'::bytea ELSE '\\x0102' END FROM generate_series(1, 200000) g"
    decoder = decoder_of([Column("b", BOOLEAN, Layout("bool"))])
    with sink() as to, pytest.raises(CopyError, match="column b"):
        try:
            to.take(flow(connection, query, decoder))
        finally:
            to.output.flush()
    assert to.rows == to.took.count(b"\n") == 99_999


def test_times_go_on(connection: psycopg.Connection) -> None:
    """Rows that come later say so: an envelope is no older than the call that wrote it."""
    numbers = count()
    decoder = decoder_of(envelope=lambda: Envelope(b"%d " % next(numbers), b"", b"", b""))
    query = "SELECT g, repeat('x', 20000) || pg_sleep(0.3) FROM generate_series(1, 3) g"
    with sink() as to:
        to.take(flow(connection, query, decoder))
    assert len({line.split(b" ")[0] for line in to.took.splitlines()}) > 1
