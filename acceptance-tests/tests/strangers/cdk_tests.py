"""Runs in the environment of airbyte-cdk: its standard tests for the connector in the working directory."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from cdk_adapter import Command

KIND = "destination" if Path.cwd().name.startswith("destination-") else "source"
SUITES: Any = import_module(f"airbyte_cdk.test.standard_tests.{KIND}_base")
OURS = {"connector": Command, "get_connector_root_dir": classmethod(lambda _cls: Path.cwd())}
TestStandard = type("TestStandard", (getattr(SUITES, f"{KIND.title()}TestSuiteBase"),), OURS)
