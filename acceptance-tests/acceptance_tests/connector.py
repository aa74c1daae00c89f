"""A connector under test: a command or an image, its config, and how each verb is run."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance_tests.process import Process, Run
from acceptance_tests.protocol import Json, Transcript, dumps, parse

_interpreter = re.compile(r"env|.*=.*|(python|node|java|ruby|php|deno|bun|perl)[\d.]*|sh|bash")
VERBS = ("spec", "check", "discover", "read", "write")
ANSWERS = ("spec", "check", "discover")
"""Verbs that give one answer: however much they say, it has to come in time."""
INSIDE = "/acceptance"
"""Where a container sees the folder with its files."""


@dataclass
class Said:
    """A finished run and what it said."""

    run: Run
    transcript: Transcript

    @property
    def ok(self) -> bool:
        return self.run.code == 0

    @property
    def verb(self) -> str:
        """Which verb it was, for a report."""
        return next((f"`{word}`" for word in self.run.command.split() if word in VERBS), self.run.command)

    @property
    def story(self) -> str:
        """How it ended and what it told, for a report."""
        told = self.transcript.errors or [text.strip()[-300:] for text in [self.run.stderr] if text.strip()]
        return f"{self.run.ended}" + (f"; it said: {told[-1][:500]}" if told else "")


@dataclass
class Connector:
    """How to run a connector, and the config that works.

    Either `command` (as typed in a shell, or its words; paths are those from here) or `image` (run by the `docker` on
    PATH). `timeout` is the longest silence of a verb in seconds. `cursors` names a cursor field for streams that have
    no default one.
    """

    config: Json
    command: str | Sequence[str] | None = None
    image: str | None = None
    timeout: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)
    cursors: Mapping[str, str] = field(default_factory=dict)
    docker_options: Sequence[str] = ()
    watchers: list[Callable[[Said], None]] = field(default_factory=list)
    """Called with every run that has ended."""

    def __post_init__(self) -> None:
        if (self.command is None) == (self.image is None):
            raise ValueError("give either a command or an image")
        self._folder = tempfile.TemporaryDirectory(prefix="acceptance-")
        self._runs = 0
        self._containers: dict[int, str] = {}
        self._processes: list[Process] = []

    @property
    def name(self) -> str:
        """What it is called in reports."""
        if self.image:
            return self.image
        words = [os.path.basename(word) for word in self._words if not word.startswith("-")]
        named = [word for word in words if not _interpreter.fullmatch(word)]
        return (named or words)[0].removesuffix(".py")

    @property
    def shown(self) -> str:
        return self.image or shlex.join(self._words)

    @property
    def _words(self) -> list[str]:
        assert self.command is not None
        words = shlex.split(self.command) if isinstance(self.command, str) else list(self.command)
        words = [os.path.abspath(word) if _is_path(word) else word for word in words]
        return ["env", *words] if words and "=" in words[0] else words

    @property
    def _modules_from_here(self) -> dict[str, str]:
        """`python -m my_source` is found in the directory where it was typed, also when it is run in another."""
        if self.image or "-m" not in self._words:
            return {}
        return {"PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])}

    def close(self) -> None:
        """End what still runs, and remove the files that the runs needed."""
        self.end_all()
        self._folder.cleanup()

    # Verbs

    def spec(self) -> Said:
        return self.say(self.start("spec"))

    def check(self, config: Any = None) -> Said:
        return self.say(self.start("check", config=self.config if config is None else config))

    def discover(self, config: Any = None) -> Said:
        return self.say(self.start("discover", config=self.config if config is None else config))

    def say(self, process: Process) -> Said:
        """Run to the end."""
        return self.done(process.finish(self.timeout), process)

    def kill(self, process: Process) -> Said:
        """SIGKILL, and what it had said."""
        self._kill_container(process)
        return self.done(process.kill(), process)

    def done(self, run: Run, process: Process | None = None) -> Said:
        """Take note of a run that has ended."""
        if process is not None and run.code is None:
            self._kill_container(process)
        said = Said(run, parse(run.lines, run.tail, cut=run.code != 0))
        for watcher in self.watchers:
            watcher(said)
        return said

    def start(
        self,
        verb: str,
        *,
        config: Any = None,
        catalog: Any = None,
        state: Any = None,
        relative: bool = False,
        folder: Path | str | None = None,
        writable: Sequence[Path | str] = (),
        environment: Mapping[str, str] | None = None,
        pipe_size: int | None = None,
    ) -> Process:
        """Start a verb. What is given is written to files: JSON, or bytes as they are.

        The files have absolute paths, unless `relative`: then the command runs in their folder. `writable` makes the
        rest of the file system read-only.
        """
        self._runs += 1
        files = Path(self._folder.name) / str(self._runs)
        files.mkdir()
        arguments = [verb]
        base = "" if relative else f"{INSIDE if self.image else files}/"
        for option, value in {"config": config, "catalog": catalog, "state": state}.items():
            if value is not None:
                content = value if isinstance(value, bytes) else dumps(value).encode(errors="surrogatepass")
                (files / f"{option}.json").write_bytes(content)
                arguments += [f"--{option}", f"{base}{option}.json"]
        container = f"acceptance-{secrets.token_hex(6)}" if self.image else ""
        words = self._docker(files, container, bool(writable)) if self.image else self._words
        process = Process(
            [*words, *arguments],
            folder=folder or (files if relative else "."),
            environment={**self._modules_from_here, **self.environment, **(environment or {})},
            takes_input=verb == "write",
            writable=() if self.image else writable,
            pipe_size=pipe_size,
        )
        process.longest = self.timeout if verb in ANSWERS else None
        if container:
            self._containers[id(process)] = container
        self._processes.append(process)
        return process

    def end_all(self) -> None:
        """End what still runs: a test that fails in the middle leaves nothing behind."""
        for process in self._processes:
            if not process.finished:
                self._kill_container(process)
                process.end()
        self._processes.clear()

    def _docker(self, files: Path, container: str, read_only: bool) -> list[str]:
        assert self.image is not None
        for path in (Path(self._folder.name), files):
            path.chmod(0o755)
        options = ["--read-only", "--tmpfs=/tmp"] if read_only else []
        mount = ["-v", f"{files}:{INSIDE}"]
        return [
            "docker",
            "run",
            "--rm",
            "-i",
            f"--name={container}",
            *options,
            *self.docker_options,
            *mount,
            self.image,
        ]

    def _kill_container(self, process: Process) -> None:
        """The end of docker's client is not the end of its container."""
        container = self._containers.pop(id(process), None)
        if container is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(["docker", "kill", container], capture_output=True, timeout=30, check=False)


def _is_path(word: str) -> bool:
    """Whether a word of a command names a file here: the command is run in other directories too."""
    return not os.path.isabs(word) and (os.path.isfile(word) or (os.path.sep in word and os.path.exists(word)))
