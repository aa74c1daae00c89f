"""The command line: what it teaches, what it refuses, what it answers when a file is missing or broken."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
    class C(Config):
        host: str = Field("localhost", title="Host")
        port: int = 1
        password: Secret = ""
        do: str = ""

    def check(c):
        if c.do == "config": raise ConfigError("The database is not there: create it.")
        if c.do == "transient": raise TransientError("The server does not answer.")
        if c.do == "bug": raise KeyError("oops")
        if c.do == "exit": sys.exit(0)

    def discover(c):
        check(c)
        yield Stream("a", schema.table({"n": schema.INTEGER}), primary_key=["n"], incremental=True, cursor="n")

    def read(c, s):
        if c.do == "print":
            print("to stdout")
            sys.stdout.write("also to stdout\\n")
            sys.__stdout__.write("by the old name\\n"); sys.__stdout__.flush()
            os.write(1, b"by number\\n")
            os.system("echo by a child")
        start = (s.state or {"n": 0})["n"] if s.incremental else 0
        for n in range(start + 1, 6):
            yield {"n": n}
        yield Checkpoint({"n": 5})

    Source(C, check=check, discover=discover, read=read, documentation="https://docs.example.com/a").main()
"""
DESTINATION = """
    from contextlib import contextmanager
    class C(Config):
        host: str = "x"
    @contextmanager
    def open_stream(c, s):
        yield lambda batch: None
    Destination(C, check=lambda c: None, open_stream=open_stream, modes=("append", "append_dedup")).main()
"""


@pytest.fixture
def source(connector: Any) -> Any:
    return connector(SOURCE)


@pytest.fixture
def destination(connector: Any) -> Any:
    return connector(DESTINATION)


def call(what: Any, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*what.command("spec")[:2], *arguments],
        capture_output=True,
        text=True,
        env=what.environment(),
        timeout=60,
        check=False,
        **more,
    )


# What it teaches


def test_help_teaches_a_source(source: Any) -> None:
    done = call(source, "--help")
    assert done.returncode == 0
    for word in ("spec", "check", "discover", "read", "--version", "LOG_LEVEL", "exit code", "--state", "|"):
        assert word in done.stdout, word
    assert " write " not in done.stdout.split("examples")[0]
    done = call(source, "read", "--help")
    assert done.returncode == 0
    for word in ("--config FILE", "--catalog FILE", "--state FILE", "YAML", "${NAME}"):
        assert word in done.stdout, word


def test_help_teaches_a_destination(destination: Any) -> None:
    done = call(destination, "--help")
    assert done.returncode == 0
    for word in ("spec", "check", "write", "STATE", "exit code"):
        assert word in done.stdout, word
    assert "discover" not in done.stdout
    assert "--state" not in call(destination, "write", "--help").stdout


