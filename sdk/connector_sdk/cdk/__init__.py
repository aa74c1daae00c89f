"""Existing sources of airbyte-cdk under this SDK's command line: an `AbstractSource`, or a declarative manifest.

    python -m connector_sdk.cdk custom_source.py read --config config.json --catalog catalog.json
    python -m connector_sdk.cdk manifest.yaml discover --config config.json

A package of such a source has a console script with `main(CustomSource)`. The CDK reads; states, statuses, errors,
masking and flushing are ours. It needs the extra `cdk` (`pip install './sdk[cdk]'`), and only this package imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NoReturn

from connector_sdk.errors import ConfigError
from connector_sdk.source import Source

USAGE = """\
usage: python -m connector_sdk.cdk SOURCE {spec,check,discover,read} …

SOURCE is a Python file or module with one source of airbyte-cdk, or a declarative manifest (*.yaml).
`python -m connector_sdk.cdk SOURCE --help` says more.
"""


def adapted(source: type | str | Path) -> Source:
    """The source of airbyte-cdk that is in this file, module, manifest or class, as a source of this SDK."""
    try:
        import airbyte_cdk  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "airbyte_cdk":
            raise
        raise ConfigError("airbyte-cdk is not installed: pip install airbyte-cdk.") from None
    from connector_sdk.cdk.adapter import Adapter
    from connector_sdk.cdk.find import find

    return Adapter(find(source)).source()


def main(source: type | str | Path | None = None, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line over a source of airbyte-cdk; without `source`, the first argument names it."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    if source is None:
        source = _named(asked)
    ours = _loaded(source)
    from connector_sdk.cli import run

    run(ours, asked)


def _named(arguments: list[str]) -> str:
    """Take the source's name off the arguments, and run under it."""
    if not arguments or arguments[0].startswith("-"):
        print(USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments[:1] in (["-h"], ["--help"]) else 2)
    name = arguments.pop(0)
    sys.argv[0] = Path(name).stem
    return name


def _loaded(source: type | str | Path) -> Source:
    """What its file prints while it is loaded goes to the standard error; what fails is told as any failure is."""
    from connector_sdk.output import Output
    from connector_sdk.source import tell

    try:
        with redirect_stdout(sys.stderr):
            return adapted(source)
    except Exception as error:
        output = Output()
        tell(output, error)
        output.flush()
        sys.exit(1)
