"""`python -m connector_parts build`: build once what has to be built, and say what is there and what is missing."""

from __future__ import annotations

import sys

from connector_parts.parts import survey


def main() -> int:
    if sys.argv[1:] not in (["build"], ["list"]):
        sys.stderr.write("usage: python -m connector_parts build | list\n")
        return 2
    for part in survey(build=sys.argv[1] == "build"):
        sys.stdout.write(f"{part}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
