"""Leaves a process running when it is told to end."""

from __future__ import annotations

import subprocess
from typing import Any

from good_destination import Destination

CAUGHT_BY = "always.no_process_is_left"


class Broken(Destination):
    def on_sigterm(self, *_: Any) -> None:
        subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
        super().on_sigterm()


if __name__ == "__main__":
    Broken().main()
