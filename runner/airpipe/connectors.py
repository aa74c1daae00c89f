"""From what the file says to what is started: an installed command, any program, or an image.

Nothing of a connector is imported; the protocol's command line is all that is known of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Connector, Loaded
from airpipe.process import Command

_ALIASES = {"postgresql": "postgres", "pg": "postgres", "gcs": "google-cloud-storage", "files": "file"}
_NONE_YET = "none is installed"


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
        f"{', '.join(there) or _NONE_YET}. Install it, name a program by command:, or an Airbyte image by image:"
    )


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
        return Command([*self._words, verb, *options], folder.whole if folder else None)


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
        run = [self._docker, "run", "--rm", "-i", "--name", name, *mount, *limit, *self._arguments]
        end = [self._docker, "rm", "-f", name]
        return Command([*run, self.label, verb, *options], folder.whole if folder else None, end)


def _option(file: str) -> str:
    """`--config` for the file `source-config`."""
    return file.rpartition("-")[2]


class Folder:
    """A private folder for configs, catalogs and states.

    It goes with the run, or with the guards of a dead run. What these could not clear away, the next run does.
    """

    def __init__(self) -> None:
        _clear_away()
        self.whole = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.whole / "new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.whole / "new").rename(self.whole / "lock")  # Nobody sees it unlocked.
        self.path = self.whole / "files"
        self.path.mkdir()
        self.path.chmod(0o755)  # Images run as another user; nobody else gets past the folder above.

    def write(self, name: str, value: Any) -> None:
        """Write `name.json`; bytes are JSON already."""
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        path = self.path / f"{name}.json"
        path.write_bytes(text)
        path.chmod(0o644)

    def close(self) -> None:
        shutil.rmtree(self.whole, ignore_errors=True)
        os.close(self._lock)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


_PREFIX = "airpipe-"


def _clear_away() -> None:
    """Delete our folders of dead runs: nobody holds their locks."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # Those that go just now.
            if folder.lstat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / "lock", os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


# Options


_OPTIONS = {
    "sync_config.batch_size": ("batch_size", "batchSize"),
    "sync_config.parallel_workers": ("parallel_workers", "max_db_connections", "num_workers", "workers", "concurrency"),
    "incremental_sync.lookback_window": ("lookback_window", "lookback"),
}


def with_wishes(loaded: Loaded, configs: dict[str, dict[str, Any]], forms: Mapping[str, Any]) -> Iterator[str]:
    """Put what the file wishes of both sides into the options that their specs know. Yields what has no place."""
    pipeline = loaded.pipeline
    wishes = {
        "sync_config.batch_size": pipeline.sync_config.batch_size,
        "sync_config.parallel_workers": pipeline.sync_config.parallel_workers,
        "incremental_sync.lookback_window": pipeline.incremental_sync.lookback_window,
    }
    for wish, value in wishes.items():
        if value is None:
            continue
        taken = [_take(configs[side], forms[side], _OPTIONS[wish], value) for side in configs]
        if not any(taken):
            yield f"{wish} is left out: neither connector has an option for it"


def _take(config: dict[str, Any], form: Mapping[str, Any], options: Sequence[str], value: Any) -> bool:
    known = form.get("properties", {})
    for option in options:
        if option in known:
            config.setdefault(option, value)
            return True
    return False


def unknown_options(loaded: Loaded, side: str, config: Mapping[str, Any], form: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each option that the connector does not know."""
    known = form.get("properties", {})
    if not known or form.get("oneOf"):
        return
    for option in config:
        if option not in known:
            near = get_close_matches(option, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            where = loaded.problem((side, "config", option), f"the connector has no such option{meant}")
            yield where.message


def typed(config: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """The options with texts made numbers and truths where the spec wants those; `${PORT}` gives a text."""
    known = form.get("properties", {})
    return {key: _typed(value, known.get(key, {}).get("type")) for key, value in config.items()}


def _typed(value: Any, kind: Any) -> Any:
    kinds = kind if isinstance(kind, list) else [kind]
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "integer" in kinds and re.fullmatch(r"-?\d+", value):
        return int(value)
    if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return {"true": True, "false": False}.get(value.lower(), value) if "boolean" in kinds else value


def secrets(form: Any, value: Any) -> Iterator[str]:
    """Every value that must not be shown: what the form marks as secret, and what its name gives away."""
    if isinstance(value, dict):
        described = _properties(form)
        for key, inner in value.items():
            part = described.get(key, {})
            if part.get("airbyte_secret") or (isinstance(inner, str) and _telling.search(key)):
                yield from _texts(inner)
            else:
                yield from secrets(part, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets(form.get("items", {}) if isinstance(form, dict) else {}, inner)
    elif isinstance(value, str):
        yield from _in_url.findall(value)


_telling = re.compile(r"password|passwd|secret|token|api_?key|private_key", re.IGNORECASE)
_in_url = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@", re.IGNORECASE)


def _properties(form: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(form, dict):
        for option in (form, *form.get("oneOf", ()), *form.get("anyOf", ()), *form.get("allOf", ())):
            for key, part in (option.get("properties") or {}).items():
                found[key] = part if part.get("airbyte_secret") or key not in found else found[key]
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


SHORTEST = 4
"""Characters of a secret that is masked: a shorter one stands in too many words."""


class Mask:
    """`mask(text)` is the text with each known secret as `****`."""

    def __init__(self, known: Iterator[str]) -> None:
        found = {way for text in known if len(text) >= SHORTEST for way in _ways(text)}
        longest_first = sorted(found, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("****", text) if self._pattern else text


def _ways(text: str) -> Iterator[str]:
    """How a secret may turn up: as it is, in JSON, in a URL, or a line of it (of a private key)."""
    yield from (text, json.dumps(text)[1:-1], quote(text, safe=""))
    yield from (line.strip() for line in text.splitlines() if len(line.strip()) >= 2 * SHORTEST)


def problem_of_check(loaded: Loaded, side: str, config: Mapping[str, Any], text: str) -> ConfigProblem:
    """A failed check, at the line of the option that it talks of."""
    option = next((word for word in re.findall(r"[\w.]+", text) if word.split(".")[0] in config), None)
    where = tuple(option.split(".")) if option else ()
    return loaded.problem((side, "config", *where), text)
