"""connector-acceptance: run the suite against a command or an image, and report."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Sequence

from acceptance_tests import report
from acceptance_tests.arguments import command_line, config_file, file_to_write, pair, write
from acceptance_tests.connector import Connector
from acceptance_tests.destination_subject import DestinationSubject
from acceptance_tests.hooks import shell_get, shell_put
from acceptance_tests.report import Outcome
from acceptance_tests.source_subject import SourceSubject
from acceptance_tests.subject import Subject
from acceptance_tests.suite import Behaviour, chosen, run, unknown

EXAMPLES = """\
examples:
  connector-acceptance --command source-faker --config faker.json
  connector-acceptance --command "python my_destination.py" --config c.json --get 'cat "out/$(jq -r .stream).jsonl"'
  connector-acceptance --image me/source-foo --config c.json --html report.html

--put is a shell command that is given {"stream", "namespace", "rows": [...], "delete": [...]} on standard input: rows
to put into the source's system (an existing key is replaced), and keys of rows to delete. It ends 0 when that is done.
--get is a shell command that is given {"stream", "namespace"} and prints what the store holds as a reader sees it,
one JSON object a line. Without them, the tests that need them are skipped.

exit code: 0 nothing failed, 1 something failed, 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # What a connector says need not fit the terminal.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.list:
        return _list()
    if asked.config is None or (asked.command is None) == (asked.image is None):
        parser.error("--config is needed, and either --command or --image")
    connector = _connector(asked)
    outcomes = _run(connector, asked, dict(asked.waive), parser)
    print(f"\n{connector.name}: {report.summary(outcomes)}", flush=True)
    _write(outcomes, connector.name, asked)
    sys.exit(1 if report.failed(outcomes) else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="connector-acceptance",
        description="A black-box test of any Airbyte connector: what it promises by being one, it has to show.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--command", metavar="CMD", type=command_line, help='how the connector is started, such as "source-foo"'
    )
    parser.add_argument("--image", metavar="NAME", help="an image instead, run by the docker on PATH")
    parser.add_argument("--config", metavar="FILE", type=config_file, help="a config that works, as JSON")
    parser.add_argument("--put", metavar="CMD", help="puts rows into the source's system")
    parser.add_argument("--get", metavar="CMD", help="prints what the destination's store holds")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=60.0, help="longest wait for an answer (60)"
    )
    pairs = [
        ("--cursor", "STREAM=FIELD", "where there is no default"),
        ("--waive", "TEST=REASON", "a failure that is accepted"),
    ]
    for option, form, meaning in pairs:
        parser.add_argument(option, metavar=form, type=pair(form), action="append", default=[], help=meaning)
    parser.add_argument(
        "--only", metavar="PATTERN", action="append", default=[], help="run tests such as 'read.*' only"
    )
    parser.add_argument("--fast", action="store_true", help="leave out what takes more than a few seconds")
    parser.add_argument("--docker-option", metavar="OPTION", action="append", default=[], help="such as --network=host")
    reports = [
        ("--json", "write a list of {test, outcome, message}"),
        ("--junit", "write JUnit's XML"),
        ("--html", "write a page to read"),
    ]
    for option, meaning in reports:
        parser.add_argument(option, metavar="FILE", type=file_to_write, help=meaning)
    parser.add_argument("--list", action="store_true", help="list the tests of both suites")
    return parser


def _connector(asked: argparse.Namespace) -> Connector:
    return Connector(
        config=asked.config,
        command=asked.command,
        image=asked.image,
        timeout=asked.timeout,
        cursors=dict(asked.cursor),
        docker_options=asked.docker_option,
    )


def _list() -> None:
    from acceptance_tests.suites import DESTINATION, SOURCE

    for title, register in (("sources", SOURCE), ("destinations", DESTINATION)):
        print(f"{title}:")
        for one in register:
            print(f"  {one.name}: {one.promise}{' (slow)' if one.slow else ''}")


def _run(
    connector: Connector, asked: argparse.Namespace, waivers: dict[str, str], parser: argparse.ArgumentParser
) -> list[Outcome]:
    """The verdicts, each told as it falls. Without a spec there is one."""
    first = Subject(connector)
    outcomes: list[Outcome] = []
    try:
        spec = next(iter(run([_answers()], first, {})))
        if spec.outcome != report.PASSED:
            print(report.line(spec))
            return [spec]
        is_destination = first.is_destination
        connector.watchers.clear()
        subject = _subject(connector, asked, is_destination)
        subject.take_over(first)
        for one in run(_tests(asked, is_destination, waivers, parser), subject, waivers):
            print(report.line(one), flush=True)
            outcomes.append(one)
    finally:
        connector.close()
    return outcomes


def _answers() -> Behaviour:
    from acceptance_tests.suites import SOURCE

    return SOURCE[0]


def _subject(connector: Connector, asked: argparse.Namespace, is_destination: bool) -> Subject:
    if is_destination:
        return DestinationSubject(connector, shell_get(asked.get, asked.timeout) if asked.get else None)
    return SourceSubject(connector, shell_put(asked.put, asked.timeout) if asked.put else None)


def _tests(
    asked: argparse.Namespace, is_destination: bool, waivers: dict[str, str], parser: argparse.ArgumentParser
) -> list[Behaviour]:
    from acceptance_tests.suites import DESTINATION, SOURCE

    register = DESTINATION if is_destination else SOURCE
    if strange := unknown(waivers, register):
        parser.error(f"--waive names tests that do not exist: {', '.join(strange)}")
    found = [one for one in chosen(register, asked.only) if not (asked.fast and one.slow)]
    if not found:
        parser.error(f"--only {' '.join(asked.only)}: there is no such test; --list names all of them")
    return found


def _write(outcomes: list[Outcome], name: str, asked: argparse.Namespace) -> None:
    texts = [
        (asked.json, report.as_json(outcomes)),
        (asked.junit, report.as_junit(outcomes, name)),
        (asked.html, report.as_html(outcomes, name)),
    ]
    for path, text in texts:
        if path is not None:
            write(path, text.encode(errors="replace"))


if __name__ == "__main__":
    main()
