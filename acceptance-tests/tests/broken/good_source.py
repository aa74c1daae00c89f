"""A source without a fault, of the standard library alone. Broken ones inherit from it and change one thing.

Its system is a folder with one JSON file a stream: `{"namespace", "key", "cursor", "fields", "rows"}`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class ConfigError(Exception):
    """Something that the user must change."""


class Source:
    """Each verb is a method; `main` is the command line."""

    every = 5
    """Rows between two states."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.open: list[Json] = []

    # Messages

    def say(self, kind: str, key: str, body: Json) -> None:
        self.write(json.dumps({"type": kind, key: body}) + "\n")

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def trace(self, kind: str, body: Json) -> None:
        self.say("TRACE", "trace", {"type": kind, "emitted_at": time.time() * 1000, kind.lower(): body})

    def status(self, stream: Json, status: str) -> None:
        self.trace("STREAM_STATUS", {"stream_descriptor": self.descriptor(stream), "status": status})

    def descriptor(self, stream: Json) -> Json:
        return {key: stream[key] for key in ("name", "namespace") if stream.get(key) is not None}

    def record(self, stream: Json, row: Json) -> None:
        self.counts[stream["name"]] = self.counts.get(stream["name"], 0) + 1
        where = {"stream": stream["name"]} | ({"namespace": stream["namespace"]} if stream.get("namespace") else {})
        self.say("RECORD", "record", {**where, "data": row, "emitted_at": int(time.time() * 1000)})

    def state(self, stream: Json, state: Json) -> None:
        count = self.counts.pop(stream["name"], 0)
        body = {"type": "STREAM", "stream": {"stream_descriptor": self.descriptor(stream), "stream_state": state}}
        self.say("STATE", "state", {**body, "sourceStats": {"recordCount": float(count)}})

    # Verbs

    def form(self) -> Json:
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "required": ["folder", "password"],
            "properties": {
                "folder": {"type": "string", "title": "Folder", "order": 0},
                "password": {"type": "string", "title": "Password", "airbyte_secret": True, "order": 1},
            },
        }

    def spec(self) -> Json:
        return {"connectionSpecification": self.form()}

    def check(self, config: Json) -> None:
        self.files(config)

    def config(self, path: str) -> Json:
        try:
            config = json.loads(Path(path).read_text())
        except ValueError as error:
            raise ConfigError(f"the config is not JSON: {error}") from None
        if not isinstance(config, dict):
            raise ConfigError("the config is no object")
        for name in self.form()["required"]:
            if not isinstance(config.get(name), str):
                raise ConfigError(f"{name} is required and must be text")
        return config

    def files(self, config: Json) -> list[Path]:
        folder = Path(config["folder"])
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}")
        return sorted(folder.glob("*.json"))

    def tables(self, config: Json) -> dict[str, Json]:
        return {path.stem: json.loads(path.read_text()) for path in self.files(config)}

    def discover(self, config: Json) -> list[Json]:
        return [self.entry(name, table) for name, table in self.tables(config).items()]

    def entry(self, name: str, table: Json) -> Json:
        entry = {
            "name": name,
            "json_schema": {"type": "object", "properties": table["fields"]},
            "supported_sync_modes": ["full_refresh", "incremental"] if table["cursor"] else ["full_refresh"],
            "default_cursor_field": [table["cursor"]] if table["cursor"] else [],
            "source_defined_primary_key": [[part] for part in table["key"]],
        }
        return entry | ({"namespace": table["namespace"]} if table["namespace"] else {})

    # Reading

    def states(self, path: str | None) -> Json:
        """Stream name → its state."""
        if path is None:
            return {}
        found = json.loads(Path(path).read_text())
        return {one["stream"]["stream_descriptor"]["name"]: one["stream"].get("stream_state") or {} for one in found}

    def selected(self, catalog: Json, tables: dict[str, Json]) -> Iterator[tuple[Json, Json]]:
        for configured in catalog["streams"]:
            stream = configured["stream"]
            table = tables.get(stream["name"])
            if table is None or table["namespace"] != stream.get("namespace"):
                self.missing(stream)
            else:
                yield configured, table

    def missing(self, stream: Json) -> None:
        self.status(stream, "STARTED")
        self.status(stream, "INCOMPLETE")
        raise ConfigError(f"there is no stream {stream['name']}")

    def read(self, config: Json, catalog: Json, states: Json) -> None:
        chosen = list(self.selected(catalog, self.tables(config)))
        self.open = [configured["stream"] for configured, _ in chosen]
        for configured, table in chosen:
            self.read_stream(configured, table, states.get(configured["stream"]["name"]) or {})
            self.open.remove(configured["stream"])

    def read_stream(self, configured: Json, table: Json, state: Json) -> None:
        stream = configured["stream"]
        self.status(stream, "STARTED")
        if configured["sync_mode"] == "incremental":
            self.read_incremental(stream, table, state)
        else:
            self.read_full(stream, table, state)
        self.status(stream, "COMPLETE")

    def read_full(self, stream: Json, table: Json, state: Json) -> None:
        self.emit(stream, self.rows(table))
        self.state(stream, {})

    def read_incremental(self, stream: Json, table: Json, state: Json) -> None:
        cursor = table["cursor"]
        rows = sorted(self.rows(table), key=lambda row: row[cursor])
        if "cursor" in state:
            rows = self.after(rows, cursor, state["cursor"])
        for number, row in enumerate(rows, 1):
            self.emit(stream, [row], running=number == 1)
            if number % self.every == 0:
                self.state(stream, {"cursor": row[cursor]})
        self.state(stream, {"cursor": rows[-1][cursor]} if rows else state)

    def after(self, rows: list[Json], cursor: str, value: Any) -> list[Json]:
        return [row for row in rows if row[cursor] >= value]

    def rows(self, table: Json) -> list[Json]:
        return list(table["rows"])

    def emit(self, stream: Json, rows: list[Json], running: bool = True) -> None:
        for number, row in enumerate(rows):
            if running and not number:
                self.status(stream, "RUNNING")
            self.record(stream, row)

    # The command line

    def on_sigterm(self, *_: Any) -> None:
        raise SystemExit(143)

    def main(self) -> None:
        signal.signal(signal.SIGTERM, self.on_sigterm)
        parser = argparse.ArgumentParser()
        parser.add_argument("verb")
        for option in ("--config", "--catalog", "--state"):
            parser.add_argument(option)
        asked = parser.parse_args()
        try:
            self.run(asked)
        except BrokenPipeError:
            os._exit(141)
        except Exception as error:
            self.fail(asked, error)

    def run(self, asked: argparse.Namespace) -> None:
        if asked.verb == "spec":
            return self.say("SPEC", "spec", self.spec())
        config = self.config(asked.config)
        if asked.verb == "check":
            self.check(config)
            self.say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
        elif asked.verb == "discover":
            self.say("CATALOG", "catalog", {"streams": self.discover(config)})
        else:
            self.read(config, json.loads(Path(asked.catalog).read_text()), self.states(asked.state))

    def fail(self, asked: argparse.Namespace, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if asked.verb == "check":
            return self.say("CONNECTION_STATUS", "connectionStatus", {"status": "FAILED", "message": text})
        for stream in self.open:
            self.status(stream, "INCOMPLETE")
        kind = "config_error" if isinstance(error, ConfigError) else "system_error"
        self.trace("ERROR", {"message": text, "failure_type": kind})
        sys.exit(1)


if __name__ == "__main__":
    Source().main()
