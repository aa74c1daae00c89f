"""An engine for images: the `docker` of this machine if one answers, else podman behind that name, from packages.

Where no registry can be reached, Debian's packages are enough: podman is unpacked into the cache, with an image store
of its own, and the image to build on is made of the same packages. Nothing is installed. It needs root.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from connector_parts.parts import Missing, Part, cache, find, only_one

PACKAGES = ("podman", "runc", "netavark", "debootstrap")
BASE = "localhost/python-base:bookworm"
INSIDE = ("python3", "python3-venv", "ca-certificates")
"""What the image to build on has beside Debian's smallest set."""
SUPERFLUOUS = ["var/cache/apt/*", "var/cache/debconf/*", "var/lib/apt/lists/*", "var/log/*"]
SUPERFLUOUS += [f"usr/share/{name}/*" for name in ("doc", "info", "lintian", "locale", "man")]


class Engine(NamedTuple):
    """Runs images: `docker` is a command that takes docker's options."""

    docker: Path
    base: str | None
    """The image to build on, where the public one cannot be had."""


def engine() -> Engine:
    """The engine of this machine, or the one in the cache; `Missing` where `make parts` has made none."""
    return _own() or _podman()


def survey(build: bool) -> Iterator[Part]:
    """The engine, which is made (one or two minutes) if `build`."""
    yield find("Docker", lambda: (_own() or _podman(build)).docker)


def answers(docker: str | Path) -> bool:
    """Whether an engine stands behind this command."""
    command = [docker, "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _own() -> Engine | None:
    """The machine's own engine. The one in the cache may stand on PATH as well, but has no public images."""
    ours = cache() / "containers" / "bin"
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    docker = shutil.which("docker", path=os.pathsep.join(folder for folder in path if Path(folder) != ours))
    return Engine(Path(docker), None) if docker and answers(docker) else None


def _podman(build: bool = False) -> Engine:
    home = cache() / "containers"
    made = Engine(home / "bin" / "docker", BASE)
    done = home / "done"
    if done.exists():
        return made
    if why := _impossible():
        raise _missing(why, "start Docker, or run this as root on Debian")
    if not build:
        raise _missing("no Docker engine answers and podman is not unpacked yet", "run: make parts")
    with only_one("containers"):
        if not done.exists():
            sys.stderr.write("unpacking podman and making an image to build on, once; it takes a minute or two\n")
            _make(home, made.docker)
            done.touch()
    return made


def _impossible() -> str | None:
    """Why podman cannot be unpacked and run here."""
    if os.geteuid() != 0:
        return "no Docker engine answers, and podman from the cache needs root"
    absent = [tool for tool in ("apt-get", "dpkg-deb", "tar", "mount") if shutil.which(tool) is None]
    return f"no Docker engine answers, and there is no {absent[0]} to get podman with" if absent else None


def _missing(why: str, advice: str) -> Missing:
    return Missing("Docker", why, advice)


# Making it


def _make(home: Path, docker: Path) -> None:
    programs = home / "programs"
    home.mkdir(exist_ok=True)
    _unpack(programs)
    _configure(home, programs)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        root = Path(folder, "root")
        scripts = {"DEBOOTSTRAP_DIR": str(programs / "usr/share/debootstrap")}
        options = ["--variant=minbase", f"--include={','.join(INSIDE)}"]
        _run(["sh", programs / "usr/sbin/debootstrap", *options, "bookworm", root], scripts)
        for pattern in SUPERFLUOUS:
            for path in glob.glob(str(root / pattern)):
                _remove(Path(path))
        archive = Path(folder, "root.tar")
        _run(["tar", "-C", root, "--sort=name", "-cf", archive, "."])
        _run([docker, "import", archive, BASE])


def _unpack(programs: Path) -> None:
    """What podman needs and this machine lacks, without installing anything."""
    with tempfile.TemporaryDirectory(dir=programs.parent) as folder:
        lists, archives = Path(folder, "lists"), Path(folder, "archives")
        for place in (lists, archives):
            (place / "partial").mkdir(parents=True)
        options = [f"Dir::State::lists={lists}", f"Dir::Cache={folder}", f"Dir::Cache::archives={archives}"]
        options += ["APT::Keep-Downloaded-Packages=true", "APT::Sandbox::User=root", "Debug::NoLocking=true"]
        apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
        _run([*apt, "update"])
        # Those that are installed already are unpacked as well: then everything is in one place.
        _run([*apt, "install", "-y", "--no-install-recommends", "--download-only", "--reinstall", *PACKAGES])
        for package in sorted(archives.glob("*.deb")):
            _run(["dpkg-deb", "-x", package, programs])


def _configure(home: Path, programs: Path) -> None:
    """Settings, a `docker` that uses them, and a `conmon` that hands them on: podman clears its environment."""
    _write(home / "storage.conf", _STORAGE.format(home=home))
    _write(home / "containers.conf", _SETTINGS.format(home=home, programs=programs))
    _write(home / "registries.conf", "unqualified-search-registries = []\n")
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    _write(home / "home/.config/containers/policy.json", json.dumps(policy))
    settings = {
        "LD_LIBRARY_PATH": programs / "usr/lib" / f"{platform.machine()}-linux-gnu",
        "HOME": home / "home",
        "CONTAINERS_CONF": home / "containers.conf",
        "CONTAINERS_STORAGE_CONF": home / "storage.conf",
        "CONTAINERS_REGISTRIES_CONF": home / "registries.conf",
    }
    given = " ".join(f"{name}='{value}'" for name, value in settings.items())
    for name, program in {"docker": "podman", "conmon": "conmon"}.items():
        script = home / "bin" / name
        _write(script, f'#!/bin/sh\n{given} exec {programs}/usr/bin/{program} "$@"\n')
        script.chmod(0o755)


_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{home}/images"
runroot = "{home}/run"
"""

# The limits are named since podman's own are higher than what may be asked for in a container. runc takes a machine
# with both kinds of cgroups, crun does not. From its events podman learns how a container ended that was removed before
# it could look. Without a log, what goes through a pipe is not written to a disk as well.
_SETTINGS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "none"
[engine]
runtime = "runc"
events_logger = "file"
lock_type = "file"
tmp_dir = "{home}/run/libpod"
cgroup_manager = "cgroupfs"
conmon_path = ["{home}/bin/conmon"]
helper_binaries_dir = ["{programs}/usr/lib/podman"]
[engine.runtimes]
runc = ["{programs}/usr/sbin/runc"]
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """Run to the end; what it says last is why it is missing."""
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **(environment or {})}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise _missing(f"{Path(command[0]).name} failed ({said})", "try again: make parts")
