"""Prints the header that its password stands in."""

from __future__ import annotations

import base64
import sys

from good_source import Json, Source

CAUGHT_BY = "always.secrets_stay_secret"


class Broken(Source):
    def check(self, config: Json) -> None:
        pair = f"reader:{config['password']}".encode()
        sys.stderr.write(f"GET / Authorization: Basic {base64.b64encode(pair).decode()}\n")
        super().check(config)


if __name__ == "__main__":
    Broken().main()
