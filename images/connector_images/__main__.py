"""`python -m connector_images build [CONNECTOR …]`, `measure` them, and `pages` to write those of docs/connectors."""

from __future__ import annotations

import argparse
import sys

from connector_images import measure, pages
from connector_images.build import Failed, build
from connector_images.tree import connectors, version
from connector_parts import Missing
from connector_parts.containers import engine


def main() -> int:
    asked = _parser().parse_args()
    try:
        code: int = asked.command(asked)
    except (Missing, Failed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return code


def _build(asked: argparse.Namespace) -> int:
    found = engine()
    for connector in asked.connector or connectors():
        name = build(connector, found, base=asked.base, prefix=asked.prefix, loud=asked.verbose)
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
    if found.base:
        sys.stdout.write(f"No Docker engine answers here: they are in podman's store. Run them with {found.docker}\n")
    return 0


def _measure(asked: argparse.Namespace) -> int:
    found = engine()
    for line in measure.table(
        found, asked.image or [f"{connector}:{version(connector)}" for connector in connectors()]
    ):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    return 0


def _pages(asked: argparse.Namespace) -> int:
    stale = pages.stale()
    if asked.check:
        sys.stdout.write("".join(f"stale: {page}\n" for page in stale))
        return 1 if stale else 0
    for page, text in stale.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text)
        sys.stdout.write(f"{page}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connector_images", description=__doc__)
    commands = parser.add_subparsers(required=True)
    building = commands.add_parser("build", help="build images; without a name those of all connectors")
    building.add_argument("connector", nargs="*", choices=[*connectors(), []], metavar="CONNECTOR")
    building.add_argument("--base", help="the image to build on")
    building.add_argument("--prefix", default="", help="put before the name, such as ghcr.io/me/")
    building.add_argument("--verbose", action="store_true", help="show what docker says")
    building.set_defaults(command=_build)
    measuring = commands.add_parser("measure", help="measure size and start of images that were built")
    measuring.add_argument("image", nargs="*", metavar="IMAGE")
    measuring.set_defaults(command=_measure)
    writing = commands.add_parser("pages", help="write the pages of docs/connectors that are not up to date")
    writing.add_argument("--check", action="store_true", help="write nothing, and fail if a page is not up to date")
    writing.set_defaults(command=_pages)
    return parser


if __name__ == "__main__":
    sys.exit(main())
