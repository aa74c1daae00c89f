"""An S3 API: versitygw, a real server on a folder, built with Go; or moto, which passes for AWS but is slow."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from connector_parts.parts import Missing, Part, cache, find, only_one
from connector_parts.process import HOST, Process, Server, free_port, listening, new_folder

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = "v1.7.0"
MODULE = "github.com/versity/versitygw/cmd/versitygw"
Kind = Literal["versitygw", "moto"]


class S3(Server):
    """An S3 server on 127.0.0.1 with data of its own, which `stop` removes.

    versitygw checks signatures and keeps nothing in memory: the one to test and to measure against. moto takes any
    credentials. `S3.best()` is the first that this machine can have.
    """

    access_key = "test-access-key"
    secret_key = "test-secret-key"
    region = "us-east-1"

    def __init__(self, kind: Kind = "versitygw") -> None:
        super().__init__()
        self.kind = kind
        self._names = (f"bucket-{number}" for number in count(1))

    @classmethod
    def best(cls) -> S3:
        """versitygw where `make parts` has built it, else moto. Not started yet."""
        try:
            versitygw()
        except Missing:
            return cls("moto")
        return cls("versitygw")

    def start(self) -> Self:
        """Return when the server answers. After `kill`, versitygw comes back with the same data on the same port."""
        if self._folder is None:
            self._folder = new_folder()
            self.port = free_port()
        try:
            command, environment = self._command(self._folder)
            process = Process(command, folder=self._folder, environment=environment)
            process.wait_until(lambda: listening(self.port))
        except BaseException:
            self.stop()
            raise
        self._process = process
        return self

    @property
    def endpoint(self) -> str:
        """The address of the API, for path-style requests."""
        return f"http://{HOST}:{self.port}"

    url = endpoint

    @property
    def environment(self) -> dict[str, str]:
        """The usual variables, for a program that takes its credentials and its endpoint from there."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def client(self) -> Any:
        """A botocore client for this server."""
        from botocore.config import Config
        from botocore.session import Session

        return Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def bucket(self, name: str | None = None) -> str:
        """Make a bucket, with a name that nothing else has if none is given, and give its name."""
        name = name or next(self._names)
        client: Any = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def _command(self, folder: Path) -> tuple[list[str | Path], dict[str, str]]:
        if self.kind == "moto":
            moto()
            return [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", HOST, "-p", str(self.port)], {}
        data = folder / "data"
        data.mkdir(exist_ok=True)
        options = ["--port", f"{HOST}:{self.port}", "--region", self.region, "--quiet", "--keep-alive"]
        backend: list[str | Path] = ["posix"]
        if not _keeps_attributes(data):
            (folder / "sidecar").mkdir(exist_ok=True)
            backend += ["--sidecar", folder / "sidecar"]
        secrets = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        return [versitygw(), *options, *backend, data], secrets


def versitygw(build: bool = False) -> Path:
    """The program. Where it is not there it is built into the cache (some minutes) if `build`, else it is `Missing`."""
    program = cache() / f"versitygw-{VERSION}"
    if program.exists():
        return program
    if not build:
        raise _missing("it is not built yet", "run: make parts") if shutil.which("go") else _no_go()
    with only_one("versitygw"):
        if not program.exists():
            _build(program)
    return program


def survey(build: bool) -> Iterator[Part]:
    """versitygw, which is built if `build`, and moto."""
    yield find("S3 (versitygw)", lambda: versitygw(build))
    yield find("S3 (moto)", moto)


def _build(program: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise _no_go()
    sys.stderr.write(f"building versitygw {VERSION}, once; it takes some minutes\n")
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        done = subprocess.run(
            [go, "install", "-ldflags=-s -w", f"{MODULE}@{VERSION}"],
            env={**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise _missing(f"go install failed ({why})", "try again: make parts")
        Path(folder, "versitygw").replace(program)


def _no_go() -> Missing:
    return _missing("there is no Go to build it with", "install Go 1.24 or newer, then run: make parts")


def _missing(why: str, install: str) -> Missing:
    return Missing("S3 (versitygw)", why, install)


def moto() -> str:
    """Which moto there is, or `Missing`."""
    for module in ("moto", "flask", "flask_cors"):
        if importlib.util.find_spec(module) is None:
            advice = "install: pip install moto[s3] flask flask-cors"
            raise Missing("S3 (moto)", f"the Python package {module} is not there", advice)
    return f"moto {importlib.metadata.version('moto')}"


def _keeps_attributes(folder: Path) -> bool:
    """Whether this file system keeps extended attributes, where versitygw puts what users say of their objects."""
    probe = folder.with_name("probe")
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"x")
    except (OSError, AttributeError):
        return False
    finally:
        probe.unlink()
    return True
