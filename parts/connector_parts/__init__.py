"""Real servers for tests, the demo and benchmarks. Each is a context manager: `with Postgres() as server: server.dsn`.

A new part is one module with a class like these, an entry in `parts.PARTS` and a fixture in `pytest_plugin`.
"""

from __future__ import annotations

from connector_parts.parts import Missing
from connector_parts.postgres import Database, Postgres
from connector_parts.s3 import S3

__all__ = ["S3", "Database", "Missing", "Postgres"]
