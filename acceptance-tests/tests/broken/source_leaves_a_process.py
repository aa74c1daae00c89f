"""Leaves a process running in the background."""

from __future__ import annotations

import subprocess

from good_source import Json, Source

CAUGHT_BY = "always.no_process_is_left"


class Broken(Source):
    def check(self, config: Json) -> None:
        subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
        super().check(config)


if __name__ == "__main__":
    Broken().main()
