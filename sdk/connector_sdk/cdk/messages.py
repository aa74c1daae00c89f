"""What the CDK's read says, as what our read yields: rows, checkpoints, and one error at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airbyte_cdk.models import (
    AirbyteErrorTraceMessage,
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamStatus,
    AirbyteTraceMessage,
    FailureType,
    TraceType,
    Type,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from connector_sdk.errors import ConfigError, ConnectorError, TransientError
from connector_sdk.logs import level_of, log
from connector_sdk.rows import Change, Checkpoint, Estimate, Row, Yielded
from connector_sdk.streams import ConfiguredStream

Changed = Callable[[Mapping[str, Any]], None]
ENDS = ("__ab_full_refresh_sync_complete", "__ab_no_cursor_state_message")
"""The CDK's states of a full refresh that is done. Ours is `{}`: the next one starts anew."""


class SourceFailed(ConnectorError):
    """A bug of the source, or whatever else it calls a system error."""


class _There(Exception):
    """The stack of an error that the CDK has made a text of, so that ours can show it."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Reading:
    """One attempt at one stream."""

    def __init__(self, stream: ConfiguredStream, changed: Changed) -> None:
        self._stream = stream
        self._changed = changed
        self._error: AirbyteErrorTraceMessage | None = None
        self._incomplete = False
        self._last: Checkpoint | None = None

    def items(self, messages: Iterable[AirbyteMessage], keeps_states: bool, late: bool) -> Iterator[Yielded]:
        """Rows and, where `keeps_states`, checkpoints. With `late` only the last one, after all rows.

        (States of the CDK's concurrent Python sources go round the queue of records and may overtake them.)
        """
        held, failed = None, None
        try:
            for message in messages:
                if message.type is Type.RECORD:
                    yield self._row(message.record)
                elif message.type is Type.STATE:
                    checkpoint = self._checkpoint(message.state) if keeps_states else None
                    held = checkpoint or held
                    if held and not late:
                        yield held
                        held = None
                else:
                    yield from self._other(message)
        except AirbyteTracedException as error:
            failed = error  # Often only the sum of what was told before.
        if held:
            yield held
        if found := self._failure() or failed:
            raise found

    def _row(self, record: AirbyteRecordMessage | None) -> Yielded:
        assert record is not None
        if record.stream != self._stream.name:
            raise ValueError(f"the source gave a record of the stream {record.stream} while {self._stream.id} was read")
        if record.file_reference is not None:
            raise ConfigError(f"The stream {self._stream.id} carries files, which are not passed on here.")
        data: dict[str, Any] = record.data
        if record.meta is None or not record.meta.changes:
            return data
        changes = record.meta.changes
        return Row(data, tuple(Change(it.field, it.change.value, it.reason.value) for it in changes))

    def _checkpoint(self, state: AirbyteStateMessage | None) -> Checkpoint | None:
        assert state is not None
        if state.type is not AirbyteStateType.STREAM or state.stream is None:
            raise ValueError(f"the source gave a {state.type} state; only states of one stream can be gone on from")
        if state.stream.stream_descriptor.name != self._stream.name:
            return None  # A parent's: it comes again within the state of this stream.
        found = vars(state.stream.stream_state) if state.stream.stream_state else {}
        return None if any(found.get(end) for end in ENDS) else Checkpoint(found)

    def _other(self, message: AirbyteMessage) -> Iterator[Yielded]:
        if message.trace:
            yield from self._trace(message.trace)
        else:
            tell(message, self._changed)

    def _trace(self, trace: AirbyteTraceMessage) -> Iterator[Yielded]:
        """The source's own statuses are not passed on; an unfinished stream is an error."""
        if trace.type is TraceType.ERROR:
            self._error = self._error or trace.error
        elif trace.type is TraceType.STREAM_STATUS and trace.stream_status:
            self._incomplete |= trace.stream_status.status is AirbyteStreamStatus.INCOMPLETE
        elif trace.type is TraceType.ESTIMATE and trace.estimate:
            yield Estimate(rows=trace.estimate.row_estimate, bytes=trace.estimate.byte_estimate)

    def _failure(self) -> ConnectorError | None:
        if self._error:
            return _of_trace(self._error)
        return (
            SourceFailed("The source calls this stream incomplete and gives no reason.") if self._incomplete else None
        )


def tell(message: AirbyteMessage, changed: Changed) -> None:
    """Pass on a LOG or a changed config."""
    if message.log:
        log.log(level_of(message.log.level.value), "%s", message.log.message)
    elif message.control and message.control.connectorConfig:
        changed(message.control.connectorConfig.config)


# Errors

_kinds: dict[Any, type[ConnectorError]] = {
    FailureType.config_error: ConfigError,
    FailureType.transient_error: TransientError,
}
_NOTHING_SAID = "Something went wrong in the connector"


@contextmanager
def translated() -> Iterator[None]:
    """The CDK's config errors and transient errors as ours; anything else stays what it is."""
    try:
        yield
    except AirbyteTracedException as error:
        kind = _kinds.get(error.failure_type)
        if kind is None:
            raise
        raise kind(shown(error), internal=error.internal_message) from error


def shown(error: BaseException) -> str:
    """The text of an exception, or its name where it has none."""
    return str(error) or type(error).__name__


def _of_trace(error: AirbyteErrorTraceMessage) -> ConnectorError:
    stack = (error.stack_trace or "").strip()
    message = error.message
    if message.startswith(_NOTHING_SAID):
        message = stack.rsplit("\n", 1)[-1] or error.internal_message or message
    elif error.failure_type is FailureType.system_error and error.internal_message:
        message = message if error.internal_message in message else f"{message}: {error.internal_message}"
    failure = _kinds.get(error.failure_type, SourceFailed)(message, internal=error.internal_message)
    failure.__cause__ = _There(stack) if stack else None
    return failure
