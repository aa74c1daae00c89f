"""The commands, as a stranger types them: reports, exit codes, images, and nothing left behind."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from acceptance_tests.arguments import file_to_write
from acceptance_tests.protocol import StreamId, configured, line, loads, stream_state, stream_status

BROKEN = Path(__file__).parent / "broken"


def python(script: str, *arguments: object) -> str:
    return " ".join(map(str, (sys.executable, "-B", BROKEN / script, *arguments)))


def run(*arguments: object, module: str = "cli", **options: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", f"acceptance_tests.{module}", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=280, check=False, **options)


def outcomes(path: Path) -> dict[str, str]:
    return {one["test"]: one["outcome"] for one in json.loads(path.read_text())}


def test_reports_are_written_and_say_the_same(system: Path, system_config: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "junit", "html")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    command = ["--command", python("source_loses_the_namespace.py"), "--config", system_config, *options]
    done = run(*command, "--only", "discover.*", "--only", "read.*")
    assert done.returncode == 1
    found = json.loads(files["json"].read_text())
    assert all(set(one) == {"test", "outcome", "message"} for one in found)
    failed = {one["test"]: one["message"] for one in found if one["outcome"] == "failed"}
    assert "read.names_streams_as_the_catalog_does" in failed
    message = failed["read.names_streams_as_the_catalog_does"]
    assert all(word in message for word in ("expected: ", "seen: ", "look at: "))
    suite = ElementTree.fromstring(files["junit"].read_text())
    assert suite.get("failures") == str(len(failed))
    assert "read.names_streams_as_the_catalog_does" in files["html"].read_text()
    assert "FAILED read.names_streams_as_the_catalog_does" in done.stdout
    assert "source_loses_the_namespace: " in done.stdout


@pytest.mark.slow
def test_a_command_is_found_from_where_it_is_typed(system_config: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes((BROKEN / "good_source.py").read_bytes())
    for command in (f"{sys.executable} mine.py", f"{sys.executable} -B -m mine"):
        done = run("--command", command, "--config", system_config, "--only", "place.may_be_any*", cwd=tmp_path)
        assert done.returncode == 0, done.stdout
        assert "ok     place.may_be_any_working_directory" in done.stdout


@pytest.mark.slow
def test_without_hooks_their_tests_are_skipped_and_named(store_config: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = python("good_destination.py")
    done = run(
        "--command", command, "--config", store_config, "--json", report, "--only", "append*", "--only", "state.*"
    )
    assert done.returncode == 0, done.stdout
    assert outcomes(report)["append.keeps_equal_rows"] == "skipped"
    assert outcomes(report)["state.carries_counts_that_add_up"] == "passed"
    assert "needs --get" in done.stdout


@pytest.mark.parametrize("command", [python("source_has_no_spec.py"), "acceptance-no-such-command", "sleep 621"])
def test_without_a_spec_there_is_one_verdict(command: str, system_config: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("--command", command, "--config", system_config, "--json", report, "--timeout", "1.5")
    assert done.returncode == 1
    assert outcomes(report) == {"spec.answers": "failed"}


def test_a_verb_without_an_answer_fails_once(system_config: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = python("source_never_answers.py")
    done = run("--command", command, "--config", system_config, "--json", report, "--timeout", "2", "--only", "check.*")
    assert done.returncode == 1
    found = outcomes(report)
    assert found["check.succeeds_with_the_given_config"] == "failed"
    assert found["check.says_the_same_twice"] == "skipped"
    assert "gave no answer within 2 s" in done.stdout


@pytest.mark.slow
def test_waivers(system_config: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    base = ["--command", python("source_checks_nothing.py"), "--config", system_config, "--json", report]
    base += ["--only", "check.*", "--waive", "check.fails_where_the_other_side_cannot_be_reached=it is a toy"]
    done = run(*base)
    assert done.returncode == 0, done.stdout
    assert outcomes(report)["check.fails_where_the_other_side_cannot_be_reached"] == "waived"
    stale = run(*base, "--waive", "check.says_the_same_twice=it was so once")
    assert stale.returncode == 1
    assert "take the waiver away" in stale.stdout
    assert run(*base, "--waive", "check.nothing_of_the_kind=no").returncode == 2


@pytest.mark.parametrize("arguments", [[], ["--command", "x"], ["--command", "x", "--config", "/no/such/file"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_a_test_that_does_not_exist_is_wrong_usage(system_config: Path) -> None:
    words = ["--command", python("good_source.py"), "--config", system_config]
    assert "no such test" in run(*words, "--only", "reed.*").stderr


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What the command `touch` of a test makes when it is started: it is there once work has begun."""
    return tmp_path / "started"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--json", "folder", "'folder' cannot be written: Is a directory"),
        ("--junit", "nowhere/report.xml", "'nowhere/report.xml' cannot be written: No such file or directory"),
        ("--html", "list.json/report.html", "'list.json/report.html' cannot be written: Not a directory"),
        ("--waive", "foo", "'foo' is not of the form TEST=REASON"),
        ("--cursor", "foo", "'foo' is not of the form STREAM=FIELD"),
        ("--config", "list.json", "'list.json' holds no config"),
        ("--config", "note.txt", "'note.txt' has to be JSON, and is not: Expecting value"),
        ("--command", "sleep '", '"sleep \'" is no command'),
        ("--command", " ", "the command is empty"),
    ],
)
def test_a_wrong_argument_is_told_by_its_option_before_any_work(
    option: str, value: str, told: str, system_config: Path, mark: Path, some_files: None
) -> None:
    done = run("--command", f"touch {mark}", "--config", system_config, option, value)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"connector-acceptance: error: argument {option}: {told}")
    assert not mark.exists()


