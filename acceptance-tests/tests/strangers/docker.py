"""Just enough of `docker`: `docker run [options] -v A:B IMAGE verb …` runs COMMAND with A in place of B.

COMMAND is an environment variable, IMAGE must be `image/under-test`. Other commands do nothing.
"""

from __future__ import annotations

import itertools
import os
import shlex
import sys

IMAGE = "image/under-test"


def main(words: list[str]) -> None:
    if words[:1] != ["run"] or IMAGE not in words:
        return
    place = words.index(IMAGE)
    mounts = [pair.split(":") for option, pair in itertools.pairwise(words[:place]) if option == "-v"]
    arguments = [_outside(word, mounts) for word in words[place + 1 :]]
    command = [*shlex.split(os.environ["COMMAND"]), *arguments]
    os.execvp(command[0], command)


def _outside(word: str, mounts: list[list[str]]) -> str:
    """The path on this side of a path in the container."""
    for outside, inside, *_ in mounts:
        if word == inside or word.startswith(f"{inside}/"):
            return outside + word[len(inside) :]
    return word


if __name__ == "__main__":
    main(sys.argv[1:])
