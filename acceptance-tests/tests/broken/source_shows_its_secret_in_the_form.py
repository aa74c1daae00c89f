"""Does not mark its password as a secret."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "spec.marks_secrets"


class Broken(Source):
    def form(self) -> Json:
        form = super().form()
        del form["properties"]["password"]["airbyte_secret"]
        return form


if __name__ == "__main__":
    Broken().main()