@pytest.fixture
def some_files() -> None:
    """A folder, and files that hold other things than they should, where the commands are typed."""
    Path("folder").mkdir()
    files = {"note.txt": "hello", "list.json": "[]", "object.json": '{"a": 1}', "none.json": '{"streams": []}'}
    entry = {"stream": {"name": "a"}, "sync_mode": "incremental"}
    for name, text in {**files, "half.json": json.dumps({"streams": [entry]})}.items():
        Path(name).write_text(text)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--state-out", "nowhere/state.json", "'nowhere/state.json' cannot be written: No such file or directory"),
        ("--state-out", "folder", "'folder' cannot be written: Is a directory"),
        ("--catalog", "object.json", "'object.json' is no configured catalog: $: 'streams' is a required property"),
        ("--catalog", "list.json", "'list.json' is no configured catalog: $: [] is not of type 'object'"),
        ("--catalog", "none.json", "'none.json' is no configured catalog: $.streams: "),
        ("--catalog", "half.json", "'half.json' is no configured catalog: $.streams[0]: 'destination_sync_mode' is"),
        ("--catalog", "note.txt", "'note.txt' has to be JSON"),
        ("--state", "missing.json", "'missing.json' cannot be read: No such file or directory"),
        ("--state", "note.txt", "'note.txt' has to be JSON"),
        ("--source-config", "note.txt", "'note.txt' has to be JSON"),
        ("--destination-config", "list.json", "'list.json' holds no config"),
        ("--source", "sleep '", '"sleep \'" is no command'),
    ],
)
def test_a_wrong_argument_of_the_judge_is_told_by_its_option_before_any_work(
    option: str, value: str, told: str, system_config: Path, store_config: Path, mark: Path, some_files: None
) -> None:
    ends = ["--source", f"touch {mark}", "--source-config", system_config]
    ends += ["--destination", f"touch {mark}", "--destination-config", store_config]
    done = run(*ends, option, value, module="judge_cli")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"connector-judge: error: argument {option}: {told}")
    assert not mark.exists()


