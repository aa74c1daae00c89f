"""The `--get` of the good destination: `python get.py FOLDER`."""

from __future__ import annotations

import json
import sys

from good_destination import lines_of, path_of

request = json.load(sys.stdin)
for line in lines_of(path_of(sys.argv[1], (request["namespace"], request["stream"]))):
    print(line.partition(" ")[2])
