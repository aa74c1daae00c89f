"""Finds its files only from where it was written."""

from __future__ import annotations

import os

from good_source import Json, Source

CAUGHT_BY = "place.may_be_named_by_relative_paths"


class Broken(Source):
    def config(self, path: str) -> Json:
        os.chdir(os.path.dirname(os.path.abspath(__file__)))
        return super().config(path)


if __name__ == "__main__":
    Broken().main()
