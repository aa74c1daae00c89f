"""The fan-out: bounded, in order for one thread, and quick to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from connector_parts.postgres import Database
from connector_sdk import Records
from connector_sdk.rows import Yielded
from source_postgres.fan import ROOM, Fan

BLOCK = ROOM // 4


def item(number: int) -> Records:
    return Records(b"%d\n" % number, 1)


def putting(fan: Fan, wanted: range, size: int) -> Callable[[], None]:
    """Work that puts these."""

    def work() -> None:
        for number in wanted:
            fan.put(item(number), size)

    return work


def numbers(items: list[Yielded]) -> list[int]:
    return [int(entry.data) for entry in items if isinstance(entry, Records)]


def test_all_items_come_and_those_of_a_thread_in_order() -> None:
    fan = Fan()
    for first in (0, 100, 200):
        fan.start(putting(fan, range(first, first + 100), BLOCK))
    got = numbers(list(fan))
    assert sorted(got) == list(range(300))
    for first in (0, 100, 200):
        assert [n for n in got if first <= n < first + 100] == list(range(first, first + 100))


def test_what_waits_is_bounded_in_bytes() -> None:
    fan = Fan()
    highest = 0

    def work() -> None:
        nonlocal highest
        for number in range(50):
            fan.put(item(number), BLOCK)
            highest = max(highest, fan._held)

    fan.start(work)
    fan.start(work)
    taken: list[Yielded] = []
    for entry in fan:
        time.sleep(0.001)
        taken.append(entry)
    assert len(taken) == 100
    assert highest <= ROOM


def test_an_item_larger_than_the_room_passes_alone() -> None:
    fan = Fan()
    fan.start(putting(fan, range(3), ROOM * 3))
    assert numbers(list(fan)) == [0, 1, 2]


def test_an_error_comes_after_what_was_read_before_it_and_ends_the_others() -> None:
    fan = Fan()
    ended = threading.Event()

    def fails() -> None:
        fan.put(item(1), 1)
        raise ValueError("broken")

    def goes_on() -> None:
        try:
            while True:
                fan.put(item(2), BLOCK)
        finally:
            ended.set()

    fan.start(goes_on)
    fan.start(fails)
    got: list[Yielded] = []
    with pytest.raises(ValueError, match="broken"):
        for entry in fan:
            got.append(entry)
    assert 1 in numbers(got)
    assert ended.wait(5)


def test_close_ends_threads_that_wait_for_room() -> None:
    fan = Fan()
    fan.start(putting(fan, range(1000), BLOCK))
    assert numbers([next(iter(fan))]) == [0]
    fan.close()
    assert not any(thread.is_alive() for thread in fan._threads)
    fan.close()


def test_a_slow_query_hands_on_what_there_is_and_is_cancelled(database: Database, reader_of: Any) -> None:
    """Rows do not wait for a block to fill, and a reader that leaves does not wait for the query."""
    database.execute(
        "create table t (id int, pad text); alter table t alter column pad set storage external;"
        "insert into t select g, repeat('x', 30000) from generate_series(1, 2) g;"
        "create view slow as select id, pad, case when id = 2 then pg_sleep(600) end::text as slept from t"
    )
    items = reader_of(database).start("slow")
    first = next(entry for entry in items if isinstance(entry, Records))
    assert first.count == 1
    items.close()
    asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    deadline = time.monotonic() + 20
    while database.execute(asleep) != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
