"""Real images of both connectors, built once a run, and a folder that is a container's /files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

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
    label: str = field(default_factory=lambda: f"tests={uuid4().hex}")

    @property
    def here(self) -> dict[str, Any]:
        """What the acceptance suite needs to run these images: this `docker`, this machine's network, a label."""
        path = f"{self.engine.docker.parent}{os.pathsep}{os.environ['PATH']}"
        return {"environment": {"PATH": path}, "docker_options": ["--network=host", f"--label={self.label}"]}

    def tidy(self) -> None:
        """End the containers whose client was killed: they live on without it."""
        found = self.run("ps", "--all", "--quiet", f"--filter=label={self.label}").stdout.decode().split()
        if found:
            self.run("rm", "--force", *found)

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
def docker() -> Iterator[Docker]:
    """Both images, built from this tree."""
    try:
        found = engine()
    except Missing as missing:
        pytest.skip(f"MISSING {missing}")
    made = Docker(found, {name: build(name, found) for name in (SOURCE, DESTINATION)})
    yield made
    made.tidy()


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


# The acceptance suites start some hundred containers each. Of what holds for a command already, a few are tried for its
# image in every run, and all of them with IMAGE_SUITE=all.
ALWAYS_TRIED = """
    spec.answers check.succeeds_with_the_given_config check.fails_where_the_other_side_cannot_be_reached
    discover.gives_one_catalog read.ends_well read.says_started_running_complete state.comes_for_every_stream
    resume.goes_on_from_every_state_of_an_incremental_read reader.may_leave stop.ends_on_sigterm place.may_be_read_only
    first.works_without_a_check_before append.keeps_equal_rows overwrite.keeps_the_old_result_until_complete
    state.comes_back_each_and_in_order state.keeps_everything_that_it_held input.may_be_cut_in_the_middle_of_a_line
    judge.accepts_a_full_refresh judge.accepts_an_incremental_sync judge.accepts_a_sync_as_the_ui_sends_it
    always.standard_output_holds_messages_only always.messages_follow_the_protocol always.secrets_stay_secret
""".split()
NOT_OF_AN_IMAGE = ["always.no_process_is_left"]
"""Which processes an engine keeps for how long is its own affair."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    if not item.name.startswith("test_image_of_"):
        return False
    behaviour = item.name.partition("[")[2].removesuffix("]")
    every = os.environ.get("IMAGE_SUITE") == "all"
    return behaviour in NOT_OF_AN_IMAGE or not (every or behaviour in ALWAYS_TRIED)
