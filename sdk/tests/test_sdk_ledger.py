"""The ledger: whatever the order of rows, STATEs and safe batches, a STATE never leaves before its rows are safe."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from connector_sdk.ledger import Ledger
from connector_sdk.state import StateMessage, parse_state
from connector_sdk.streams import StreamName

STREAMS = [StreamName(None, "a"), StreamName("", "a"), StreamName("n", "b")]
names = st.sampled_from(STREAMS)


def message(number: int, stream: StreamName | None) -> StateMessage:
    state: dict[str, Any] = {"type": "GLOBAL", "global": {}, "id": number}
    if stream is not None:
        descriptor = {"name": stream.name} | ({"namespace": stream.namespace} if stream.namespace is not None else {})
        state = {"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": {}}, "id": number}
    return parse_state(json.dumps({"type": "STATE", "state": state}).encode())


class LedgerMachine(RuleBasedStateMachine):
    """Rows come, are gathered under tickets and made safe in any order; STATEs come in between."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.out: list[tuple[int, float]] = []
        self.ledger = Ledger(self._emit)
        self.unsafe: dict[int, int] = {}
        self.needs: list[set[int]] = []
        """For each STATE, the batches that were not safe when it came."""
        self.counts: list[int] = []
        self.rows: dict[StreamName, int] = {}
        self.batches = 0

    def _emit(self, line: bytes) -> None:
        state = json.loads(line)["state"]
        self.out.append((state["id"], state["destinationStats"]["recordCount"]))

    @rule(target=tickets, stream=names, rows=st.integers(1, 5))
    def gather(self, stream: StreamName, rows: int) -> tuple[int, int]:
        self.ledger.received(stream, rows)
        self.rows[stream] = self.rows.get(stream, 0) + rows
        ticket = self.ledger.open()
        self.batches += 1
        self.unsafe[self.batches] = ticket
        return self.batches, ticket

    @precondition(lambda self: self.unsafe)
    @rule(stream=names, rows=st.integers(1, 5))
    def gather_more_under_an_open_ticket(self, stream: StreamName, rows: int) -> None:
        """A batch that is not full yet takes rows from after a STATE: that is why STATEs wait for older tickets."""
        self.ledger.received(stream, rows)
        self.rows[stream] = self.rows.get(stream, 0) + rows

    @rule(batch=consumes(tickets))
    def settle(self, batch: tuple[int, int]) -> None:
        number, ticket = batch
        del self.unsafe[number]
        self.ledger.settle(ticket)

    @rule(stream=names)
    def state_of_a_stream(self, stream: StreamName) -> None:
        self.needs.append(set(self.unsafe))
        self.counts.append(self.rows.pop(stream, 0))
        self.ledger.hold(message(len(self.needs) - 1, stream))

    @rule()
    def state_of_all(self) -> None:
        self.needs.append(set(self.unsafe))
        self.counts.append(sum(self.rows.values()))
        self.rows.clear()
        self.ledger.hold(message(len(self.needs) - 1, None))

    @invariant()
    def no_state_has_left_too_early(self) -> None:
        for number, _ in self.out:
            assert not self.needs[number] & self.unsafe.keys()

    @invariant()
    def states_leave_in_order_and_as_soon_as_they_may(self) -> None:
        assert [number for number, _ in self.out] == list(range(len(self.out)))
        waiting = self.needs[len(self.out) :]
        assert self.ledger.holding == len(waiting)
        if waiting:
            assert waiting[0] & self.unsafe.keys(), "the next one waits for nothing"

    @invariant()
    def counts_add_up(self) -> None:
        assert [count for _, count in self.out] == self.counts[: len(self.out)]

    def teardown(self) -> None:
        for ticket in self.unsafe.values():
            self.ledger.settle(ticket)
        assert len(self.out) == len(self.needs)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_many_threads_settle_while_states_come() -> None:
    out: list[int] = []
    safe: set[int] = set()
    too_early: list[int] = []

    def emit(line: bytes) -> None:
        number = json.loads(line)["state"]["id"]
        out.append(number)
        if not set(range(number)) <= safe:
            too_early.append(number)

    ledger = Ledger(emit)
    handed: list[tuple[int, int]] = []
    done = threading.Event()

    def settle() -> None:
        while not (done.is_set() and not handed):
            try:
                number, ticket = handed.pop(random.randrange(max(len(handed), 1)))
            except (IndexError, ValueError):
                continue
            safe.add(number)
            ledger.settle(ticket)

    threads = [threading.Thread(target=settle) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(400):
        ledger.received(STREAMS[0], 1)
        handed.append((number, ledger.open()))
        ledger.hold(message(number + 1, STREAMS[0]))
    done.set()
    for thread in threads:
        thread.join()
    assert not too_early
    assert out == list(range(1, 401))
