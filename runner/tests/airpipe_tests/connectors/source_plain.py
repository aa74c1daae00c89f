"""A source of the tests in plain Python, with bad manners: `source_plain.py MANNER VERB …`.

It moves `rows` rows of each stream, a STATE after each tenth; its manner says what is odd about it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

STREAMS = {"hostile names": ['문서/../"q"', "b\n2", "\x1b[31mred"]}


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def trace(body: dict[str, Any]) -> None:
    say({"type": "TRACE", "trace": body})


def given(option: str) -> Any:
    if option not in sys.argv:
        return []
    with open(sys.argv[sys.argv.index(option) + 1]) as file:
        return json.load(file)


def record(stream: str, number: int) -> dict[str, Any]:
    return {"type": "RECORD", "record": {"stream": stream, "data": {"id": number, "text": "x"}, "emitted_at": 1}}


def state(stream: str, number: int) -> None:
    body = {"stream_descriptor": {"name": stream}, "stream_state": {"id": number}}
    say({"type": "STATE", "state": {"type": "STREAM", "stream": body}})


def spec() -> None:
    secret = {"type": "string", "airbyte_secret": True}
    form = {"type": "object", "properties": {"rows": {"type": "integer"}, "password": secret, "key": secret}}
    say({"type": "SPEC", "spec": {"connectionSpecification": form}})


def check(manner: str) -> None:
    if manner == "never answers":
        time.sleep(3600)
    if manner == "many lines":
        status = {"status": "FAILED", "message": "one\ntwo\n  \x1b[31mthree"}
        return say({"type": "CONNECTION_STATUS", "connectionStatus": status})
    return say({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}})


def discover(manner: str) -> None:
    properties = {"id": {"type": "integer"}, "text": {"type": "string"}}
    form = {"json_schema": {"type": "object", "properties": properties}, "source_defined_primary_key": [["id"]]}
    modes = {"supported_sync_modes": ["full_refresh", "incremental"], "source_defined_cursor": True}
    streams = [{"name": name, **form, **modes} for name in STREAMS.get(manner, ["plain"])]
    say({"type": "CATALOG", "catalog": {"streams": [form] if manner == "nameless stream" else streams}})


def read(manner: str, config: dict[str, Any]) -> None:
    begun = {s["stream"]["stream_descriptor"]["name"]: s["stream"]["stream_state"]["id"] for s in given("--state")}
    if manner == "tells secrets":
        sys.stderr.write(f"{config['password']}\n{config['key']}\n")
        say({"type": "LOG", "log": {"level": "WARN", "message": f"{config['password']} {config['key']}"}})
    for stream in STREAMS.get(manner, ["plain"]):
        for number in range(begun.get(stream, 0) + 1, config["rows"] + 1):
            say(record(stream, number))
            misbehave(manner, stream)
            if number % 10 == 0:
                state(stream, number)
    if manner == "ends well when it is told to end":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while config.get("hang"):
        time.sleep(3600)
    kept = [b"x" * 1_000_000 for _ in range(config.get("megabytes", 0))]
    del kept
    last = json.dumps(record("plain", config["rows"] + 1))
    sys.stdout.write({"no last line end": last, "half a row": last[:-6]}.get(manner, ""))
    sys.stdout.flush()
    if manner == "always a little further":
        state("plain", time.time_ns())
        os._exit(1)


def misbehave(manner: str, stream: str) -> None:
    match manner:
        case "garbage":
            odd = ["{", "[1]", "null", "\0", '{"type": 5}', '{"type":"RECORD"}', '{"type":"LOG","log":5}', "", "x" * 99]
            sys.stdout.write("\n".join([*odd, '{"type":"TRACE","trace":null}', '{"type":"STATE"}x']) + "\n")
        case "odd traces":
            trace({"type": "STREAM_STATUS", "stream_status": {"status": "RUNNING"}})
            trace({"type": "ESTIMATE", "estimate": {"name": stream, "type": "STREAM", "row_estimate": "many"}})
            trace({"type": "ESTIMATE", "estimate": 5})


def main(manner: str, verb: str) -> None:
    match verb:
        case "spec":
            spec()
        case "check":
            check(manner)
        case "discover":
            discover(manner)
        case "read":
            read(manner, {"rows": 100, **(given("--config") or {})})


if __name__ == "__main__":
    main(*sys.argv[1:3])
