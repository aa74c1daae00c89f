"""A run of a pipeline: both sides are asked, streams and modes chosen, then attempts until it is done or hopeless."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from airpipe import catalog
from airpipe.attempt import Attempt, Limits, Outcome
from airpipe.catalog import Plan, StreamPlan
from airpipe.connectors import Program
from airpipe.errors import AirpipeError, Stopped, TransientProblem
from airpipe.events import Event, Finished, Log, Planned, Progress, Retrying, Saved, Started, StreamReport
from airpipe.folder import Folder
from airpipe.logs import LEVELS, RunLog
from airpipe.mask import Mask, masking, secrets_in
from airpipe.pipeline import Loaded
from airpipe.questions import Questions, programs
from airpipe.saver import Saver
from airpipe.statestore import Lock, Store, open_store
from airpipe.streams import StreamName, Tally
from airpipe.words import seconds, size

TELL = 0.5
"""Seconds between two Progress events."""
LONGEST_WAIT = 60.0
MOST_ATTEMPTS = 20
"""Attempts of one run, also where each gets a little further; the next run goes on from there."""
Emit = Callable[[Event], None]


def conduct(loaded: Loaded, emit: Emit, stop: threading.Event) -> Finished:
    """Run the pipeline once. Whatever happens, it ends in a Finished event, which is also returned."""
    try:
        with masking(loaded) as mask:
            both = programs(loaded, "source", "destination")
            with open_store(loaded) as store, store.lock(loaded.name) as lock:
                finished = _Run(loaded, both, store, lock, mask, emit, stop).run()
    except AirpipeError as error:
        finished = Finished(
            loaded.name, 0, "stopped" if isinstance(error, Stopped) else "failed", 0, 0, error=error.message
        )
    emit(finished)
    return finished


class _Run:
    def __init__(
        self,
        loaded: Loaded,
        programs: Mapping[str, Program],
        store: Store,
        lock: Lock,
        mask: Mask,
        emit: Emit,
        stop: threading.Event,
    ) -> None:
        self._loaded = loaded
        self._programs = programs
        self._store = store
        self._lock = lock
        self._mask = mask
        self._emit = emit
        self._stop = stop
        self._started = time.time()
        self._clock = time.monotonic()
        self._told = 0.0
        self._attempts = 0
        self._moving = 0.0
        self._reports: dict[StreamName, StreamReport] = {}
        self._plan = Plan([], [])
        self._usage: dict[str, dict[str, float]] = {}
        self._controls: dict[str, dict[str, Any]] = {}
        last = store.runs(loaded.name, 1)
        self._number = int(last[0]["run"]) + 1 if last else 1
        self._log = RunLog(loaded.home, loaded.name, self._number, mask, self._show)

    def _show(self, origin: str, level: str, message: str) -> None:
        if LEVELS.get(level, 2) >= LEVELS["INFO"]:
            self._emit(Log(self._loaded.name, origin, level, message))

    def run(self) -> Finished:
        name = self._loaded.name
        labels = (self._mask(self._programs[side].label) for side in ("source", "destination"))
        self._emit(Started(name, self._number, *labels))
        self._keep_run("running")
        error: AirpipeError | None = None
        try:
            with Folder() as folder:
                error = self._prepare_and_move(folder)
        except AirpipeError as raised:
            error = raised
        except Exception as bug:
            self._log("airpipe", "DEBUG", traceback.format_exc())
            error = AirpipeError(f"A bug in airpipe: {type(bug).__name__}: {bug}; `airpipe logs` has more.")
        finished = self._finished(error)
        if error is not None:
            self._log("airpipe", "ERROR", finished.error)
        try:
            self._keep_run(finished.status, finished)
        except AirpipeError as problem:
            self._log("airpipe", "WARN", f"the history lacks this run: {problem.message}")
        self._log.close()
        return finished

    # What there is, and how it is moved

    def _prepare_and_move(self, folder: Folder) -> AirpipeError | None:
        self._saver = Saver(
            self._store, self._loaded.name, lambda streams: self._emit(Saved(self._loaded.name, streams))
        )
        configs = self._configs()
        questions = Questions(self._loaded, self._programs, configs, folder, self._stop, self._mask, self._quiet)
        found = questions.ask(discover=True)
        self._plan = catalog.plan(self._loaded, found, questions.offered)
        for plan in self._plan.streams:
            self._reports[plan.stream] = StreamReport(str(plan.stream), f"{plan.mode}/{plan.write}")
        self._emit(Planned(self._loaded.name, [plan.why for plan in self._plan.streams], self._plan.skipped))
        for plan in self._plan.streams:
            self._log("airpipe", "DEBUG", plan.why)
        self._tell_new_destination(configs["destination"])
        return self._move(folder)

    def _configs(self) -> dict[str, dict[str, Any]]:
        """The options of both sides; where a connector has changed its own (a renewed token), as it changed them."""
        found = {}
        for side in ("source", "destination"):
            given = getattr(self._loaded.pipeline, side).config
            kept = json.loads(self._saver.values.get(f"config/{side}", "{}"))
            found[side] = kept["now"] if kept.get("given") == _mark(given) else dict(given)
        return found

    def _quiet(self, origin: str, level: str, message: str) -> None:
        """What is said before the run is worth a line only where it is a warning, and an ERROR is told by who asked."""
        if origin == "airpipe" or LEVELS.get(level.upper(), 2) == LEVELS["WARN"]:
            self._log(origin, level, message)

    def _tell_new_destination(self, config: Mapping[str, Any]) -> None:
        """States speak of rows that went to the destination of that time."""
        now = _mark([self._programs["destination"].label, self._mask(json.dumps(config, sort_keys=True))])
        before = self._saver.values.get("destination")
        if before not in (None, now) and any(key.startswith("state/") for key in self._saver.values):
            text = "the destination's config has changed: rows that went to the old one are not sent again. "
            self._log("airpipe", "WARN", text + "`airpipe state reset` begins anew.")
        self._saver.put({"destination": now})

    # Attempts

    def _move(self, folder: Folder) -> AirpipeError | None:
        wishes = self._loaded.pipeline.sync_config
        failures = 0
        while True:
            error, progressed = self._tried(folder)
            if error is None or not isinstance(error, TransientProblem):
                return error
            failures = 1 if progressed else failures + 1
            if failures > wishes.retries or self._attempts >= MOST_ATTEMPTS:
                return error
            wait = min(seconds(wishes.retry_delay) * 2 ** (failures - 1), LONGEST_WAIT) * random.uniform(0.8, 1.2)
            message = self._mask(error.message)
            self._log("airpipe", "INFO", f"attempt {self._attempts} failed, tried again in {wait:.1f} s: {message}")
            self._emit(Retrying(self._loaded.name, self._attempts, wait, message))
            if self._stop.wait(wait):
                return Stopped("Stopped.")

    def _tried(self, folder: Folder) -> tuple[AirpipeError | None, bool]:
        """What went wrong in an attempt, and whether it got further than the one before."""
        try:
            self._lock.regain()
            outcome = self._attempt(folder)
        except TransientProblem as problem:  # The store is away.
            return problem, False
        return outcome.error, outcome.progressed

    def _attempt(self, folder: Folder) -> Outcome:
        self._attempts += 1
        plans, sync = self._plan.streams, int(self._started)
        generations = self._saver.begin(plans)
        ids = {plan.stream: (generations[plan.stream].number, generations[plan.stream].minimum, sync) for plan in plans}
        for side, entry in (("source", catalog.for_source), ("destination", catalog.for_destination)):
            folder.write(f"{side}-catalog", {"streams": [entry(plan, *ids[plan.stream]) for plan in plans]})
        folder.write("source-state", self._saver.states())
        wishes = self._loaded.pipeline.sync_config
        limits = Limits(
            memory=size(wishes.memory_limit) if wishes.memory_limit is not None else None,
            timeout=seconds(wishes.timeout) if wishes.timeout is not None else None,
        )
        before = dict(self._reports)
        attempt = Attempt(
            self._programs, folder, plans, self._saver, self._lock, limits, self._stop,
            lambda tallies: self._tell(before, tallies), self._log, self._note_control,
        )  # fmt: skip
        outcome = attempt.run()
        self._saver.complete(outcome.complete)
        self._keep_controls()
        self._moving += outcome.moving
        for side, ended in outcome.ended.items():
            usage = self._usage.setdefault(side, {"cpu": 0.0, "memory": 0.0})
            usage["cpu"] += ended.cpu
            usage["memory"] = max(usage["memory"], ended.peak)
        for plan in plans:
            self._reports[plan.stream] = self._ended(plan, before, attempt.tallies, plan.stream in outcome.complete)
        return outcome

    def _note_control(self, side: str, message: dict[str, Any]) -> None:
        config = ((message.get("control") or {}).get("connectorConfig") or {}).get("config")
        if isinstance(config, dict):
            self._mask.learn(secrets_in({}, config))
            self._controls[side] = config

    def _keep_controls(self) -> None:
        for side, config in self._controls.items():
            given = _mark(getattr(self._loaded.pipeline, side).config)
            self._saver.put({f"config/{side}": json.dumps({"given": given, "now": config})})
        self._controls = {}

    # What is told

    def _tell(self, before: Mapping[StreamName, StreamReport], tallies: Mapping[StreamName, Tally]) -> None:
        now = time.monotonic()
        if now - self._told >= TELL:
            self._told = now
            reports = [_report(before[stream], tally) for stream, tally in tallies.items()]
            self._emit(Progress(self._loaded.name, now - self._clock, self._attempts, reports))

    def _ended(
        self,
        plan: StreamPlan,
        before: Mapping[StreamName, StreamReport],
        tallies: Mapping[StreamName, Tally],
        whole: bool,
    ) -> StreamReport:
        status = "complete" if whole else "incomplete"
        return _report(before[plan.stream], tallies[plan.stream], status, _next(plan, whole))

    def _finished(self, error: AirpipeError | None) -> Finished:
        status = "succeeded" if error is None else "stopped" if isinstance(error, Stopped) else "failed"
        return Finished(
            self._loaded.name,
            self._number,
            status,  # type: ignore[arg-type]
            time.monotonic() - self._clock,
            self._attempts,
            list(self._reports.values()),
            self._plan.skipped,
            self._mask(error.message) if error else "",
            self._moving,
            self._usage,
        )

    def _keep_run(self, status: str, finished: Finished | None = None) -> None:
        run: dict[str, Any] = {"run": self._number, "started": self._started, "status": status}
        if finished is not None:
            run |= {"ended": time.time(), **finished.as_dict()}
        self._store.put_run(self._loaded.name, run)


def _report(before: StreamReport, tally: Tally, status: str = "", next_: str = "") -> StreamReport:
    return StreamReport(
        before.stream,
        before.mode,
        before.rows + tally.rows,
        before.bytes + tally.bytes,
        before.acknowledged + tally.acknowledged,
        before.rejected + tally.rejected,
        before.lost + tally.lost,
        before.rows + tally.estimate if tally.estimate is not None else None,
        status or {"": "waiting", "STARTED": "waiting", "RUNNING": "running"}.get(tally.status, tally.status.lower()),
        next_,
    )


def _next(plan: StreamPlan, whole: bool) -> str:
    if plan.incremental:
        what = f"what is newer by {'.'.join(plan.cursor)}" if plan.cursor else "what is new"
        return f"reads {what}" if whole else "goes on from the last saved state"
    again = "reads everything again"
    return f"{again} and replaces this" if plan.overwrites else f"{again} and adds it"


def _mark(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
