"""Three kinds of error, named by what happens next, and the one way to make them of a library's exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from connector_sdk.streams import StreamName


class ConnectorError(Exception):
    """An error whose text is written for a user. Raise one of its two children."""

    failure_type = "system_error"

    def __init__(self, message: str, *, stream: StreamName | None = None, internal: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.stream = stream
        self.internal = internal


class ConfigError(ConnectorError):
    """Somebody must change something: the text says what and where. It is not tried again."""

    failure_type = "config_error"


class TransientError(ConnectorError):
    """It may work in a moment: the SDK tries again, after `retry_after` seconds where the other side named them."""

    failure_type = "transient_error"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        stream: StreamName | None = None,
        internal: str | None = None,
    ) -> None:
        super().__init__(message, stream=stream, internal=internal)
        self.retry_after = retry_after


Translation = Mapping[type[BaseException], type[ConnectorError]]


@contextmanager
def translate(kinds: Translation, prefix: str = "") -> Iterator[None]:
    """Turn a library's exceptions into ours: `with translate({AuthError: ConfigError, Timeout: TransientError}):`.

    The first entry that matches counts; the library's own text follows `prefix`. What no entry names passes unchanged.
    """
    try:
        yield
    except ConnectorError:
        raise
    except Exception as error:
        for kind, ours in kinds.items():
            if isinstance(error, kind):
                text = " ".join(str(error).split()) or type(error).__name__
                raise ours(f"{prefix}{text}", internal=repr(error)) from error
        raise
