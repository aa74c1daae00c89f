"""`docker build` with what the Dockerfile asks for: the version, the native part, this machine's way to packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from connector_images.tree import TREE, version
from connector_parts.containers import Engine
from connector_parts.parts import only_one

WHEELS = TREE / "build" / "wheels"
CERTIFICATES = "/run/secrets/certificates"
"""Where a step of the Dockerfile finds the certificates that this machine trusts, if it names some to pip."""


class Failed(Exception):
    """An image could not be built; what docker said."""


def build(connector: str, engine: Engine, base: str | None = None, prefix: str = "", loud: bool = False) -> str:
    """Build one image and give its name: `prefix`, the connector, its version. It is tagged `latest` as well.

    Returns at once where nothing has changed. `base` is the image to build on.
    """
    name = f"{prefix}{connector}"
    arguments = {"CONNECTOR": connector, "VERSION": version(connector), "NAME": name}
    if base := base or engine.base:
        arguments["BASE"] = base
    tags = [f"{name}:{version(connector)}", f"{name}:latest"]
    with only_one("images"), _secrets() as secrets:
        native_wheel()
        command = [str(engine.docker), "build", *secrets]
        command += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        command += [word for tag in tags for word in ("-t", tag)]
        done = subprocess.run([*command, "."], cwd=TREE, capture_output=not loud, text=True, check=False)
        if done.returncode == 0 and engine.base:
            _forget_old_layers(engine)
    if done.returncode:
        raise Failed("docker build failed" + ("" if loud else f":\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"))
    return tags[0]


def _forget_old_layers(engine: Engine) -> None:
    """The store is ours alone, so nobody else tidies it up."""
    command = [str(engine.docker), "image", "prune", "--force", "--filter", "until=168h"]
    subprocess.run(command, capture_output=True, check=False)


def native_wheel() -> Path | None:
    """The native part as a wheel for the image, where `make native` could build it; else None, and no old wheel."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    found = sorted(WHEELS.glob("connector_native-*.whl"))
    if find_spec("connector_native") and found and _newest(TREE / "native") < found[-1].stat().st_mtime:
        return found[-1]
    for old in found:
        old.unlink()
    if not find_spec("connector_native"):
        return None
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "build", "--quiet", "--wheel", "--out-dir", str(WHEELS), str(TREE / "native")]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Failed(f"the native part cannot be built:\n{done.stderr[-4000:]}")
    return next(WHEELS.glob("connector_native-*.whl"))


def _newest(folder: Path) -> float:
    files = (Path(place, name) for place, _, names in os.walk(folder) if "target" not in place for name in names)
    return max((file.stat().st_mtime for file in files), default=0.0)


@contextmanager
def _secrets() -> Iterator[list[str]]:
    """Options that lend a build this machine's index of packages and certificates. None gets into an image."""
    settings = pip_settings()
    certificates = settings.pop("cert", None) or os.environ.get("SSL_CERT_FILE")
    if certificates:
        settings["cert"] = CERTIFICATES
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pip.conf")
        file.write_text("\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items()), ""]))
        options = ["--secret", f"id=pip.conf,src={file}"]
        yield options + (["--secret", f"id=certificates,src={certificates}"] if certificates else [])


def pip_settings() -> dict[str, str]:
    """What this machine's pip was told of where packages come from."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"^[\w:]+\.(index-url|extra-index-url|trusted-host|timeout|cert)='(.*)'$", listed, re.MULTILINE)
    return dict(found)
