"""One attempt: source → airpipe → destination, from the start of both to the end of both."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from airpipe.catalog import StreamPlan
from airpipe.connectors import Image, Program
from airpipe.errors import AirpipeError, ConfigProblem, Stopped, TransientProblem
from airpipe.folder import Folder
from airpipe.messages import Side, lines, parse
from airpipe.process import Child, Ended
from airpipe.pump import DestinationGone, Pump
from airpipe.rows import changer
from airpipe.saver import Saver
from airpipe.states import Safe, StateLedger
from airpipe.statestore import Lock
from airpipe.streams import StreamName, Tally
from airpipe.words import amount, size_text, time_text

TICK = 0.2
SHOWN = 5
"""Differences of counts that are shown; the log has the others."""
LAST_WORDS = 60.0
"""Seconds that a connector has to end after its output has ended."""
ENDING = (
    (0.0, "source", "terminate"),
    (4.0, "source", "kill"),
    (6.0, "destination", "terminate"),
    (8.5, "destination", "kill"),
)
"""How both sides are ended: within ten seconds, and so that the destination can still make safe what came."""


class TimeIsUp(TransientProblem):
    """The attempt took longer than it may."""


@dataclass(slots=True)
class Limits:
    memory: int | None = None
    timeout: float | None = None


@dataclass(slots=True)
class Outcome:
    """What came of an attempt."""

    error: AirpipeError | None
    complete: set[StreamName]
    progressed: bool
    moving: float
    ended: dict[str, Ended] = field(default_factory=dict)


class Attempt:
    """`run()` once. `tell(tallies)` is called about five times a second, `log(origin, level, text)` from any thread."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        folder: Folder,
        plans: Sequence[StreamPlan],
        saver: Saver,
        lock: Lock,
        limits: Limits,
        stop: threading.Event,
        tell: Callable[[Mapping[StreamName, Tally]], None],
        log: Callable[[str, str, str], None],
        control: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._programs = programs
        self._folder = folder
        self._saver = saver
        self._lock = lock
        self._limits = limits
        self._stop = stop
        self._tell = tell
        self._log = log
        self._control = control
        self.tallies = {plan.stream: _tally(plan) for plan in plans}
        self._ledger = StateLedger(self.tallies)
        self._sides = {name: Side(name, log) for name in ("source", "destination")}
        self._safe: queue.SimpleQueue[Safe] = queue.SimpleQueue()
        self._children: dict[str, Child] = {}
        self._error: AirpipeError | None = None
        self._destination_first = False
        self._ended_well = False
        self._ending_since: float | None = None
        self._steps = list(ENDING)
        self._started = time.monotonic()
        self._moving = 0.0
        self._answers_ended = 0.0
        self._progressed = False
        self._problems = 0
        self._cannot_save = False
        self._torn = False

    # From start to end

    def run(self) -> Outcome:
        self._start()
        try:
            while not self._over():
                self._look()
        finally:
            for child in self._children.values():
                child.close()
            for thread in self._threads:
                thread.join()
        self._take_answers()
        self._save(now=True)
        self._tell(self.tallies)
        ended = {name: child.ended or Ended(-9) for name, child in self._children.items()}
        complete = self._complete(ended)
        error = self._why(ended, complete)
        return Outcome(error, complete, self._progressed, self._moving, ended)

    def _start(self) -> None:
        memory, held = self._limits.memory, self._lock.held
        sink = self._programs["destination"].command(
            "write", self._folder, ["destination-config", "destination-catalog"], memory
        )
        source = self._programs["source"].command(
            "read", self._folder, ["source-config", "source-catalog", "source-state"], memory
        )
        self._children["destination"] = Child(sink, stdin=True, memory=memory, held=held)
        self._children["source"] = Child(source, memory=memory, held=held)
        work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(self._move, ()), (self._hear_answers, ())]
        work += [(self._sides[name].hear_errors, (child.stderr,)) for name, child in self._children.items()]
        self._threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in work]
        for thread in self._threads:
            thread.start()

    def _over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads) and all(
            child.ended for child in self._children.values()
        )

    def _look(self) -> None:
        """One turn of the watch: answers, saves, progress, time, ends."""
        with suppress(queue.Empty):
            self._take(self._safe.get(timeout=TICK))
        self._take_answers()
        self._tell(self.tallies)
        self._save()
        try:
            self._lock.check()
        except AirpipeError as error:
            self._end(error)
        if self._stop.is_set():
            self._end(Stopped("Stopped."))
        if self._limits.timeout and time.monotonic() - self._started > self._limits.timeout:
            self._end(TimeIsUp(f"The attempt took longer than its timeout, {time_text(self._limits.timeout)}."))
        self._look_at_ends()

    def _save(self, *, now: bool = False) -> None:
        """What cannot be saved ends the attempt; it is tried once more at its end."""
        if self._cannot_save and not now:
            return
        try:
            self._saver.save(now=now)
        except AirpipeError as error:
            if not self._cannot_save:
                self._log("airpipe", "WARN", error.message)
            self._cannot_save = True
            self._end(error)

    def _end(self, why: AirpipeError) -> None:
        """End both sides, step by step. The first reason counts."""
        if self._ending_since is None:
            self._ending_since = time.monotonic()
            self._error = self._error or why

    def _blame_destination(self, why: str) -> None:
        """The source's end is no more than a consequence, unless both are being ended already."""
        if self._ending_since is None:
            self._destination_first = True
            self._end(TransientProblem(why))

    def _look_at_ends(self) -> None:
        source, destination = self._children["source"], self._children["destination"]
        now = time.monotonic()
        if destination.ended and not source.ended:
            self._blame_destination("The destination ended before the source.")
        if self._answers_ended and not destination.ended and now - self._answers_ended > LAST_WORDS:
            destination.kill()
        while self._ending_since is not None and self._steps and now - self._ending_since >= self._steps[0][0]:
            _, side, how = self._steps.pop(0)
            getattr(self._children[side], how)()

    # The thread of the rows

    def _move(self) -> None:
        """Everything from the source to the destination; then, only after a source that ended well, COMPLETE."""
        source, destination = self._children["source"], self._children["destination"]
        assert destination.stdin is not None
        pump = Pump(source.stdout.fileno(), destination.stdin.fileno(), self.tallies, self._message)
        try:
            pump.run()
            self._torn = pump.torn
            if self._source_ended_well() and not pump.torn and not self._is_being_ended():
                pump.write([*self._ledger.close(self._unstated()), *map(_complete_line, self._whole())])
                self._ended_well = True
        except DestinationGone:
            self._blame_destination("The destination takes nothing any more.")
        except AirpipeError as error:
            self._error = self._error or error
            source.terminate()
        except Exception as error:
            self._error = self._error or TransientProblem(f"A bug in airpipe: {type(error).__name__}: {error}")
            source.terminate()
        finally:
            source.stdout.close()
            with suppress(OSError):
                destination.stdin.close()
            self._moving = time.monotonic() - pump.began

    def _is_being_ended(self) -> bool:
        """A source that was told to end may do so with 0, as one that has read everything."""
        return self._ending_since is not None or self._stop.is_set()

    def _source_ended_well(self) -> bool:
        source = self._children["source"]
        ended = source.wait(LAST_WORDS)
        if ended is None:
            source.kill()
            ended = source.wait()
        return ended is not None and ended.code == 0

    def _whole(self) -> list[StreamName]:
        return [stream for stream, tally in self.tallies.items() if tally.status != "INCOMPLETE"]

    def _unstated(self) -> list[StreamName]:
        """The streams whose last rows no STATE covers."""
        return [stream for stream, tally in self.tallies.items() if tally.since or not tally.stated]

    def _message(self, line: bytes) -> bytes | None:
        """A line of the source that is no RECORD. Returns what the destination shall hear of it."""
        message = parse(line)
        if message is None:
            return None
        match message["type"]:
            case "STATE":
                return self._state(line)
            case "TRACE":
                self._trace(message)
            case "CONTROL":
                self._control("source", message)
            case _:
                self._sides["source"].hear(message)
        return None

    def _state(self, line: bytes) -> bytes | None:
        try:
            return self._ledger.take(line)
        except (ValueError, KeyError, TypeError) as error:
            raise TransientProblem(f"The source gave a STATE that cannot be understood: {error}") from None

    def _trace(self, message: dict[str, Any]) -> None:
        """Statuses and estimates. What cannot be understood is told, and does no harm."""
        trace = message.get("trace") or {}
        try:
            if body := trace.get("stream_status"):
                if tally := self.tallies.get(StreamName.of(body["stream_descriptor"])):
                    tally.status = str(body["status"])
            elif body := trace.get("estimate"):
                tally = self.tallies.get(StreamName.of(body)) if "name" in body else None
                if tally is not None and body.get("row_estimate") is not None:
                    tally.estimate = int(body["row_estimate"])
            else:
                self._sides["source"].hear(message)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._log("source", "WARN", f"a TRACE that cannot be understood: {json.dumps(message, ensure_ascii=False)}")

    # The thread of the answers

    def _hear_answers(self) -> None:
        try:
            for line in lines(self._children["destination"].stdout):
                message = parse(line)
                if message is None:
                    continue
                if message["type"] == "STATE":
                    self._answer(line)
                elif message["type"] == "CONTROL":
                    self._control("destination", message)
                else:
                    self._sides["destination"].hear(message)
        except AirpipeError as error:
            self._end(error)
        except Exception as error:
            self._end(TransientProblem(f"The destination gave an answer that cannot be understood: {error}"))
        finally:
            self._answers_ended = time.monotonic()

    def _answer(self, line: bytes) -> None:
        safe = self._ledger.answered(line)
        if safe is not None:
            self._safe.put(safe)

    def _take_answers(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(self._safe.get_nowait())

    def _take(self, safe: Safe) -> None:
        self._progressed |= self._saver.add([safe.state])
        if safe.problem:
            self._problems += 1
            self._log("airpipe", "WARN" if self._problems <= SHOWN else "DEBUG", safe.problem)

    # What came of it

    def _complete(self, ended: Mapping[str, Ended]) -> set[StreamName]:
        """The streams of which all rows are safe, and that the destination has closed."""
        if not self._ended_well or ended["destination"].code != 0:
            return set()
        waiting = self._ledger.waiting
        shared = any(pending.scope is None for pending in waiting)
        unanswered = {pending.scope for pending in waiting}
        return set() if shared else {stream for stream in self._whole() if stream not in unanswered}

    def _why(self, ended: Mapping[str, Ended], complete: set[StreamName]) -> AirpipeError | None:
        """The reason of a failure: the side that ended first is the one to ask."""
        for text in self._ledger.told[:SHOWN]:
            self._log("airpipe", "WARN", text)
        for name in ended:
            if self._exceeded_memory(name, ended[name]):
                limit = size_text(self._limits.memory or 0)
                return ConfigProblem(f"The {name} used more than sync_config.memory_limit, {limit}: raise it.")
        if isinstance(self._error, TimeIsUp) and len(complete) == len(self.tallies):
            return None  # In its last moments it was done: to do it once more would only write all rows again.
        if self._error is not None and (isinstance(self._error, Stopped) or not self._destination_first):
            return self._error
        for name in ["destination"] if self._destination_first else ["source", "destination"]:
            if ended[name].code != 0:
                return self._blamed(name, ended[name])
        if self._error is not None:
            return self._error
        if len(complete) < len(self.tallies):
            return self._incomplete(complete)
        return None

    def _exceeded_memory(self, name: str, ended: Ended) -> bool:
        if ended.why == "memory":
            return True
        is_killed = isinstance(self._programs[name], Image) and ended.code == Image.OUT_OF_MEMORY
        return is_killed and self._limits.memory is not None and self._ending_since is None

    def _blamed(self, name: str, ended: Ended) -> AirpipeError:
        side = self._sides[name]
        if trouble := side.worst:
            stream = f"{trouble.stream}: " if trouble.stream and trouble.stream not in trouble.message else ""
            return (ConfigProblem if trouble.is_config else TransientProblem)(f"The {name}: {stream}{trouble.message}")
        return TransientProblem(f"The {name} {ended}{side.last_words}")

    def _incomplete(self, complete: set[StreamName]) -> AirpipeError:
        names = [str(stream) for stream in self.tallies if stream not in complete]
        said = self._sides["source"].worst or self._sides["destination"].worst
        kind = ConfigProblem if said and said.is_config else TransientProblem
        return kind(f"Not complete: {', '.join(names[:5])}: {said.message if said else self._why_unsaid()}")

    def _why_unsaid(self) -> str:
        if self._torn:
            return "the source ended within a message"
        if waiting := len(self._ledger.waiting):
            return f"the destination ended without an answer to {amount(waiting, 'state')}"
        return "the source did not finish, and did not say why"


def _tally(plan: StreamPlan) -> Tally:
    return Tally(plan.stream, transform=changer(plan.exclude, plan.rename) if plan.changes_rows else None)


def _complete_line(stream: StreamName) -> bytes:
    status = {"stream_descriptor": stream.descriptor, "status": "COMPLETE"}
    trace = {"type": "STREAM_STATUS", "emitted_at": time.time_ns() // 1_000_000, "stream_status": status}
    return json.dumps({"type": "TRACE", "trace": trace}, ensure_ascii=False).encode() + b"\n"
