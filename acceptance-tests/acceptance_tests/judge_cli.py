"""connector-judge: a sync of a source and a destination by the stock platform's rules, and the verdict."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from acceptance_tests.arguments import catalog_file, command_line, config_file, file_to_write, json_file, write
from acceptance_tests.connector import Connector
from acceptance_tests.judge import Judge, SyncFailed, Verdict, replicate
from acceptance_tests.protocol import Json, Stream, configured, dumps

EXAMPLES = """\
example:
  connector-judge --source source-postgres --source-config pg.json \\
                  --destination destination-s3 --destination-config s3.json --mode overwrite --state-out state.json

Done is what the platform does: ids are added to states and required back, names matched exactly, records without
fields dropped, undeclared fields removed, counts compared, a stream complete only when its last state came back.
exit code: 0 the platform would call the sync a success, 1 it would not, 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    source = Connector(asked.source_config, command=asked.source, timeout=asked.timeout)
    destination = Connector(asked.destination_config, command=asked.destination, timeout=asked.timeout)
    try:
        catalog = asked.catalog or _discovered(source, asked)
        verdict = sync(source, destination, catalog, asked.state, refreshes=asked.refreshes)
    except SyncFailed as failure:
        verdict = Verdict([str(failure)])
    finally:
        source.close()
        destination.close()
    _tell(verdict, asked)
    sys.exit(0 if verdict.ok else 1)


def sync(
    source: Connector,
    destination: Connector,
    catalog: list[Json],
    state: Json | None = None,
    *,
    refreshes: bool = False,
) -> Verdict:
    """One sync. Raises SyncFailed where the catalog alone is enough to fail it."""
    judge = Judge(catalog, refreshes=refreshes)
    reading = [_as_the_source_sees_it(entry) for entry in catalog]
    writing = [_as_the_destination_sees_it(entry) if refreshes else entry for entry in catalog]
    read = source.start("read", config=source.config, catalog={"streams": reading}, state=state)
    write = destination.start("write", config=destination.config, catalog={"streams": writing})
    with read, write:
        return replicate(read, write, judge, source.timeout)


def _as_the_source_sees_it(entry: Json) -> Json:
    mode = entry["destination_sync_mode"]
    return {**entry, "destination_sync_mode": "append" if mode in ("update", "soft_delete") else mode}


def _as_the_destination_sees_it(entry: Json) -> Json:
    """Where refreshes are supported, an overwrite arrives as append of a new generation."""
    if entry["destination_sync_mode"] != "overwrite":
        return {"generation_id": 0, "minimum_generation_id": 0, "sync_id": 1, **entry}
    return {"generation_id": 1, "minimum_generation_id": 1, "sync_id": 2, **entry, "destination_sync_mode": "append"}


def _discovered(source: Connector, asked: argparse.Namespace) -> list[Json]:
    """All streams that the source has, in the modes that were asked for."""
    said = source.discover()
    catalogs = said.transcript.of("CATALOG")
    if not catalogs:
        raise SyncFailed(f"discover gave no catalog: {said.story}")
    return [_entry(Stream(entry), asked) for entry in catalogs[0].body["streams"]]


def _entry(stream: Stream, asked: argparse.Namespace) -> Json:
    mode = "incremental" if asked.incremental and "incremental" in stream.modes else "full_refresh"
    return configured(stream.entry, mode, asked.mode, cursor=stream.cursor, key=stream.key)


def _tell(verdict: Verdict, asked: argparse.Namespace) -> None:
    for text in verdict.warnings:
        print(f"warning: {text}")
    for text in verdict.failures:
        print(f"FAILED: {text}")
    for stream, count in verdict.read.items():
        print(f"{stream}: {count} records{', complete' if stream in verdict.complete else ''}")
    print("the sync is a success" if verdict.ok else "the sync fails")
    if asked.state_out:
        write(asked.state_out, dumps(verdict.states).encode(errors="surrogatepass") + b"\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="connector-judge",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for side in ("source", "destination"):
        parser.add_argument(
            f"--{side}", metavar="CMD", type=command_line, required=True, help=f"how the {side} is started"
        )
        parser.add_argument(
            f"--{side}-config", metavar="FILE", type=config_file, required=True, help="its config, as JSON"
        )
    parser.add_argument(
        "--catalog", metavar="FILE", type=catalog_file, help="a configured catalog; without it all streams are synced"
    )
    parser.add_argument("--mode", default="append", choices=["append", "overwrite", "append_dedup"])
    parser.add_argument("--incremental", action="store_true", help="where a stream can be")
    parser.add_argument("--refreshes", action="store_true", help="as a destination that is known to support refreshes")
    parser.add_argument("--state", metavar="FILE", type=json_file, help="the states of the last sync")
    parser.add_argument(
        "--state-out", metavar="FILE", type=file_to_write, help="where to write the acknowledged states"
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=60.0, help="longest silence of both (60)")
    return parser


if __name__ == "__main__":
    main()
