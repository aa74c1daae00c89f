"""Objects in a local folder: files that appear whole, and a note per stream and run of what they are."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from connector_sdk import ConfigError, StreamName, TransientError, log
from destination_s3.objects import Found, Tags
from destination_s3.paths import mark, run_of

NOTES = ".airbyte"
"""The folder of notes. What belongs to which stream stands there, since files cannot say it of themselves."""


def folder_of(url: str) -> Path:
    """The folder that a file URL names, as RFC 8089 says: absolute, percent-decoded, on this machine."""
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ConfigError("The folder's URL holds a bare ? or #: write %3F or %23 for them.")
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigError("A local folder is written with its whole path and three slashes: file:///some/folder.")
    if b"\0" in (path := unquote_to_bytes(parts.path)):
        raise ConfigError("The folder's URL holds a NUL character (%00), which no path can have.")
    return Path(os.fsdecode(path))


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Errors of the file system, in words that say what to do."""
    try:
        yield
    except OSError as error:
        place, why = error.filename or root, error.strerror or type(error).__name__
        if isinstance(error, _IN_THE_WAY) or error.errno in _LASTING:
            raise ConfigError(f"{place}: {why}. Make it writable, or name another folder.") from error
        raise TransientError(f"{place}: {why}.") from error


_IN_THE_WAY = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
_LASTING = {errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


class Folder:
    part_size = 1 << 18

    def __init__(self, root: Path) -> None:
        self._root = root
        self._noted: set[Path] = set()

    def warm_up(self) -> None:
        """A folder needs nothing."""

    def upload(self, key: str, tags: Tags) -> FileUpload:
        with _told(self._root):
            self._note(tags)
            return FileUpload(self._root / key, tags.run)

    def _note(self, tags: Tags) -> None:
        """Write down whose files bear the mark of this stream and run: before the first of them appears."""
        path = self._notes_of(tags.stream, tags.run)
        if path not in self._noted:
            stream = {"namespace": tags.stream.namespace, "name": tags.stream.name}
            note = json.dumps({**stream, "generation_id": tags.generation, "run_id": tags.run})
            _write(path, tags.run, note.encode())
            self._noted.add(path)

    def _notes_of(self, stream: StreamName, run: str) -> Path:
        return self._root / NOTES / f"note-{mark(stream, run)}.json"

    def require_listing(self, folder: str) -> None:
        with _told(self._root):
            if (self._root / folder).exists():
                os.listdir(self._root / folder)

    def find(self, folder: str, stream: StreamName) -> Iterator[Found]:
        tags: dict[str, Tags | None] = {}
        for path in self._files(folder):
            key = path.relative_to(self._root).as_posix()
            run = run_of(key, stream)
            if run is None or path.name.startswith(".") or key.startswith(f"{NOTES}/"):
                continue
            if run not in tags:
                tags[run] = self._tags(stream, run)
            if (known := tags[run]) is not None and known.stream == stream:
                yield Found(key, known)

    def _files(self, folder: str) -> list[Path]:
        with _told(self._root):
            return [path for path in (self._root / folder).rglob("*") if path.is_file()]

    def _tags(self, stream: StreamName, run: str) -> Tags | None:
        try:
            note = json.loads(self._notes_of(stream, run).read_bytes())
            return Tags(StreamName(note["namespace"], note["name"]), note["generation_id"], note["run_id"])
        except (FileNotFoundError, ValueError, KeyError):
            log.warning(
                "The note %s on older files is lost: they are left where they are.", self._notes_of(stream, run)
            )
            return None

    def delete(self, found: Iterable[Found]) -> None:
        """Files first, then the notes on them: a crash between leaves a note without files, which harms nobody."""
        notes = set()
        with _told(self._root):
            for key, tags in found:
                path = self._root / key
                path.unlink(missing_ok=True)
                self._remove_empty(path.parent)
                notes.add(self._notes_of(tags.stream, tags.run))
            for note in notes:
                note.unlink(missing_ok=True)

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def remove_leftovers(self, folder: str, stream: StreamName, run: str) -> None:
        for path in {*self._files(folder), *self._files(NOTES)}:
            name, hidden, writer = path.name.rpartition(".tmp-")
            if hidden and name.startswith(".") and writer != run and run_of(name, stream) == writer:
                log.info("Removing %s, which a run that was cut off left behind.", path)
                path.unlink(missing_ok=True)

    def check(self, folder: str) -> None:
        place = self._root / folder
        with _told(self._root):
            _write(place / "airbyte-check", "check", b"May be removed.")
            os.listdir(place)
            (place / "airbyte-check").unlink()
            self._remove_empty(place)


class FileUpload:
    """A hidden file until it is whole and on the disk; then it gets its name in one step."""

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._hidden = path.with_name(f".{path.name}.tmp-{run}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._hidden.open("wb", buffering=0)
        self._done = False

    def part(self, data: bytes) -> None:
        with _told(self._hidden):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self, last: bytes) -> None:
        self.part(last)
        with _told(self._path):
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._hidden, self._path)
            _sync_folder(self._path.parent)
        self._done = True

    def abort(self) -> None:
        if not self._done:
            self._done = True
            with suppress(OSError):
                self._file.close()
                self._hidden.unlink()


def _write(path: Path, run: str, content: bytes) -> None:
    """A small file, whole or not at all."""
    upload = FileUpload(path, run)
    try:
        upload.finish(content)
    finally:
        upload.abort()


def _sync_folder(folder: Path) -> None:
    """Make the new name last. Some systems cannot open a folder; they have no way to ask for this."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
