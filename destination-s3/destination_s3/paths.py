"""Names of objects: the patterns of the config, made safe, and the mark by which a run knows what is its own."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial

from connector_sdk import StreamName

LONGEST_SEGMENT = 180
"""Bytes of one part of a path, before the mark and the extension: file systems end at 255."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a stream: when the command began, and a name that no other run has."""

    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    id: str = field(default_factory=lambda: secrets.token_hex(4))


def fingerprint(stream: StreamName) -> str:
    """A hash of namespace and name, each with its length, so that no two streams share one. None is not ""."""
    parts = [b"-" if part is None else b"%d:%b" % (len(data := part.encode()), data) for part in stream]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def mark(stream: StreamName, run: str) -> str:
    """What stands in the name of every object of this stream and run, and of no other."""
    return f"{fingerprint(stream)[:12]}{run}"


def run_of(key: str, stream: StreamName) -> str | None:
    """The id of the run that wrote this key, if the key bears the mark of this stream."""
    found = re.search(rf"-{fingerprint(stream)[:12]}([0-9a-f]{{8}})(?![0-9a-f])[^/]*$", key)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all objects of one stream in one run."""

    stream: StreamName
    run: Run
    path: str
    """Folder in the bucket; may hold the variables of `path_format`."""
    path_format: str
    file_pattern: str
    extension: str
    """With its dots: `.jsonl.gz`."""
    sync_id: int | None = None

    @property
    def folder(self) -> str:
        """The longest folder that all objects of this stream share, whatever the run. It may be empty."""
        whole = self._expand({name: (lambda _run: "\0") for name in _PATH_VARIABLES}, lambda _variable: "\0")
        return tidy(whole.split("\0", 1)[0].rpartition("/")[0]).rstrip("/")

    def object(self, number: int) -> str:
        """The key of the object of this number: never that of another run, stream or number."""
        whole = self._expand(_PATH_VARIABLES, partial(self._file_value, self._file_values(number)))
        stem, extension = _split_extension(whole, self.extension)
        unique = mark(self.stream, self.run.id) + ("" if "{part_number}" in self.file_pattern else f"-{number}")
        return f"{tidy(stem)}-{unique}{extension}"

    def _expand(self, path_variables: _Variables, file_value: Callable[[str], str]) -> str:
        values = {"NAMESPACE": safe(self.stream.namespace or ""), "STREAM_NAME": safe(self.stream.name)}
        values |= {name: value(self.run) for name, value in path_variables.items()}
        text = f"{self.path.strip('/')}/{self.path_format}"
        text = re.sub(r"\$\{([A-Z_]+)\}", lambda match: values.get(match[1], match[0]), text)
        return text + re.sub(r"\{([^{}]+)\}", lambda match: file_value(match[1]), self.file_pattern)

    def _file_value(self, values: Mapping[str, str], variable: str) -> str:
        kind, _, pattern = variable.partition(":")
        if kind == "date" and pattern:
            return safe(_java_date(pattern, self.run.time))
        return values.get(variable, f"{{{variable}}}")

    def _file_values(self, number: int) -> dict[str, str]:
        now = datetime.now(timezone.utc)
        return {
            "date": f"{self.run.time:%Y_%m_%d}",
            "timestamp": str(_millis(now)),
            "timestamp:millis": str(_millis(now)),
            "timestamp:micros": str((now - _EPOCH) // timedelta(microseconds=1)),
            "part_number": str(number),
            "sync_id": str(self.sync_id or 0),
            "format_extension": self.extension,
        }


_Variables = Mapping[str, Callable[[Run], str]]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _millis(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


_PATH_VARIABLES: _Variables = {
    "YEAR": lambda run: f"{run.time:%Y}",
    "MONTH": lambda run: f"{run.time:%m}",
    "DAY": lambda run: f"{run.time:%d}",
    "HOUR": lambda run: f"{run.time:%H}",
    "MINUTE": lambda run: f"{run.time:%M}",
    "SECOND": lambda run: f"{run.time:%S}",
    "MILLISECOND": lambda run: f"{run.time.microsecond // 1000:04d}",  # Four digits, as Airbyte's own has it.
    "EPOCH": lambda run: str(_millis(run.time)),
    "UUID": lambda _run: str(uuid.uuid4()),
}
_JAVA_DATE = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def _java_date(pattern: str, time: datetime) -> str:
    return re.sub("yyyy|yy|MM|dd|HH|mm|ss", lambda match: time.strftime(_JAVA_DATE[match[0]]), pattern)


def safe(name: str) -> str:
    """A name with only the characters that Airbyte's own destination lets stand; accents fall, the rest becomes `_`."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return re.sub(r"[^A-Za-z0-9/!_.*')(&$@=;:+,?-]", "_", plain)


def tidy(path: str) -> str:
    """A path without empty parts, without parts that climb, each part short enough for a file system."""
    *folders, name = path.split("/")
    return "/".join(_segment(part) for part in (*filter(None, folders), name))


def _segment(part: str) -> str:
    """Nothing begins with a dot: `..` would climb, and what is hidden is ours."""
    part = f"_{part[1:]}" if part.startswith(".") else part
    data = part.encode()
    if len(data) <= LONGEST_SEGMENT:
        return part
    return data[: LONGEST_SEGMENT - 13].decode(errors="ignore") + "~" + hashlib.sha256(data).hexdigest()[:12]


def _split_extension(name: str, extension: str) -> tuple[str, str]:
    """Where the mark goes: before the extension, ours or the one that the pattern spells out."""
    if name.endswith(extension):
        return name.removesuffix(extension), extension
    found = re.search(r"(\.[A-Za-z0-9]{1,8}){1,2}$", name)
    return (name[: found.start()], found[0]) if found else (name, "")
