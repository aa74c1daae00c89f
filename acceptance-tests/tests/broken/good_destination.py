"""A destination without a fault, of the standard library alone. Broken ones inherit from it and change one thing.

Its store is a folder with one file a stream, which each commit replaces as a whole. A line is a generation and a row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Name = tuple[str | None, str]


class ConfigError(Exception):
    """Something that the user must change."""


def path_of(folder: str, name: Name) -> Path:
    """The file of a stream."""
    return Path(folder, hashlib.sha256(json.dumps(name).encode()).hexdigest()[:20] + ".lines")


def lines_of(file: Path) -> list[str]:
    """Its lines, ended by a line feed and by nothing else that Python takes for a line's end."""
    return file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []


class Stream:
    """One stream of the catalog on its way into its file."""

    def __init__(self, folder: str, entry: Json) -> None:
        self.name: Name = (entry["stream"].get("namespace"), entry["stream"]["name"])
        self.mode = entry["destination_sync_mode"]
        self.key = [path[0] for path in entry.get("primary_key") or []]
        self.generation, self.minimum = entry.get("generation_id"), entry.get("minimum_generation_id")
        self.file = path_of(folder, self.name)
        self.staging = self.file.with_suffix(".staging")
        self.waiting: list[str] = []
        self.count = 0
        self.state_last = self.complete = False
        self.staged: list[str] = []

    @property
    def truncates(self) -> bool:
        return bool(self.minimum) and (self.generation, self.minimum) != (1, 1)

    def stored(self) -> list[str]:
        return lines_of(self.file)

    def replace(self, lines: list[str]) -> None:
        new = self.file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.file)

    def take(self, data: str) -> None:
        self.waiting.append(f"{self.generation or 0} {data}")
        self.count += 1
        self.state_last = self.complete = False

    def commit(self) -> None:
        """What waits is safe afterwards. Of an overwrite it stays aside."""
        if self.mode == "overwrite":
            self.staged += self.waiting
        elif self.waiting:
            self.replace(self.merged([*self.stored(), *self.waiting]))
        self.waiting = []

    def merged(self, lines: list[str]) -> list[str]:
        if self.mode != "append_dedup":
            return lines
        rows: dict[str, str] = {}
        for line in lines:
            data = json.loads(line.partition(" ")[2])
            rows[json.dumps([data.get(part) for part in self.key])] = line
        return list(rows.values())

    def finish(self) -> None:
        """The stream is complete: what is older goes."""
        self.commit()
        self.complete = True
        if self.mode == "overwrite":
            self.replace(self.staged)
        elif self.truncates:
            self.replace([line for line in self.stored() if int(line.partition(" ")[0]) >= (self.minimum or 0)])