def test_a_file_to_write_stays_as_it_is_until_it_is_written(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("the report of yesterday")
    assert file_to_write(str(old)).read_text() == "the report of yesterday"
    file_to_write(str(new))
    assert not new.exists()


def test_a_full_disk_leaves_the_summary(system_config: Path) -> None:
    words = ["--command", python("good_source.py"), "--config", system_config]
    done = run(*words, "--only", "spec.answers", "--json", "/dev/full")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("good_source: 1 passed")
    assert done.stderr == "error: '/dev/full' cannot be written: No space left on device\n"


def test_the_reader_of_a_pipe_sees_no_end_before_the_report(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        file_to_write(str(pipe))
        poll = select.poll()
        poll.register(reader)
        assert not poll.poll(0)
    finally:
        os.close(reader)


def test_the_examples_of_the_help_reach_the_command_as_they_are_shown() -> None:
    examples = [line for line in run("--help").stdout.splitlines() if line.startswith("  connector-acceptance ")]
    assert examples
    for example in examples:
        shell = ["/bin/sh", "-c", f"printf '%s\\n' {example}"]
        assert subprocess.check_output(shell, text=True).splitlines() == shlex.split(example)


def test_a_report_says_no_secret_once_more_and_noise_of_the_spec_counts(system_config: Path) -> None:
    words = ["--command", python("source_prints_its_secret_with_its_spec.py"), "--config", system_config]
    done = run(*words, "--only", "check.succeeds*", "--only", "always.*")
    assert "FAILED always.standard_output_holds_messages_only" in done.stdout
    assert "FAILED always.secrets_stay_secret" in done.stdout
    assert "hunter2-hunter2" not in done.stdout


@pytest.mark.slow
def test_an_image(system_config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text(f'#!/bin/sh\nexec {sys.executable} -B {BROKEN.with_name("strangers") / "docker.py"} "$@"\n')
    docker.chmod(0o755)
    report = tmp_path / "report.json"
    command = python("good_source.py")
    environment = {**os.environ, "COMMAND": command, "PATH": f"{folder}:{os.environ['PATH']}"}
    only = [part for name in ("check.*", "discover.*", "read.*", "place.*") for part in ("--only", name)]
    done = run("--image", "image/under-test", "--config", system_config, "--json", report, *only, env=environment)
    assert done.returncode == 0, done.stdout
    assert outcomes(report)["read.gives_the_same_twice"] == "passed"
    assert outcomes(report)["place.may_be_any_working_directory"] == "skipped"


def test_the_list_of_tests() -> None:
    listed = run("--list").stdout
    assert "read.gives_the_same_twice: Two full reads" in listed
    assert "values.forty_megabytes" in listed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "destination", "code"),
    [
        ("good_source.py", "good_destination.py", 0),
        ("good_source.py", "destination_loses_the_id.py", 1),
        ("source_gives_legacy_states.py", "good_destination.py", 1),
    ],
)
@pytest.mark.parametrize(
    "options", [["--mode", "overwrite"], ["--refreshes", "--mode", "overwrite"], ["--incremental"]]
)
def test_the_judge_as_a_command(
    source: str,
    destination: str,
    code: int,
    options: list[str],
    system_config: Path,
    store_config: Path,
    tmp_path: Path,
) -> None:
    ends = ["--source", python(source), "--source-config", system_config]
    ends += ["--destination", python(destination), "--destination-config", store_config]
    state = tmp_path / "state.json"
    done = run(*ends, *options, "--state-out", state, module="judge_cli")
    assert done.returncode == code, done.stdout
    if code == 0:
        assert "shop.orders: 47 records, complete" in done.stdout
        assert len(json.loads(state.read_text())) == 3


def test_the_judge_keeps_every_digit_of_a_state(system_config: Path, store_config: Path) -> None:
    stream, digits = StreamId(None, "measures"), "0.12345678901234567890123456789"
    state = line(stream_state(stream, {"at": loads(digits)}, 0))
    Path("messages").write_bytes(state + stream_status(stream, "COMPLETE"))
    entry = configured({"name": stream.name, "json_schema": {"properties": {}}})
    Path("catalog.json").write_text(json.dumps({"streams": [entry]}))
    source = shlex.join(["sh", "-c", 'cat messages; cp "$6" given.json'])
    destination = shlex.join(["sh", "-c", """grep -F '"type":"STATE"'"""])
    ends = ["--source", source, "--source-config", system_config]
    ends += ["--destination", destination, "--destination-config", store_config]
    Path("before.json").write_text(f"[{digits}]")
    files = ["--catalog", "catalog.json", "--state", "before.json", "--state-out", "after.json"]
    done = run(*ends, *files, module="judge_cli")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path("given.json").read_text() == f"[{digits}]"
    assert digits in Path("after.json").read_text()


PLUGIN_TEST = """
import pytest
from acceptance_tests.plugin import Acceptance, source_suite

@pytest.fixture(scope="module")
def connector():
    return Acceptance(command=COMMAND, config=CONFIG, waivers={
        "check.fails_where_the_other_side_cannot_be_reached": "a toy",
        "check.says_the_same_twice": "no longer needed",
    })

test_it = source_suite()
"""


@pytest.mark.slow
def test_the_pytest_plugin(system: Path, tmp_path: Path) -> None:
    config = {"folder": str(system), "password": "hunter2-hunter2"}
    text = PLUGIN_TEST.replace("COMMAND", repr(python("source_checks_nothing.py"))).replace("CONFIG", repr(config))
    (tmp_path / "test_toy.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "-k",
        "check or are_read_as",
        str(tmp_path),
    ]
    installed = subprocess.run(
        [*words, "--trace-config"], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout
    assert "test_it[check.succeeds_with_the_given_config]" in installed
    lines = installed.splitlines()
    assert ["check.says_the_same_twice" in line for line in lines if line.startswith("FAILED")] == [True]
    assert any(line.startswith("XFAIL") and "cannot_be_reached" in line for line in lines)
    assert "needs --put" in installed
