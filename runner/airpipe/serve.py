"""The schedules of a file, and /metrics and /health over HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from airpipe import words
from airpipe.errors import AirpipeError, ConfigProblem
from airpipe.pipeline import Loaded, load

if TYPE_CHECKING:
    from airpipe.events import Event, Finished, Progress


def cron_trigger(text: str, timezone: str | None) -> Any:
    """The times of a cron line; one that cannot be read is a ValueError."""
    from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

    try:
        *others, weekday = text.split()
        return CronTrigger.from_crontab(" ".join([*others, _weekdays(weekday)]), timezone=timezone)
    except (ValueError, LookupError) as error:
        example = 'minute hour day month weekday, such as "0 3 * * *"'
        raise ValueError(f"{text} is no cron line ({example}): {error}") from None


_WEEK = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_numbered = re.compile(r"(?:\*|([0-7])(?:-([0-7]))?)(?:/(\d+))?", re.ASCII).fullmatch


def _weekdays(text: str) -> str:
    """The weekdays of a cron line by their names: 0 and 7 are Sunday there, and Monday is 0 to the scheduler."""
    if text == "*":
        return text
    names: list[str] = []
    for part in text.split(","):
        found = _numbered(part)
        if found is None:  # Names.
            names.append(part)
            continue
        first, last, step = found.groups()
        end = int(last) if last else int(first) if first and not step else 6
        names += [_WEEK[day] for day in range(int(first or 0), end + 1, int(step or 1))]
    if not names:
        raise ValueError(f"{text} names no weekday")
    return ",".join(dict.fromkeys(names))


def serve(file: str, names: Sequence[str], host: str, port: int, show: str, stop: threading.Event) -> None:
    """Run until `stop` is set; then the runs under way end within ten seconds, with what is safe saved."""
    from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

    pipelines = [loaded for loaded in load(file, names) if loaded.pipeline.schedule is not None]
    if not pipelines:
        raise ConfigProblem(
            f'{file}: nothing to serve: no pipeline has a schedule, such as schedule: {{every: "1 hour"}}'
        )
    service = Service(pipelines, show, stop)
    server = _listen(service, host, port)
    scheduler = BackgroundScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
    for loaded in pipelines:
        scheduler.add_job(service.run, _trigger(loaded), [file, loaded.name], **_first_time(loaded))
    scheduler.start()
    print(f"serving {len(pipelines)} pipelines; http://{host}:{server.server_port}/metrics and /health", flush=True)
    stop.wait()
    service.alive = False
    scheduler.shutdown(wait=True)
    server.shutdown()
    server.server_close()


def _trigger(loaded: Loaded) -> Any:
    from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

    schedule = loaded.pipeline.schedule
    assert schedule is not None
    if schedule.cron is not None:
        return cron_trigger(schedule.cron, schedule.timezone)
    assert schedule.every is not None
    return IntervalTrigger(seconds=words.seconds(schedule.every))


def _first_time(loaded: Loaded) -> dict[str, Any]:
    """`every` begins at once, cron when it says."""
    import datetime

    schedule = loaded.pipeline.schedule
    return {"next_run_time": datetime.datetime.now().astimezone()} if schedule and schedule.every is not None else {}


class Service:
    """Runs pipelines, and knows how they fare."""

    def __init__(self, pipelines: Sequence[Loaded], show: str, stop: threading.Event) -> None:
        from airpipe.display import choose

        self.alive = True
        self._display = choose(show)
        self._lock = threading.Lock()
        self._stop = stop
        self._last: dict[str, dict[str, Any]] = {loaded.name: {"status": "waiting"} for loaded in pipelines}
        self.metrics = Metrics(pipelines)

    def run(self, file: str, name: str) -> None:
        """Run a pipeline once, as the file says now."""
        from airpipe.alerts import alert
        from airpipe.events import Finished
        from airpipe.library import run_loaded

        if self._stop.is_set():
            return
        try:
            [loaded] = load(file, [name])
        except AirpipeError as error:
            return self._hear(Finished(name, 0, "failed", 0.0, 0, error=error.message))
        for event in run_loaded(loaded, self._stop):
            self._hear(event)
            if isinstance(event, Finished):
                alert(loaded, event, lambda text: print(f"warning: {text}", flush=True))
        return None

    def _hear(self, event: Event) -> None:
        from airpipe.events import Finished, Progress, Started

        with self._lock:
            self._display.show(event)
            if isinstance(event, Started):
                self._last[event.pipeline]["running_since"] = time.time()
                self.metrics.started(event.pipeline)
            elif isinstance(event, Progress):
                self.metrics.progress(event)
            elif isinstance(event, Finished):
                self._last[event.pipeline] = {
                    "status": event.status, "ended": time.time(), "rows": event.acknowledged, "error": event.error,
                }  # fmt: skip
                self.metrics.finished(event)

    def health(self) -> tuple[int, dict[str, Any]]:
        """200 while the schedules run. How the pipelines fare stands in the body."""
        with self._lock:
            pipelines = {name: dict(last) for name, last in self._last.items()}
        failing = any(last["status"] == "failed" for last in pipelines.values())
        status = "stopping" if not self.alive else "failing" if failing else "ok"
        return 200 if self.alive else 503, {"status": status, "pipelines": pipelines}


class Metrics:
    """Prometheus metrics. `monitoring.metrics` of a pipeline says which of them it publishes."""

    def __init__(self, pipelines: Sequence[Loaded]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self.registry = CollectorRegistry()
        self._wanted = {loaded.name: loaded.pipeline.monitoring.metrics for loaded in pipelines}
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        one, each = ["pipeline"], ["pipeline", "stream"]
        r = self.registry
        self._rows = Counter("airpipe_records_processed", "Rows sent to the destination.", each, registry=r)
        self._bytes = Counter("airpipe_bytes_processed", "Bytes of messages sent.", each, registry=r)
        self._duration = Gauge("airpipe_sync_duration_seconds", "Duration of the last run.", one, registry=r)
        self._errors = Gauge("airpipe_error_rate", "Share of records that the last run lost, 0 to 1.", one, registry=r)
        self._speed = Gauge("airpipe_throughput_rows_per_second", "Rows a second of the last run.", one, registry=r)
        self._runs = Counter("airpipe_runs", "Runs by how they ended.", ["pipeline", "status"], registry=r)
        self._running = Gauge("airpipe_running", "1 while the pipeline runs.", one, registry=r)
        self._success = Gauge("airpipe_last_success_timestamp_seconds", "End of the last good run.", one, registry=r)

    def _publishes(self, pipeline: str, metric: str) -> bool:
        wanted = self._wanted.get(pipeline)
        return wanted is None or metric in wanted

    def started(self, pipeline: str) -> None:
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != pipeline}
        self._running.labels(pipeline).set(1)

    def progress(self, event: Progress | Finished) -> None:
        for stream in event.streams:
            key = (event.pipeline, stream.stream)
            rows, size = self._seen.get(key, (0, 0))
            self._seen[key] = stream.rows, stream.bytes
            if self._publishes(event.pipeline, "records_processed"):
                self._rows.labels(*key).inc(stream.rows - rows)
            if self._publishes(event.pipeline, "bytes_processed"):
                self._bytes.labels(*key).inc(stream.bytes - size)

    def finished(self, event: Finished) -> None:
        from airpipe.alerts import METRICS

        self.progress(event)
        self._running.labels(event.pipeline).set(0)
        self._runs.labels(event.pipeline, event.status).inc()
        if event.status == "succeeded":
            self._success.labels(event.pipeline).set(time.time())
        gauges = {"sync_duration": self._duration, "error_rate": self._errors, "throughput": self._speed}
        for name, gauge in gauges.items():
            if self._publishes(event.pipeline, name):
                gauge.labels(event.pipeline).set(METRICS[name](event))


def _listen(service: Service, host: str, port: int) -> ThreadingHTTPServer:
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(service.metrics.registry))
            elif path == "/health":
                code, body = service.health()
                self._answer(code, "application/json", json.dumps(body).encode())
            else:
                self._answer(404, "text/plain", b"/metrics or /health\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ConfigProblem(
            f"port {port} of {host} cannot be used: {error.strerror}; choose another by --port"
        ) from None
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