class Destination:
    """Each verb is a method; `main` is the command line."""

    modes: tuple[str, ...] = ("append", "overwrite", "append_dedup")

    def __init__(self) -> None:
        self.streams: dict[Name, Stream] = {}
        self.statuses = False

    def say(self, kind: str, key: str, body: Json) -> None:
        sys.stdout.write(json.dumps({"type": kind, key: body}) + "\n")
        sys.stdout.flush()

    def log(self, level: str, text: str) -> None:
        self.say("LOG", "log", {"level": level, "message": text})

    def form(self) -> Json:
        return {
            "type": "object",
            "required": ["folder", "password"],
            "properties": {
                "folder": {"type": "string", "title": "Folder", "order": 0},
                "password": {"type": "string", "title": "Password", "airbyte_secret": True, "order": 1},
            },
        }

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

    def check(self, config: Json) -> None:
        try:
            Path(config["folder"]).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder cannot be used: {error.strerror}") from None

    # Writing

    def make(self, folder: str, entry: Json) -> Stream:
        return Stream(folder, entry)

    def write(self, config: Json, catalog: Json) -> None:
        self.check(config)
        streams = [self.make(config["folder"], entry) for entry in catalog["streams"]]
        self.streams = {stream.name: stream for stream in streams}
        broken = self.take_all()
        self.end(broken)

    def take_all(self) -> str | None:
        """Take the input to its end; gives what is wrong with it."""
        for number, line in enumerate(sys.stdin.buffer, 1):
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except ValueError:
                return f"line {number} of the input is not JSON"
            self.take(message, line)
        return None

    def take(self, message: Json, line: bytes) -> None:
        if message["type"] == "RECORD":
            self.record(message["record"], line)
        elif message["type"] == "STATE":
            self.state(message)
        elif message["type"] == "TRACE":
            self.trace(message["trace"])

    def record(self, record: Json, line: bytes) -> None:
        stream = self.streams.get((record.get("namespace"), record["stream"]))
        if stream is not None:
            stream.take(self.data(record, line))

    def data(self, record: Json, line: bytes) -> str:
        """The data as it stood in the line: parsing would round its numbers."""
        text = line.decode()
        start = text.index('"data":') + len('"data":')
        while text[start] == " ":
            start += 1
        _, end = json.JSONDecoder(strict=False).raw_decode(text, start)
        return text[start:end]

    def covered(self, state: Json) -> list[Stream]:
        if state.get("type") != "STREAM":
            return list(self.streams.values())
        descriptor = state["stream"]["stream_descriptor"]
        stream = self.streams.get((descriptor.get("namespace"), descriptor["name"]))
        return [stream] if stream else []

    def state(self, message: Json) -> None:
        streams = self.covered(message["state"])
        count = sum(stream.count for stream in streams)
        for stream in streams:
            stream.commit()
            stream.count, stream.state_last = 0, True
        self.echo(message, count)

    def echo(self, message: Json, count: int) -> None:
        message["state"]["destinationStats"] = {"recordCount": float(count)}
        self.say("STATE", "state", message["state"])

    def trace(self, trace: Json) -> None:
        status = trace.get("stream_status")
        if trace["type"] == "STREAM_STATUS" and status:
            self.statuses = True
            descriptor = status["stream_descriptor"]
            stream = self.streams.get((descriptor.get("namespace"), descriptor["name"]))
            if stream and status["status"] == "COMPLETE":
                stream.finish()

    def end(self, broken: str | None) -> None:
        undone = []
        for stream in self.streams.values():
            told = self.statuses or (stream.generation is not None and (stream.generation, stream.minimum) != (1, 1))
            if stream.complete:
                continue
            if not told and stream.state_last and not broken:
                stream.finish()
            else:
                stream.commit()
                undone += [stream.name[1]] if told else []
        if broken:
            raise ConfigError(broken)
        if undone:
            self.log("WARN", f"not complete: {', '.join(undone)}")

    # The command line

    def on_sigterm(self, *_: Any) -> None:
        raise SystemExit(143)

    def main(self) -> None:
        signal.signal(signal.SIGTERM, self.on_sigterm)
        parser = argparse.ArgumentParser()
        parser.add_argument("verb")
        for option in ("--config", "--catalog"):
            parser.add_argument(option)
        asked = parser.parse_args()
        try:
            self.run(asked)
        except BrokenPipeError:
            os._exit(1)
        except Exception as error:
            self.fail(asked, error)

    def run(self, asked: argparse.Namespace) -> None:
        if asked.verb == "spec":
            spec = {"connectionSpecification": self.form(), "supported_destination_sync_modes": list(self.modes)}
            return self.say("SPEC", "spec", spec)
        config = self.config(asked.config)
        if asked.verb == "check":
            self.check(config)
            return self.say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
        self.write(config, json.loads(Path(asked.catalog).read_text()))

    def fail(self, asked: argparse.Namespace, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if asked.verb == "check":
            return self.say("CONNECTION_STATUS", "connectionStatus", {"status": "FAILED", "message": text})
        kind = "config_error" if isinstance(error, ConfigError) else "system_error"
        body = {"message": text, "failure_type": kind}
        self.say("TRACE", "trace", {"type": "ERROR", "emitted_at": time.time() * 1000, "error": body})
        sys.exit(1)


if __name__ == "__main__":
    Destination().main()