def test_version(source: Any) -> None:
    done = call(source, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith(source.program.name)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["write"], "write"),
        (["check"], "--config"),
        (["read", "--config", "x"], "--catalog"),
        (["read", "--catalog", "x"], "--config"),
        (["discover", "--config"], "--config"),
        (["spec", "--nonsense"], "--nonsense"),
        (["read", "--config", "x", "--catalog", "x", "more"], "more"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(source: Any, arguments: list[str], word: str) -> None:
    done = call(source, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert word in done.stderr
    assert "usage" in done.stderr


# The five commands


def test_spec(source: Any, destination: Any) -> None:
    said = source.run("spec")
    (message,) = said.messages
    assert (said.code, said.err) == (0, "")
    assert message["spec"]["documentationUrl"] == "https://docs.example.com/a"
    assert message["spec"]["connectionSpecification"]["properties"]["host"]["title"] == "Host"
    (message,) = destination.run("spec").messages
    assert message["spec"]["supported_destination_sync_modes"] == ["append", "append_dedup"]


def test_spec_starts_without_what_it_does_not_need(source: Any) -> None:
    done = subprocess.run(
        [*source.command("spec")[:1], "-X", "importtime", *source.command("spec")[1:]],
        capture_output=True,
        text=True,
        env=source.environment(),
        timeout=60,
        check=True,
    )
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    for heavy in ("yaml", "asyncio", "http.client", "airbyte_cdk", "multiprocessing", "subprocess"):
        assert heavy not in modules, heavy


@pytest.mark.parametrize(
    ("do", "status", "code"),
    [("", "SUCCEEDED", 0), ("config", "FAILED", 0), ("transient", "FAILED", 0), ("bug", None, 1), ("exit", None, 1)],
)
def test_check(source: Any, do: str, status: str | None, code: int) -> None:
    said = source.run("check", {"do": do})
    assert said.code == code
    assert [m["connectionStatus"]["status"] for m in said.of("CONNECTION_STATUS")] == ([status] if status else [])
    assert bool(said.errors) == (code == 1)
    if do == "config":
        assert said.of("CONNECTION_STATUS")[0]["connectionStatus"]["message"] == "The database is not there: create it."
    if do == "bug":
        assert said.errors[0]["failure_type"] == "system_error"
        assert "in check" in said.errors[0]["stack_trace"]


def test_discover(source: Any) -> None:
    said = source.run("discover", {})
    (message,) = said.messages
    (stream,) = message["catalog"]["streams"]
    assert (stream["name"], stream["source_defined_primary_key"]) == ("a", [["n"]])
    said = source.run("discover", {"do": "config"})
    assert said.code == 1
    assert said.of("CATALOG") == []
    assert said.errors[0]["failure_type"] == "config_error"
    assert "create it" in said.err


def test_read_and_write(source: Any, destination: Any, say: Any) -> None:
    wanted = say.catalog("a", sync_mode="incremental")
    said = source.run("read", {}, wanted)
    assert (said.code, said.err) == (0, "")
    assert len(said.rows) == 5
    assert source.run("read", {}, wanted, said.states).rows == []
    done = destination.run("write", {}, wanted, text=said.out)
    assert (done.code, done.err) == (0, "")
    assert done.states == [{**state, "destinationStats": {"recordCount": 5.0}} for state in said.states]


def test_the_standard_output_carries_only_messages(source: Any, say: Any) -> None:
    said = source.run("read", {"do": "print"}, say.catalog("a"))
    assert said.code == 0
    for text in ("to stdout", "also to stdout", "by the old name", "by number", "by a child"):
        assert text in said.err
        assert text.encode() not in said.out


@pytest.mark.parametrize(
    ("level", "expected"), [("DEBUG", True), ("info", True), ("WARN", False), ("ERROR", False), ("nonsense", True)]
)
def test_log_messages_follow_log_level(source: Any, say: Any, level: str, expected: bool) -> None:
    said = source.run("read", {}, say.catalog("a"), LOG_LEVEL=level)
    assert bool(said.logs) == expected


# Files


def test_unknown_options_are_told_and_do_no_harm(source: Any) -> None:
    said = source.run("check", {"hots": "x", "__airbyte": 1})
    assert said.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"] == "SUCCEEDED"
    (told,) = said.logs
    assert "hots" in told
    assert "host" in told


def files(what: Any, tmp_path: Path, **replaced: Any) -> list[str]:
    """The arguments of a command, with some of its files replaced by other paths."""
    known = {"config": {}, "catalog": {"streams": []}, "state": []}
    arguments = []
    for name in ("config", "catalog", *(["state"] if "state" in replaced else [])):
        path = replaced.get(name) or what.file(f"{name}.json", known[name])
        arguments += [f"--{name}", str(path)]
    return arguments


@pytest.mark.parametrize("verb", ["read", "write"])
@pytest.mark.parametrize("name", ["config", "catalog"])
def test_a_file_that_is_missing_is_told(source: Any, destination: Any, tmp_path: Path, verb: str, name: str) -> None:
    what = source if verb == "read" else destination
    for path, problem in ((tmp_path / "no-such-file", "No such file"), (tmp_path, "Is a directory")):
        done = call(what, verb, *files(what, tmp_path, **{name: path}), input="")
        assert done.returncode == 1
        (line,) = done.stdout.splitlines()
        error = json.loads(line)["trace"]["error"]
        assert error["failure_type"] == "config_error"
        assert str(path) in error["message"]
        assert problem in error["message"]
        assert "Traceback" not in done.stderr


def test_a_missing_config_fails_the_check_in_words(source: Any, tmp_path: Path) -> None:
    done = call(source, "check", "--config", str(tmp_path / "none"))
    assert done.returncode == 0
    status = json.loads(done.stdout)["connectionStatus"]
    assert status["status"] == "FAILED"
    assert "none" in status["message"]


def test_an_absent_state_starts_anew_but_one_that_cannot_be_read_does_not(
    source: Any, say: Any, tmp_path: Path
) -> None:
    catalog = source.file("wanted.json", say.catalog("a", sync_mode="incremental"))
    for path in (tmp_path / "none", tmp_path / "no-folder" / "none"):
        done = call(source, "read", *files(source, tmp_path, catalog=catalog, state=path))
        assert done.returncode == 0
        assert done.stdout.count('"RECORD"') == 5
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (tmp_path, loop, Path(source.file("a-file", "x")) / "below-a-file"):
        done = call(source, "read", *files(source, tmp_path, catalog=catalog, state=path))
        assert done.returncode == 1, path
        assert '"RECORD"' not in done.stdout
        assert "config_error" in done.stdout


def test_a_state_of_another_user_is_no_fresh_start(source: Any, say: Any, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file: run the tests as another user")
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "state.json").write_text("[]")
    folder.chmod(0)
    try:
        done = call(source, "read", *files(source, tmp_path, state=folder / "state.json"))
    finally:
        folder.chmod(0o700)
    assert done.returncode == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"streams": 1}', "\x00"])
def test_a_catalog_that_is_none_is_told(source: Any, tmp_path: Path, text: str) -> None:
    done = call(source, "read", *files(source, tmp_path, catalog=source.file("bad.json", text)))
    assert done.returncode == 1
    assert "config_error" in done.stdout
    assert "catalog" in done.stdout


def test_a_yaml_config_with_the_environment(source: Any) -> None:
    config = source.file("config.yaml", "host: ${DB_HOST}\nport: ${DB_PORT}\n")
    command = [*source.command("spec")[:2], "check", "--config", config]
    env = source.environment(DB_HOST="db", DB_PORT="5433")
    done = subprocess.run(command, capture_output=True, env=env, timeout=60, check=False)
    assert b"SUCCEEDED" in done.stdout
    del env["DB_PORT"]
    done = subprocess.run(command, capture_output=True, env=env, timeout=60, check=False)
    assert b"FAILED" in done.stdout
    assert b"DB_PORT" in done.stdout


def test_a_catalog_without_streams(source: Any, destination: Any, say: Any) -> None:
    said = source.run("read", {}, say.catalog())
    assert (said.code, said.rows, said.states) == (0, [], [])
    assert destination.run("write", {}, say.catalog()).code == 0
