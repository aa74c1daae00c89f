"""Real images of both connectors, built once a run, and a folder that is a container's /files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connector_images.build import build
from connector_parts import S3, Missing, Postgres
from connector_parts.containers import Engine, engine
from connector_parts.postgres import Database

Json = dict[str, Any]
SOURCE, DESTINATION = "source-postgres", "destination-s3"


@dataclass
class Docker:
    """The command `docker`, and the images that it can run."""

    engine: Engine
    images: Mapping[str, str]

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """`docker …` to its end."""
        given: dict[str, Any] = {"capture_output": True, "timeout": 120, "check": False, **options}
        return subprocess.run([self.engine.docker, *arguments], **given)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.engine.docker, *arguments], bufsize=0, **options)

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """A line as a person types it; the word `docker` in it is this one."""
        path = f"{self.engine.docker.parent}{os.pathsep}{os.environ['PATH']}"
        line = ["bash", "-o", "pipefail", "-c", command]
        return subprocess.run(
            line, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=240, check=False
        )

    def inspect(self, name: str) -> Json:
        done = self.run("image", "inspect", self.images[name])
        assert done.returncode == 0, done.stderr
        found: Json = json.loads(done.stdout)[0]
        return found


@pytest.fixture(scope="session")
def docker() -> Docker:
    """Both images, built from this tree."""
    try:
        found = engine()
    except Missing as missing:
        pytest.skip(f"MISSING {missing}")
    return Docker(found, {name: build(name, found) for name in (SOURCE, DESTINATION)})


@pytest.fixture
def database(postgres: Postgres) -> Database:
    return postgres.create_database()


@dataclass
class Pipe:
    """A folder with the configs and the catalog of a pipe, which both containers see as /files."""

    folder: Path
    source: Json
    destination: Json
    bucket: str
    s3: S3
    options: str = field(init=False)
    """What `docker run` is given so that a container sees the folder and the servers of this machine."""

    def __post_init__(self) -> None:
        self.options = f"--network=host -v {self.folder}:/files"

    def write(self, catalog: Json, **destination: Any) -> None:
        """Put the files where the containers look for them."""
        files = {"pg": self.source, "s3": {**self.destination, **destination}, "catalog": catalog}
        for name, content in files.items():
            (self.folder / f"{name}.json").write_text(json.dumps(content))

    def objects(self) -> dict[str, bytes]:
        """Every object of the bucket but the connector's own notes."""
        client = self.s3.client()
        try:
            listed = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            keys = [entry["Key"] for entry in listed if not entry["Key"].startswith(".airbyte/")]
            return {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}
        finally:
            client.close()

    def uploads(self) -> list[Json]:
        """Uploads that were begun and not ended."""
        client = self.s3.client()
        try:
            found: list[Json] = client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
            return found
        finally:
            client.close()


@pytest.fixture
def pipe(database: Database, s3: S3, tmp_path: Path) -> Pipe:
    folder = tmp_path / "files"
    folder.mkdir()
    folder.chmod(0o777)
    source = {
        "host": database.host,
        "port": database.port,
        "database": database.database,
        "username": database.user,
        "password": "swordfish",
        "checkpoint_target_interval_seconds": 1,
    }
    bucket = s3.bucket()
    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    target = {"bucket": bucket, "endpoint": s3.endpoint, "region": s3.region, "airbyte_columns": False, **keys}
    return Pipe(folder, source, target, bucket, s3)


@pytest.fixture
def catalog() -> Callable[..., Json]:
    """The configured catalog of one table."""

    def make(table: str, columns: Mapping[str, str], **how: Any) -> Json:
        schema = {"type": "object", "properties": {name: {"type": ["null", kind]} for name, kind in columns.items()}}
        stream = {"name": table, "namespace": "public", "json_schema": schema}
        stream["supported_sync_modes"] = ["full_refresh", "incremental"]
        chosen = {"sync_mode": "full_refresh", "destination_sync_mode": "append", **how}
        return {"streams": [{"stream": stream, **chosen}]}

    return make
