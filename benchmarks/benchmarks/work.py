"""The data and the contestants."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Contestant
from connector_parts import S3, Postgres

TABLE = """
CREATE TABLE docs AS SELECT
    n::bigint AS id,
    md5(n::text)::uuid AS key,
    'Document ' || n AS title,
    repeat(md5((n * 7)::text) || ' ', 18) || '한국어 본문 ' || n AS body,
    jsonb_build_object('tags', jsonb_build_array('a', 'b'), 'rank', mod(n, 100)) AS meta,
    (n / 7.0)::numeric(18, 4) AS price,
    sqrt(n)::float8 AS score,
    mod(n, 3) = 0 AS public,
    mod(n, 1000)::int AS views,
    timestamptz '2024-01-01' + n * interval '1 second' AS updated_at
FROM generate_series(1, %d) n
"""
"""Rows of about 0.98 KB as JSON."""


def fill(database: Postgres, rows: int) -> None:
    database.execute(TABLE % rows)
    database.execute("ALTER TABLE docs ADD PRIMARY KEY (id)")
    database.execute("VACUUM (ANALYZE, FREEZE) docs")


class Bench:
    """Configs in a folder, and the contestants that use them."""

    def __init__(self, folder: Path, database: Postgres, s3: S3, bucket: str) -> None:
        self.folder = folder
        self.database = database
        self.s3 = s3
        self.bucket = bucket
        stream = {"name": "docs", "namespace": "public", "json_schema": {"type": "object", "properties": {"id": {}}}}
        self._json("catalog.json", {"streams": [{"stream": stream, "sync_mode": "full_refresh"}]})
        for connections in (1, 2):
            self._json(f"source{connections}.json", self._source(connections))
        self._json("s3.json", {"bucket": bucket, "format": "jsonl", "compression": "gzip"})

    def _json(self, name: str, value: object) -> None:
        (self.folder / name).write_text(json.dumps(value))

    def _source(self, connections: int) -> dict[str, object]:
        database = self.database
        return {
            "host": database.host,
            "port": database.port,
            "database": database.database,
            "username": database.user,
            "password": database.password,
            "tables": ["public.docs"],
            "ssl_mode": {"mode": "disable"},
            "max_db_connections": connections,
        }

    def _psql(self, query: str) -> list[str]:
        return ["psql", "--no-psqlrc", "--quiet", self.database.dsn, "--command", query]

    @property
    def psql_json(self) -> list[str]:
        return self._psql("COPY (SELECT row_to_json(docs) FROM docs) TO STDOUT")

    def read(self, connections: int) -> list[str]:
        config, catalog = self.folder / f"source{connections}.json", self.folder / "catalog.json"
        return [_command("source-postgres"), "read", "--config", str(config), "--catalog", str(catalog)]

    @property
    def write(self) -> list[str]:
        config, catalog = self.folder / "s3.json", self.folder / "catalog.json"
        return [_command("destination-s3"), "write", "--config", str(config), "--catalog", str(catalog)]

    # What is compared

    def reading(self, native: bool) -> Iterator[Contestant]:
        """A table as lines of JSON. Ours are complete RECORD messages."""
        yield Contestant("psql COPY (text)", [self._psql("COPY docs TO STDOUT")])
        yield Contestant("psql COPY row_to_json", [self.psql_json])
        if _has("duckdb"):
            yield Contestant("duckdb to JSON", [[sys.executable, "-c", _DUCKDB, self.database.dsn]])
        if native:
            yield Contestant("source-postgres", [self.read(1)], ours=True, env={"CONNECTOR_NATIVE": "1"})
            yield Contestant("source-postgres, 2 connections", [self.read(2)], ours=True, env={"CONNECTOR_NATIVE": "1"})
        yield Contestant("source-postgres, Python only", [self.read(1)], ours=True, env={"CONNECTOR_NATIVE": "0"})

    def piping(self, native: bool) -> Iterator[Contestant]:
        """A table to gzip JSON lines on an S3 server. (`psql | gzip` writes nowhere.)"""
        yield Contestant("psql row_to_json | gzip -1", [self.psql_json, ["gzip", "-1"]])
        if sling := _sling():
            yield Contestant("sling", [self._sling(sling)], env=self._sling_env())
        for name, value in (("", "1"), (", Python only", "0"))[not native :]:
            env = {**self.s3.environment, "CONNECTOR_NATIVE": value}
            yield Contestant(f"source-postgres | destination-s3{name}", [self.read(1), self.write], ours=True, env=env)

    def writing(self, native: bool) -> Iterator[Contestant]:
        """A file of RECORDs to gzip JSON lines on an S3 server."""
        records, foreign = self.record_files()
        for given, what in ((records, "our RECORDs"), (foreign, "RECORDs with data in the middle")):
            for name, value in (("", "1"), (", Python only", "0"))[not native :]:
                env = {**self.s3.environment, "CONNECTOR_NATIVE": value}
                yield Contestant(f"destination-s3, {what}{name}", [self.write], ours=True, env=env, given=given)

    def _sling(self, sling: str) -> list[str]:
        target = "S3/sling/docs.jsonl.gz"
        options = '{"compression":"gzip","format":"jsonlines"}'
        return [sling, "run", "--src-conn", "PG", "--src-stream", "public.docs", "--tgt-conn", "S3",
                "--tgt-object", target, "--tgt-options", options]  # fmt: skip

    def _sling_env(self) -> dict[str, str]:
        s3 = {
            "type": "s3",
            "bucket": self.bucket,
            "access_key_id": self.s3.access_key,
            "secret_access_key": self.s3.secret_key,
            "endpoint": self.s3.endpoint,
            "region": self.s3.region,
        }
        return {"PG": self.database.dsn + "?sslmode=disable", "S3": json.dumps(s3), "SLING_DISABLE_TELEMETRY": "TRUE"}

    def record_files(self) -> tuple[Path, Path]:
        """The RECORDs of the table in a file, as ours and as a foreign source writes them."""
        ours, foreign = self.folder / "records.jsonl", self.folder / "foreign.jsonl"
        if not ours.exists():
            with ours.open("wb") as file:
                subprocess.run(self.read(1), stdout=file, check=True)
            with ours.open("rb") as lines, foreign.open("wb") as out:
                out.writelines(map(_as_foreign, lines))
        return ours, foreign


def _as_foreign(line: bytes) -> bytes:
    """The envelope as a Java source writes it: other order, spaces, `data` in the middle."""
    head, found, data = line.partition(b'"data":')
    if not found or not line.startswith(b'{"type":"RECORD"'):
        return line
    record = json.loads(head + b'"data":0}}')["record"]
    start = json.dumps({"record": {key: record[key] for key in ("namespace", "stream")}})[:-2].encode()
    return b'%b, "data": %b, "emitted_at": %d}, "type": "RECORD"}\n' % (start, data[:-3], record["emitted_at"])


def _sling() -> str | None:
    """The program inside of its package, which brings no command of its own."""
    found = find_spec("sling_linux_amd64")
    return f"{Path(found.origin).parent}/bin/sling-linux-amd64" if found and found.origin else None


def _command(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _has(module: str) -> bool:
    return find_spec(module) is not None


_DUCKDB = """
import pathlib, sys, duckdb, duckdb_extension_postgres_scanner as package
[extension] = pathlib.Path(package.__file__).parent.rglob("*.duckdb_extension")
db = duckdb.connect()
db.execute(f"LOAD '{extension}'; SET pg_connection_limit = 1; SET preserve_insertion_order = false")
db.execute(f"ATTACH '{sys.argv[1]}' AS pg (TYPE postgres, READ_ONLY)")
db.execute("COPY (SELECT * FROM pg.public.docs) TO '/dev/stdout' (FORMAT json)")
"""
