"""A destination of the tests in plain Python, with bad manners: `destination_plain.py MANNER VERB …`.

It appends what it gets to the file `path`; its manner says what is odd about it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def say(message: Any) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def answer(manner: str, message: dict[str, Any]) -> None:
    match manner:
        case "never answers":
            return
        case "answers what was never asked":
            message["state"]["id"] = 99_999
        case "counts in words":
            message["state"]["destinationStats"] = {"recordCount": "many"}
        case "counts too much":
            message["state"]["destinationStats"] = {"recordCount": 1000}
        case "chatters":
            sys.stdout.write("hello\n[1]\nnull\n{\n")
    say(message)


def write(manner: str) -> None:
    with open(sys.argv[sys.argv.index("--config") + 1]) as file:
        path = json.load(file)["path"]
    if manner == "closes its input":
        os.close(0)
        time.sleep(3600)
    with open(path, "a") as file:
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "RECORD":
                file.write(json.dumps(message["record"], ensure_ascii=False) + "\n")
            elif message["type"] == "STATE":
                file.flush()
                answer(manner, message)
                if manner == "leaves early":
                    return
    if manner == "takes long to end":
        time.sleep(3)  # Being slow is what is tested: past a timeout of 2 s, before the SIGTERM 6 s after that.


def main(manner: str, verb: str) -> None:
    match verb:
        case "spec":
            form = {"type": "object", "properties": {"path": {"type": "string"}, "port": {"type": "integer"}}}
            spec = {"connectionSpecification": form, "supported_destination_sync_modes": ["append", "overwrite"]}
            say({"type": "SPEC", "spec": spec})
        case "check":
            say({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}})
        case "write":
            write(manner)


if __name__ == "__main__":
    main(*sys.argv[1:3])
