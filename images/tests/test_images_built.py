"""What an image is: labels, entrypoint, user, what is inside and what is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from connector_images.tree import version

pytestmark = pytest.mark.slow
SOURCE, DESTINATION = "source-postgres", "destination-s3"
each = pytest.mark.parametrize("name", [SOURCE, DESTINATION])
LEAST = ("--rm", "--user=1000:1000", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
"""What a stock deployment leaves to a connector, and no network."""


@each
def test_labels_and_entrypoint(docker: Any, name: str) -> None:
    config = docker.inspect(name)["Config"]
    assert config["Labels"]["io.airbyte.name"] == name
    assert config["Labels"]["io.airbyte.version"] == version(name)
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert [environment["AIRBYTE_ENTRYPOINT"]] == config["Entrypoint"] == ["/airbyte/connector"]
    assert config["User"] == "1000:1000"
    assert not config.get("Cmd")


@each
def test_spec_is_that_of_the_command(docker: Any, name: str) -> None:
    """Under the least rights, on a read-only file system, in any working directory."""
    command = [str(Path(sys.executable).with_name(name)), "spec"]
    ours = subprocess.run(command, capture_output=True, check=True).stdout
    for place in (("--workdir=/tmp",), ("--read-only", "--workdir=/")):
        done = docker.run("run", *LEAST, *place, docker.images[name], "spec")
        assert (done.returncode, done.stdout) == (0, ours), done.stderr


@each
def test_it_tells_its_version(docker: Any, name: str) -> None:
    done = docker.run("run", *LEAST, docker.images[name], "--version")
    assert done.stdout.decode() == f"{name} {version(name)}\n"


@each
def test_a_wrong_use_is_told(docker: Any, name: str) -> None:
    done = docker.run("run", *LEAST, docker.images[name], "nonsense")
    assert done.returncode == 2
    assert name.encode() in done.stderr


INSIDE = """
import importlib.util, json, os, pwd, shutil, sys
from importlib.metadata import distributions
tools = "pip pip3 uv gcc cc make cargo rustc git maturin hatch".split()
print(json.dumps({
    "packages": sorted(found.metadata["Name"].lower() for found in distributions()),
    "tools": [tool for tool in tools if shutil.which(tool)],
    "installers": [name for name in ("pip", "ensurepip", "setuptools", "hatchling") if importlib.util.find_spec(name)],
    "user": [os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name, os.getcwd()],
    "mine": os.access("/airbyte", os.W_OK),
    "program": os.access("/airbyte/venv", os.W_OK),
    "sources": [path for path in ("/src", "/wheels", "/needs", "/tools", "/run/secrets") if os.path.exists(path)],
    "compiled": importlib.util.find_spec("connector_sdk").cached,
}))
"""


@each
def test_only_what_runs_is_inside(docker: Any, name: str) -> None:
    looking = ("--entrypoint=/airbyte/venv/bin/python", docker.images[name], "-c", INSIDE)
    found = json.loads(docker.run("run", *LEAST, *looking).stdout)
    assert found["tools"] == found["installers"] == found["sources"] == []
    assert found["user"] == [1000, 1000, "airbyte", "/airbyte"]
    assert (found["mine"], found["program"]) == (True, False)
    others = {"source-postgres": {"botocore", "pyarrow", "destination-s3"}, "destination-s3": {"psycopg", "asyncssh"}}
    assert not set(found["packages"]) & (others[name] | {"airbyte-cdk", "pytest", "moto", "acceptance-tests"})
    assert {name, "connector-sdk", "msgspec"} <= set(found["packages"])
    assert ("connector-native" in found["packages"]) == bool(find_spec("connector_native"))


@each
def test_versions_are_those_of_the_lock(docker: Any, name: str) -> None:
    looking = "from importlib.metadata import distributions\nfor d in distributions(): print(d.name.lower(), d.version)"
    options = ("--entrypoint=/airbyte/venv/bin/python", docker.images[name], "-c", looking)
    inside = dict(line.split() for line in docker.run("run", *LEAST, *options).stdout.decode().splitlines())
    lock = Path(__file__).parent.parent.parent.joinpath("requirements.lock").read_text().splitlines()
    pinned = {line.split(" ")[0] for line in lock}
    ours = {"connector-sdk", "connector-native", name}
    for package, found in inside.items():
        package = package.replace("_", "-").replace(".", "-")
        assert package in ours or f"{package}=={found}" in pinned


@each
def test_bytecode_is_used(docker: Any, name: str) -> None:
    """Every module that `spec` loads was compiled when the image was made."""
    looking = ("--entrypoint=/airbyte/venv/bin/python", docker.images[name], "-v", f"/airbyte/venv/bin/{name}", "spec")
    told = docker.run("run", *LEAST, *looking).stderr.decode()
    loaded = re.findall(r"^# code object from '?(/airbyte/\S+?\.pyc?)'?$", told, re.MULTILINE)
    assert len(loaded) > 50
    assert [path for path in loaded if path.endswith(".py")] == []
