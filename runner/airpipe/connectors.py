"""From what the file says to what is started: an installed command, any program, or an image.

Nothing of a connector is imported; the protocol's command line is all that is known of it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from airpipe.folder import Folder
from airpipe.pipeline import Connector, Loaded
from airpipe.process import Command

_ALIASES = {"postgresql": "postgres", "pg": "postgres", "gcs": "google-cloud-storage", "files": "file"}
COLLECTION = ("source-postgres", "destination-s3")
"""Connectors that a checkout of the collection holds, as folders of these names."""


def names(side: str, kind: str) -> list[str]:
    """The commands that `type: kind` may mean, the likeliest first."""
    plain = re.sub(r"[\s_]+", "-", kind.strip().lower()).removeprefix("airbyte-").removeprefix(f"{side}-")
    ways = [plain, _ALIASES.get(plain, plain), plain.replace("-", "")]
    return list(dict.fromkeys(f"{side}-{way}" for way in ways))


def _places() -> list[str]:
    """Where commands are looked for: beside airpipe itself, then PATH."""
    beside = [str(Path(sys.executable).parent), str(Path(sys.argv[0]).absolute().parent)]
    return list(dict.fromkeys([*beside, *os.environ.get("PATH", os.defpath).split(os.pathsep)]))


def installed(side: str) -> list[str]:
    """The types that can be used here."""
    found: set[str] = set()
    for place in _places():
        try:
            entries = os.listdir(place)
        except OSError:
            continue
        found |= {name for name in entries if name.startswith(f"{side}-") and os.access(f"{place}/{name}", os.X_OK)}
    return sorted(name.removeprefix(f"{side}-") for name in found if name != "source-declarative-manifest")


def find(side: str, connector: Connector, loaded: Loaded) -> Program:
    """How to run one side of a pipeline. What is missing is an error that says how to get it."""
    if connector.image:
        return Image(side, connector, _docker(loaded, side))
    if connector.command:
        label = " ".join(Path(word).name for word in connector.command[:2])
        return Program(side, [_given(connector.command[0], loaded, side), *connector.command[1:]], label)
    wanted = names(side, connector.type or "")
    for name in wanted:
        if found := shutil.which(name, path=os.pathsep.join(_places())):
            return Program(side, [found], name)
    raise loaded.problem((side, "type"), _missing(side, connector.type or "", wanted[0]))


def _missing(side: str, kind: str, command: str) -> str:
    there = installed(side)
    near = [name for name in there if set(names(side, name)) & {f"{side}-{n}" for n in get_close_matches(kind, there)}]
    if near:
        return f"the connector {kind} is not installed; did you mean {near[0]}?"
    return (
        f"the connector {kind} is not installed: no command {command} beside airpipe or on PATH. Installed here: "
        f"{', '.join(there) or 'none'}. {_way(names(side, kind))}, name a program by command:, or an Airbyte image "
        "by image:"
    )


def _way(commands: Sequence[str]) -> str:
    """How to get a connector: a package of the collection, or one that only the user can know."""
    ours = next((command for command in commands if command in COLLECTION), None)
    if ours:
        return f"Install it from a checkout of the collection (`{install_line(ours)}`)"
    return f"Install a package that brings {commands[0]}"


def install_line(connector: str) -> str:
    """What installs a connector of the collection, in a checkout of it: its SDK comes from there, too."""
    return f"pip install ./sdk ./{connector}"


def _given(word: str, loaded: Loaded, side: str) -> str:
    """The program of `command:`; a path is relative to the file."""
    if os.sep in word:
        path = loaded.file.parent / Path(word).expanduser()
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
        text = "is not executable (chmod +x)" if path.exists() else "does not exist"
        raise loaded.problem((side, "command"), f"{path} {text}")
    found = shutil.which(word, path=os.pathsep.join(_places()))
    if found is None:
        raise loaded.problem(
            (side, "command"), f"no program {word} beside airpipe or on PATH; install it or give its path"
        )
    return found


def _docker(loaded: Loaded, side: str) -> str:
    for name in (os.environ.get("AIRPIPE_DOCKER", "docker"), "podman"):
        if found := shutil.which(name):
            return found
    raise loaded.problem((side, "image"), "an image needs docker (or podman) on PATH, and neither is there")


AS_IT_IS = {"CONNECTOR_EXPAND": "0"}
"""Connectors of the collection put `${NAME}` of a config in place. We have done that: what is left is text."""


class Program:
    """A connector as a command: `words` and then a verb of the protocol."""

    def __init__(self, side: str, words: Sequence[str], label: str) -> None:
        self.side = side
        self.label = label
        self._words = list(words)

    def command(
        self, verb: str, folder: Folder | None = None, files: Sequence[str] = (), memory: int | None = None
    ) -> Command:
        """`verb --config …` with these files (their names without `.json`) of the folder.

        Who stands over the command watches its `memory`; a container is limited by its engine.
        """
        options: list[str] = []
        for file in files if folder else ():
            options += [f"--{_option(file)}", f"{folder.path}/{file}.json"]  # type: ignore[union-attr]
        return Command([*self._words, verb, *options], folder.whole if folder else None, environment=AS_IT_IS)


class Image(Program):
    """A connector as an image: each command is a container with a name of its own, so that it can be ended."""

    OUT_OF_MEMORY = 137
    """The exit code of a container that its engine killed."""

    def __init__(self, side: str, connector: Connector, docker: str) -> None:
        super().__init__(side, [docker], connector.image or "")
        self._docker = docker
        self._arguments = connector.docker_args

    def command(
        self, verb: str, folder: Folder | None = None, files: Sequence[str] = (), memory: int | None = None
    ) -> Command:
        name = f"airpipe-{self.side}-{uuid.uuid4().hex[:12]}"
        mount = ["-v", f"{folder.path}:/airpipe:ro"] if folder else []
        options = [part for file in files for part in (f"--{_option(file)}", f"/airpipe/{file}.json")]
        limit = [f"--memory={memory}", f"--memory-swap={memory}"] if memory else []
        said = [part for variable, value in AS_IT_IS.items() for part in ("-e", f"{variable}={value}")]
        run = [self._docker, "run", "--rm", "-i", "--name", name, *said, *mount, *limit, *self._arguments]
        end = [self._docker, "rm", "-f", name]
        return Command([*run, self.label, verb, *options], folder.whole if folder else None, end)


def _option(file: str) -> str:
    """`--config` for the file `source-config`."""
    return file.rpartition("-")[2]
