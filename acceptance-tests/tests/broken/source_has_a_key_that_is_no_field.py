"""Names a primary key that its schema does not have."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "discover.has_keys_in_the_schema"


class Broken(Source):
    def entry(self, name: str, table: Json) -> Json:
        return {**super().entry(name, table), "source_defined_primary_key": [["_id"]]}


if __name__ == "__main__":
    Broken().main()
