"""Offers a sync mode that the protocol does not have."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "spec.sync_modes_are_known"


class Broken(Destination):
    modes = ("append", "upsert")


if __name__ == "__main__":
    Broken().main()
