"""Gives the time of a record as text."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "always.messages_follow_the_protocol"


class Broken(Source):
    def say(self, kind: str, key: str, body: Json) -> None:
        if kind == "RECORD":
            body = {**body, "emitted_at": str(body["emitted_at"])}
        super().say(kind, key, body)


if __name__ == "__main__":
    Broken().main()
