"""Names its fields' types by what it happens to see."""

from __future__ import annotations

import random

from good_source import Json, Source

CAUGHT_BY = "discover.says_the_same_twice"


class Broken(Source):
    def entry(self, name: str, table: Json) -> Json:
        entry = super().entry(name, table)
        entry["json_schema"]["properties"]["sampled"] = {
            "type": random.choice(["string", "integer", "number", "object"])
        }
        entry["json_schema"]["properties"][f"seen_{random.randrange(10**6)}"] = {"type": "string"}
        return entry


if __name__ == "__main__":
    Broken().main()
