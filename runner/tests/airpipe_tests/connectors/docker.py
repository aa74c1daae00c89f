"""What `docker run` and `docker rm` do as far as airpipe can tell: images are scripts beside this one.

Like the real one it takes the mounts, the name and `-i` seriously: a container outlives its client, until
`docker rm -f NAME`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONTAINERS = Path(os.environ["DOCKER_CONTAINERS"])


def run(words: list[str]) -> int:
    mounts: dict[str, str] = {}
    environment = dict(os.environ)
    name = ""
    while words[0].startswith("-"):
        word = words.pop(0)
        if word == "-v":
            outside, inside, *_ = words.pop(0).split(":")
            mounts[inside] = outside
        elif word == "--name":
            name = words.pop(0)
        elif word == "-e":
            variable, _, value = words.pop(0).partition("=")
            environment[variable] = value
    image, *arguments = words
    for inside, outside in mounts.items():
        arguments = [argument.replace(inside, outside) for argument in arguments]
    command = [sys.executable, str(HERE / f"{image.partition('/')[2].partition(':')[0]}.py"), *arguments]
    container = subprocess.Popen(command, start_new_session=True, env=environment)
    (CONTAINERS / name).write_text(str(container.pid))
    signal.signal(signal.SIGTERM, lambda *_: container.terminate())
    code = container.wait()
    (CONTAINERS / name).unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def remove(name: str) -> int:
    path = CONTAINERS / name
    if path.exists():
        os.killpg(int(path.read_text()), signal.SIGKILL)
        path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:]) if sys.argv[1] == "run" else remove(sys.argv[-1]))
