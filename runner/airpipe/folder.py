"""A private folder for what connectors are given as files: configs with their secrets, catalogs, states."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

_PREFIX = "airpipe-"


class Folder:
    """It goes with the run, or with the guards of a dead run. What these could not clear away, the next run does."""

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
