"""Takes an explicit null in a state for a value."""

from __future__ import annotations

import json
from pathlib import Path

from good_source import Json, Source

CAUGHT_BY = "resume.takes_a_state_with_explicit_nulls"


class Broken(Source):
    def states(self, path: str | None) -> Json:
        for state in json.loads(Path(path).read_text()) if path else []:
            if "global" in state:
                state["global"]["shared_state"]
        return super().states(path)


if __name__ == "__main__":
    Broken().main()
