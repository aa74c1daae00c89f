"""Takes PyAirbyte's 1/1/1 for an order to begin anew."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append.keeps_both_runs_with_ids_of_pyairbyte"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        if stream.minimum == 1:
            stream.replace([])
        return stream


if __name__ == "__main__":
    Broken().main()
