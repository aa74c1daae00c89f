"""Who does the work: the native module where it is there, the Python twins where it is not, as the variable says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from connector_sdk import ConfigError, native
from connector_sdk.lines import LineReader, NativeLineReader, line_reader

from .twins import NATIVE, WHY_NOT

NAME = "connector_native"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test asks anew; what other tests of this process were told is told them again."""
    monkeypatch.delenv("CONNECTOR_NATIVE", raising=False)
    native.module.cache_clear()
    yield
    native.module.cache_clear()


def test_missing_it_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, NAME, None)
    with caplog.at_level(logging.INFO, "connector"):
        assert native.module() is None
        assert isinstance(line_reader(10, 1000), LineReader)
    (record,) = caplog.records
    assert NAME in record.getMessage()


def test_switched_off_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CONNECTOR_NATIVE", "0")
    monkeypatch.setitem(sys.modules, NAME, None)
    with caplog.at_level(logging.DEBUG):
        assert native.module() is None
    assert not caplog.records


def test_asked_for_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_NATIVE", "1")
    monkeypatch.setitem(sys.modules, NAME, None)
    with pytest.raises(ConfigError, match="CONNECTOR_NATIVE=1"):
        native.module()


def test_another_interface_is_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = ModuleType(NAME)
    other.INTERFACE = native.INTERFACE + 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAME, other)
    with caplog.at_level(logging.INFO, "connector"):
        assert native.module() is None
    assert "interface" in caplog.text


@pytest.mark.skipif(not NATIVE, reason=WHY_NOT)
def test_it_is_used_where_it_is_there(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for asked in (None, "1", ""):
        native.module.cache_clear()
        if asked is not None:
            monkeypatch.setenv("CONNECTOR_NATIVE", asked)
        with caplog.at_level(logging.DEBUG):
            assert native.module() is not None
            assert isinstance(line_reader(10, 1000), NativeLineReader)
    assert not caplog.records
