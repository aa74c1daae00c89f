"""The command as a process: signals, lost servers, slow readers, memory."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_parts.postgres import Database, Postgres

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
Messages = list[dict[str, Any]]

PAD = "repeat(md5(random()::text), 30)"


def fill(database: Database, rows: int) -> None:
    database.execute("create table t (id int primary key, c int, pad text)")
    database.execute(f"insert into t select g, g, {PAD} from generate_series(1, {rows}) g; analyze t")


def config_of(database: Database, **options: Any) -> dict[str, Any]:
    return {
        "host": database.host,
        "port": database.port,
        "database": database.database,
        "username": database.user,
        "password": database.password,
        "ssl_mode": {"mode": "disable"},
        **options,
    }


def catalog_of(command: Any, config: Any, **stream: Any) -> Any:
    """Everything that is offered, configured."""
    messages, _ = command.run("discover", config)
    (catalog,) = [message["catalog"] for message in messages if message["type"] == "CATALOG"]
    configured = {"sync_mode": "full_refresh", "destination_sync_mode": "append", **stream}
    return {"streams": [{"stream": offered, **configured} for offered in catalog["streams"]]}


INCREMENTAL = {"sync_mode": "incremental", "cursor_field": ["c"]}


def ids(messages: Messages) -> list[int]:
    return [message["record"]["data"]["id"] for message in messages if message["type"] == "RECORD"]


def states(messages: Messages) -> Messages:
    return [message["state"] for message in messages if message["type"] == "STATE"]


def statuses(messages: Messages) -> list[str]:
    traces = [message["trace"] for message in messages if message["type"] == "TRACE"]
    return [trace["stream_status"]["status"] for trace in traces if trace["type"] == "STREAM_STATUS"]


def errors(messages: Messages) -> Messages:
    traces = [message["trace"] for message in messages if message["type"] == "TRACE"]
    return [trace["error"] for trace in traces if trace["type"] == "ERROR"]


def messages_of(output: bytes) -> Messages:
    assert not output or output.endswith(b"\n")
    return [json.loads(line) for line in output.splitlines()]


def take(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """Read on to a line that holds these bytes."""
    assert process.stdout
    taken = b""
    while True:
        line = process.stdout.readline()
        assert line, taken[-2000:]
        taken += line
        if wanted in line:
            return taken


def test_the_commands(database: Database, command: Any) -> None:
    fill(database, 10)
    config = config_of(database)
    spec, code = command.run("spec", None)
    assert (code, spec[0]["type"]) == (0, "SPEC")
    checked, code = command.run("check", config)
    assert (code, checked[-1]["connectionStatus"]) == (0, {"status": "SUCCEEDED"})
    refused, code = command.run("check", {**config, "database": "nope"})
    assert code == 0
    assert refused[-1]["connectionStatus"]["status"] == "FAILED"
    messages, code = command.run("read", config, catalog_of(command, config))
    assert code == 0
    assert sorted(ids(messages)) == list(range(1, 11))
    assert statuses(messages) == ["STARTED", "RUNNING", "COMPLETE"]
    messages, code = command.run("read", config, catalog_of(command, config, **INCREMENTAL))
    assert code == 0
    (state,) = states(messages)
    assert state["stream"]["stream_state"]["cursor"] == "10"
    again, code = command.run("read", config, catalog_of(command, config, **INCREMENTAL), [state])
    assert (code, ids(again)) == (0, [])
    (after,) = (s["stream"] for s in states(again))
    before = state["stream"]
    # Whatever else runs on the server, its own housekeeping included, may have moved the snapshot on.
    assert int(after["stream_state"].pop("xmin")) >= int(before["stream_state"].pop("xmin"))
    assert after == before


def test_spec_loads_no_driver() -> None:
    program = (
        "import sys, source_postgres.source;"
        "print([m for m in ('psycopg', 'asyncssh', 'cryptography', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("how", [{}, INCREMENTAL])
@pytest.mark.parametrize("moment", ["reading", "stopped reader", "locked"])
def test_sigterm(database: Database, command: Any, how: Any, moment: str) -> None:
    fill(database, 20_000)
    config = config_of(database, max_db_connections=2)
    catalog = catalog_of(command, config, **how)
    if moment == "locked":
        with database.connect(autocommit=False) as other:
            other.execute("lock table t")
            process = command.start("read", config, catalog)
            take(process, b"STARTED")
            wait_until(database, "exists (select from pg_locks where not granted)")
            output = ended(process)
    else:
        process = command.start("read", config, catalog)
        output = take(process, b'"RECORD"')
        if moment == "stopped reader":
            wait_until(database, "exists (select from pg_stat_activity where wait_event = 'ClientWrite')")
        output += ended(process)
    messages = messages_of(output)
    assert process.returncode == 128 + signal.SIGTERM
    assert statuses(messages)[-1] == "INCOMPLETE"
    wait_until(
        database,
        "not exists (select from pg_stat_activity where application_name = 'source-postgres' and state = 'active')",
    )


def ended(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    output = rest_of(process)
    assert time.monotonic() - start < 10  # The promise is part of what is tested here.
    return output


def rest_of(process: subprocess.Popen[bytes]) -> bytes:
    """What it still says, to its end."""
    assert process.stdout
    output = process.stdout.read()
    process.wait()
    return output


def test_a_reader_that_stops_for_long(database: Database, command: Any) -> None:
    """Every timeout of the role is over before it goes on, and no row is missing."""
    fill(database, 20_000)
    database.execute(
        "create role hasty login; grant select on t to hasty; alter role hasty set statement_timeout = '500ms';"
        "alter role hasty set idle_in_transaction_session_timeout = '500ms';"
        "alter role hasty set transaction_timeout = '500ms'; alter role hasty set lock_timeout = '500ms';"
        "alter role hasty set tcp_user_timeout = '500ms'"
    )
    try:
        config = config_of(database, username="hasty", max_db_connections=3)
        process = command.start("read", config, catalog_of(command, config))
        output = take(process, b'"RECORD"')
        wait_until(database, "exists (select from pg_stat_activity where wait_event = 'ClientWrite')")
        time.sleep(2)  # Four times as long as each timeout.
        rest = rest_of(process)
        assert process.returncode == 0
        assert sorted(ids(messages_of(output + rest))) == list(range(1, 20_001))
    finally:
        database.execute("drop owned by hasty; drop role hasty")


def test_what_is_told_while_rows_flow(database: Database, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress of a long run, and notices of the server, which come from within libpq."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    database.execute(
        "create function says(g int) returns int language plpgsql as"
        " $$ begin raise warning 'row %', g; perform pg_sleep(1.1); return g; end $$;"
        "create view talkative as select says(g) as id from generate_series(1, 11) g"
    )
    config = config_of(database)
    messages, code = command.run("read", config, catalog_of(command, config))
    assert code == 0
    assert ids(messages) == list(range(1, 12))
    told = [message["log"]["message"] for message in messages if message["type"] == "LOG"]
    assert [line for line in told if line.startswith("PostgreSQL: row")] == [
        f"PostgreSQL: row {g}" for g in range(1, 12)
    ]
    assert any(line.endswith("so far") for line in told)


def kill_backends(database: Database) -> None:
    database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'source-postgres'"
    )


def test_a_killed_connection_is_resumed_from_the_last_checkpoint(database: Database, command: Any) -> None:
    fill(database, 30_000)
    config = config_of(database, checkpoint_target_interval_seconds=1)
    process = command.start("read", config, catalog_of(command, config, **INCREMENTAL))
    output = take(process, b'"STATE"')
    kill_backends(database)
    rest = rest_of(process)
    messages = messages_of(output + rest)
    assert process.returncode == 0, errors(messages)
    assert set(ids(messages)) == set(range(1, 30_001))
    assert statuses(messages) == ["STARTED", "RUNNING", "COMPLETE"]
    assert len(ids(messages)) < 60_000


def test_a_killed_full_refresh_is_told(database: Database, command: Any) -> None:
    fill(database, 20_000)
    config = config_of(database)
    process = command.start("read", config, catalog_of(command, config))
    output = take(process, b'"RECORD"')
    kill_backends(database)
    rest = rest_of(process)
    messages = messages_of(output + rest)
    assert process.returncode == 1
    assert statuses(messages)[-1] == "INCOMPLETE"
    (error,) = errors(messages)
    assert error["failure_type"] == "transient_error"
    assert error["stream_descriptor"] == {"name": "t", "namespace": "public"}


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with Postgres("18") as server:
        yield server


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_the_server_is_restarted_meanwhile(own_server: Postgres, command: Any, way: str) -> None:
    database = own_server.create_database()
    fill(database, 30_000)
    config = config_of(database, checkpoint_target_interval_seconds=1)
    process = command.start("read", config, catalog_of(command, config, **INCREMENTAL))
    output = take(process, b'"STATE"')
    if way == "restart":
        own_server.restart()
    else:
        own_server.kill()
        own_server.start()
    rest = rest_of(process)
    messages = messages_of(output + rest)
    assert process.returncode == 0, errors(messages)
    assert set(ids(messages)) == set(range(1, 30_001))


def wait_until(database: Database, condition: str) -> None:
    deadline = time.monotonic() + 20
    while not database.execute(f"select {condition}")[0][0]:
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


# Slow: many moments, and memory


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_at_many_moments(database: Database, command: Any) -> None:
    """Somebody writes all the time; each run goes on from the last state that came out of the one before."""
    database.execute("create table t (id serial primary key, c timestamptz default now(), pad text)")
    database.execute(f"insert into t (pad) select {PAD} from generate_series(1, 5000)")
    config = config_of(database, checkpoint_target_interval_seconds=1)
    catalog = catalog_of(command, config, **INCREMENTAL)
    stop = threading.Event()
    writers = [threading.Thread(target=write, args=(database, stop, number)) for number in range(2)]
    for writer in writers:
        writer.start()
    chance = random.Random(1)
    seen: set[int] = set()
    state: Any = None
    for _ in range(40):
        process = command.start("read", config, catalog, state)
        killer = threading.Timer(chance.uniform(0.2, 2.5), process.kill)
        killer.start()
        output = rest_of(process)
        killer.cancel()
        messages = messages_of(output[: output.rfind(b"\n") + 1])
        delivered = up_to_last_state(messages)
        seen |= set(ids(delivered))
        state = states(messages)[-1:] or state
    stop.set()
    for writer in writers:
        writer.join()
    messages, code = command.run("read", config, catalog, state)
    assert code == 0
    seen |= set(ids(messages))
    assert {row[0] for row in database.execute("select id from t")} <= seen


def up_to_last_state(messages: Messages) -> Messages:
    """What a destination may have kept for good."""
    places = [place for place, message in enumerate(messages) if message["type"] == "STATE"]
    return messages[: places[-1] + 1] if places else []


def write(database: Database, stop: threading.Event, seed: int) -> None:
    """Transactions of all lengths, so that many are committed late."""
    chance = random.Random(seed)
    with database.connect(autocommit=False) as connection:
        while not stop.is_set():
            connection.execute(
                f"insert into t (pad) select {PAD} from generate_series(1, {chance.randint(1, 200)})".encode()
            )
            time.sleep(chance.uniform(0, 0.5))
            connection.commit() if chance.random() < 0.9 else connection.rollback()


def peak(command: Any, config: Any, catalog: Any) -> tuple[int, int, int]:
    """Rows, bytes, and the most memory in MB that the process took."""
    process = command.start("read", config, catalog)
    rows, size, highest = 0, 0, 0
    record, before = b'{"type":"RECORD"', b""
    status = Path(f"/proc/{process.pid}/status")
    assert process.stdout
    while chunk := process.stdout.read(1 << 20):
        rows += (before + chunk).count(record)
        size += len(chunk)
        before = chunk[1 - len(record) :]
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            highest = max(highest, int(fields["VmHWM"].split()[0]) // 1024)
        except (FileNotFoundError, KeyError):
            continue
    assert process.wait() == 0
    return rows, size, highest


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, INCREMENTAL])
def test_memory_does_not_depend_on_the_number_of_rows(database: Database, command: Any, how: Any) -> None:
    fill(database, 2_000)
    config = config_of(database)
    catalog = catalog_of(command, config, **how)
    _, _, few = peak(command, config, catalog)
    database.execute(f"insert into t select g, g, {PAD} from generate_series(2001, 100000) g; analyze t")
    rows, _, many = peak(command, config, catalog)
    assert rows == 100_000
    assert many <= 100
    assert many <= few + 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "bytea", "jsonb"])
def test_memory_with_a_row_of_40_mb(database: Database, command: Any, kind: str) -> None:
    database.execute(f"create table t (id int, c int, v {kind})")
    value = {
        "text": "repeat(md5('x') || E'\\n', 40000000 / 33)",
        "bytea": "decode(repeat(md5('x'), 40000000 / 32), 'hex')",
        "jsonb": "to_jsonb(repeat(md5('x') || '한', 40000000 / 35))",
    }[kind]
    database.execute(f"insert into t select 1, 1, {value}")
    config = config_of(database)
    rows, size, most = peak(command, config, catalog_of(command, config))
    assert rows == 1
    assert size > 40_000_000
    assert most <= 400
