"""source-postgres: tables of a PostgreSQL database, whole or by what has changed."""

from __future__ import annotations


def main() -> None:
    """The command `source-postgres`."""
    from source_postgres.source import source

    source.main()
