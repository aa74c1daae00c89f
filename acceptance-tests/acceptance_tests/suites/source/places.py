"""Where it runs: any working directory, paths of either kind, a file system that is read-only but for one folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from acceptance_tests.guard import landlock_version
from acceptance_tests.reading import Reading
from acceptance_tests.source_subject import FULL, SourceSubject
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect
from acceptance_tests.suites.check import verdict

ALL: Register = []
behaviour = behaviours(ALL, "place")


def works(subject: SourceSubject, what: str, **options: Any) -> None:
    """Raise a Failure where check, discover or read do not work in such a place."""
    connector = subject.connector
    if connector.image is None:
        check = subject.finish("check", connector.start("check", config=subject.config, **options))
        expect(
            verdict(check) == "SUCCEEDED",
            f"{what}: `check` succeeds",
            check.story,
            "paths and files that it depends on",
        )
        discover = subject.finish("discover", connector.start("discover", config=subject.config, **options))
        expect(
            discover.ok and discover.transcript.of("CATALOG"),
            f"{what}: a catalog",
            discover.story,
            "files it depends on",
        )
    _ = subject.full
    reading = subject.read(subject.catalog(FULL), **options)
    expect(reading.ok, f"{what}: `read` ends well", reading.said.story, "paths and files that it depends on")
    _as_many(subject, reading, what)


def _as_many(subject: SourceSubject, reading: Reading, what: str) -> None:
    for stream in subject.full.streams:
        first, second = len(subject.full.by_stream[stream.id]), len(reading.by_stream[stream.id])
        if second < first:
            raise Failure(f"{what}: {first} rows of {stream.id}", f"{second}", "paths and files that it depends on")


@behaviour
def may_be_named_by_relative_paths(subject: SourceSubject) -> None:
    """`--config config.json --catalog catalog.json`, relative to the working directory, work as absolute paths do."""
    if subject.connector.image:
        raise NotApplicable("an image has a working directory of its own")
    works(subject, "with relative paths", relative=True)


@behaviour
def may_be_any_working_directory(subject: SourceSubject) -> None:
    """It works in `/` as in any other directory."""
    if subject.connector.image:
        raise NotApplicable("an image has a working directory of its own")
    works(subject, "in /", folder="/")


@behaviour
def may_be_read_only(subject: SourceSubject) -> None:
    """Only the temporary directory can be written to, and it works."""
    if not subject.connector.image and not landlock_version():
        raise NotApplicable("this system has no Landlock to make the file system read-only with")
    with tempfile.TemporaryDirectory(prefix="acceptance-tmp-") as folder:
        writable = [folder, "/dev", *(path for path in ("/tmp",) if Path(path).is_dir() and not _holds(subject, path))]
        works(
            subject,
            "read-only",
            folder="/",
            writable=writable,
            environment={"TMPDIR": folder, "TMP": folder, "TEMP": folder},
        )


def _holds(subject: SourceSubject, folder: str) -> bool:
    """Whether the home directory lies in there, which must not be writable."""
    return str(Path.home()).startswith(folder)
