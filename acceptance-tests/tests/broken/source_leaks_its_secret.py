"""Quotes its config in an error."""

from __future__ import annotations

from pathlib import Path

from good_source import ConfigError, Json, Source

CAUGHT_BY = "always.secrets_stay_secret"


class Broken(Source):
    def config(self, path: str) -> Json:
        config = super().config(path)
        if not Path(config["folder"]).is_dir():
            raise ConfigError(f"this config does not work: {config}")
        return config


if __name__ == "__main__":
    Broken().main()
