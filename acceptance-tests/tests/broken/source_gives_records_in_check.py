"""Gives the rows that its check has read."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "always.messages_follow_the_protocol"


class Broken(Source):
    def check(self, config: Json) -> None:
        for name, table in self.tables(config).items():
            for row in self.rows(table)[:1]:
                self.record({"name": name, "namespace": table["namespace"]}, row)


if __name__ == "__main__":
    Broken().main()
