"""Answers spec with a picture of a cat."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "spec.answers"


class Broken(Source):
    def spec(self) -> Json:
        self.write("=^.^=\n")
        raise SystemExit(0)


if __name__ == "__main__":
    Broken().main()
