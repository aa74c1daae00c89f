"""Takes a state that it cannot read for a first run."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "resume.refuses_a_state_that_it_cannot_read"


class Broken(Source):
    def states(self, path: str | None) -> Json:
        try:
            return super().states(path)
        except ValueError:
            return {}


if __name__ == "__main__":
    Broken().main()
