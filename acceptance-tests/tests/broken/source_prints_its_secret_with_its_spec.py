"""Prints where it stands with its form, and its config when it has read it."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "always.standard_output_holds_messages_only"


class Broken(Source):
    def spec(self) -> Json:
        self.write("here is the form\n")
        return super().spec()

    def check(self, config: Json) -> None:
        self.write(f"{config}\n")
        super().check(config)


if __name__ == "__main__":
    Broken().main()
