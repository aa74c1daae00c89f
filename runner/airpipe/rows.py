"""Rows whose fields are renamed or left out: the only RECORDs that are looked into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def changer(exclude: Sequence[str], rename: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """Rewrites a RECORD line. Values keep every digit and character: they are never decoded."""
    left_out = frozenset(exclude)

    def change(line: bytes) -> bytes:
        message = _object(line)
        record = _object(message["record"])
        data = _object(record["data"])
        kept = {rename.get(key, key): value for key, value in data.items() if key not in left_out}
        record["data"] = msgspec.Raw(_encode(kept))
        if "meta" in record:
            record["meta"] = msgspec.Raw(_changed_meta(record["meta"], left_out, rename))
        return _encode({**message, "record": record}) + b"\n"

    return change


def _changed_meta(meta: msgspec.Raw, left_out: frozenset[str], rename: Mapping[str, str]) -> bytes:
    """What was changed in fields, under their new names."""
    found = msgspec.json.decode(meta)
    if isinstance(found, dict) and isinstance(found.get("changes"), list):
        found["changes"] = [
            {**change, "field": rename.get(change["field"], change["field"])}
            for change in found["changes"]
            if change.get("field") not in left_out
        ]
    return _encode(found)
