"""Keeps its config in its states."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "always.secrets_stay_secret"


class Broken(Source):
    def config(self, path: str) -> Json:
        self.given = super().config(path)
        return self.given

    def state(self, stream: Json, state: Json) -> None:
        super().state(stream, {**state, "config": self.given})


if __name__ == "__main__":
    Broken().main()
