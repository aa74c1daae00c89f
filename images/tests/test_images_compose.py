"""What compose.yaml starts of ours does what it says, with a PostgreSQL and an S3 server of the test's."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector_images.tree import TREE
from connector_parts import S3, Postgres

pytestmark = pytest.mark.slow


def compose() -> dict[str, Any]:
    """The file, as Docker Compose reads it: references with their defaults, `$$` for a dollar."""
    text = (TREE / "compose.yaml").read_text()
    text = re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def options(service: dict[str, Any], folder: Path, environment: dict[str, str]) -> list[str]:
    """`docker run` for a service. Volumes and configs are folders and files of `folder`; the servers are ours."""
    words = ["--rm", "--network=host", *([f"--user={service['user']}"] if "user" in service else [])]
    for name, value in {**service.get("environment", {}), **environment}.items():
        words += ["-e", f"{name}={value}"]
    for volume in service["volumes"]:
        words += ["-v", f"{folder}/{volume}"]
    for config in service.get("configs", []):
        words += ["-v", f"{folder}/{config}:/{config}:ro"]
    entrypoint, *first = service["entrypoint"]
    return [*words, f"--entrypoint={entrypoint}", service["image"], *first, *service["command"]]


def test_its_pipe(docker: Any, postgres: Postgres, tmp_path: Path) -> None:
    said = compose()
    services, database = said["services"], postgres.create_database()
    content = {name: config["content"] for name, config in said["configs"].items()}
    database.execute(content.pop("documents.sql"))
    content["pg.yaml"] = content["pg.yaml"].replace("knowledge_base", database.database)
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    for volume in said["volumes"]:
        (tmp_path / volume).mkdir()
        (tmp_path / volume).chmod(0o755)
    with S3.best() as s3:
        bucket = s3.bucket("raw")
        ours = {"PGHOST": database.host, "PGPORT": str(database.port), "PGUSER": database.user}
        ours |= {"S3_ENDPOINT": s3.endpoint, "AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
        done = docker.run("run", *options(services["prepare"], tmp_path, {}))
        assert (done.returncode, (tmp_path / "data" / "raw").is_dir()) == (0, True), done.stderr
        with docker.start("run", *options(services["source"], tmp_path, ours)) as source:
            done = docker.run("run", *options(services["destination"], tmp_path, ours))
        assert (source.returncode, done.returncode) == (0, 0), done.stderr
        client = s3.client()
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]]
        files = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if key.endswith(".gz")]
        client.close()
    rows = [json.loads(line) for file in files for line in gzip.decompress(file).splitlines()]
    assert len(rows) == 1000


def test_who_waits_for_whom() -> None:
    """Both ends of the pipe wait for the FIFO, and each for its server."""
    services = compose()["services"]
    for name, server in {"source": "postgres", "destination": "s3"}.items():
        assert set(services[name]["depends_on"]) == {"prepare", server}
        assert services[name]["image"] in ("source-postgres", "destination-s3")
