"""Fixtures for everybody: the real servers, and the list of what was not run at the end."""

from __future__ import annotations

pytest_plugins = ["connector_parts.pytest_plugin"]
