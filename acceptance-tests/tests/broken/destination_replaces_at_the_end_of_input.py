"""Takes the end of the input for success."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "overwrite.keeps_the_old_result_when_the_source_died"


class Broken(Destination):
    def end(self, broken: str | None) -> None:
        for stream in self.streams.values():
            stream.finish()
        super().end(broken)


if __name__ == "__main__":
    Broken().main()
