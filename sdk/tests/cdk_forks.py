"""Runs `connector_sdk.cdk` many times and imports airbyte-cdk once: a fork for each line of JSON on standard input."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import airbyte_cdk.sources.declarative.yaml_declarative_source  # noqa: F401

from connector_sdk import cdk


def run(asked: dict[str, Any]) -> None:
    os.chdir(asked["folder"])
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(asked["environment"])
    sys.argv[:] = ["cdk", *asked["arguments"]]
    cdk.main()


for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            run(json.loads(line))
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
