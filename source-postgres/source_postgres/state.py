"""The state of a stream: where an incremental read got to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from connector_sdk import ConfiguredStream, log

VERSION = 1


@dataclass(frozen=True, slots=True)
class State:
    """Every row whose cursor is below `cursor` and that no transaction from `xmin` on has written was delivered.

    With `complete` that holds for rows at the cursor, too. Without a cursor, `xmin` speaks for all rows; without
    `xmin`, rows that were written later with a lower cursor are not spoken of.
    """

    cursor_field: str | None = None
    cursor_type: str | None = None
    cursor: str | None = None
    """The text of the value."""
    xmin: str | None = None
    """A transaction number in 64 bits."""
    system: str | None = None
    """The cluster that counts the transactions."""
    table: str | None = None
    """The table that was read, by oid; None for what only shows the rows of others, and in states of long ago."""
    complete: bool = True

    def dump(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}


def load(stream: ConfiguredStream) -> State | None:
    """The state that the run starts from. One of another connector is told, and counts as none."""
    raw = stream.state
    if not raw:
        return None
    state = _parsed(raw)
    if state is None:
        log.warning("The state of %s is not one of this connector's (of another version or connector, perhaps): the "
                    "stream begins anew.", stream.id)  # fmt: skip
    return state


def _parsed(raw: Mapping[str, Any]) -> State | None:
    fields = State.__dataclass_fields__
    known = {key: raw[key] for key in fields if key in raw}
    texts = [value for key, value in known.items() if key != "complete"]
    missing = fields.keys() - known.keys() - {"table"}
    if raw.get("version") != VERSION or missing or not isinstance(known["complete"], bool):
        return None
    if not all(value is None or isinstance(value, str) for value in texts):
        return None
    if known["xmin"] is not None and not known["xmin"].isdecimal():
        return None
    return State(**known)


def anew(stream: ConfiguredStream, why: str) -> None:
    """Tell that the state is of no use."""
    log.warning("%s begins anew: %s.", stream.id, why)
