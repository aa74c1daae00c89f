"""Alerts: a condition on what came of a run, and an e-mail where it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airpipe import words

if TYPE_CHECKING:
    from email.message import EmailMessage

    from airpipe.events import Finished
    from airpipe.pipeline import Loaded, Smtp

METRICS: dict[str, Callable[[Finished], float]] = {
    "sync_duration": lambda run: run.seconds,
    "records_processed": lambda run: float(run.rows),
    "bytes_processed": lambda run: float(run.bytes),
    "error_rate": lambda run: run.error_rate,
    "throughput": lambda run: run.rows / run.moving if run.moving else 0.0,
}
"""What can be published and alerted on: seconds, rows, bytes, a share from 0 to 1, rows a second."""
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_term = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(\S+(?:\s+[a-zA-Z]+)?)\s*")


@dataclass(frozen=True, slots=True)
class _Term:
    metric: str
    operator: str
    bound: float

    def holds(self, run: Finished) -> bool:
        return _OPERATORS[self.operator](METRICS[self.metric](run), self.bound)


@dataclass(frozen=True, slots=True)
class Condition:
    """`error_rate > 5%`, also several joined by `and` and `or` (`and` binds closer)."""

    text: str
    ways: Sequence[Sequence[_Term]]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """A condition that cannot be read is a ValueError that says why."""
        ways = [[_parsed(term) for term in re.split(r"\s+and\s+", way)] for way in re.split(r"\s+or\s+", text.strip())]
        return cls(text, ways)

    def holds(self, run: Finished) -> bool:
        return any(all(term.holds(run) for term in way) for way in self.ways)


def _parsed(text: str) -> _Term:
    found = _term.fullmatch(text)
    if found is None:
        raise ValueError('give a condition such as "error_rate > 5%"')
    metric, operator, bound = found.groups()
    if metric not in METRICS:
        raise ValueError(f"there is no metric {metric}; there are {', '.join(METRICS)}")
    return _Term(metric, operator, _bound(metric, bound))


def _bound(metric: str, text: str) -> float:
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        if metric == "sync_duration":
            return words.seconds(text)
        if metric == "bytes_processed":
            return float(words.size(text))
        return float(text)
    except ValueError:
        raise ValueError(f"{text} is no value for {metric}") from None


# E-mail


@dataclass(frozen=True, slots=True)
class Post:
    """How mail is sent: what `monitoring.smtp` says, else SMTP_HOST, SMTP_PORT, SMTP_USER, … of the environment."""

    host: str
    port: int
    user: str
    password: str
    sender: str
    tls: bool

    @classmethod
    def of(cls, smtp: Smtp) -> Post:
        """What makes no sense is a ValueError."""
        host = smtp.host or os.environ.get("SMTP_HOST", "")
        if not host:
            raise ValueError("set SMTP_HOST or monitoring.smtp.host")
        user = smtp.user or os.environ.get("SMTP_USER", "")
        tls = smtp.tls if smtp.tls is not None else _truth(os.environ.get("SMTP_TLS"), default=bool(user))
        port = smtp.port or _port(os.environ.get("SMTP_PORT") or (587 if tls else 25))
        password = smtp.password or os.environ.get("SMTP_PASSWORD", "")
        sender = smtp.sender or os.environ.get("SMTP_FROM") or user or "airpipe@localhost"
        return cls(host, port, user, password, sender, tls)

    def send(self, message: EmailMessage) -> None:
        """Send it, or raise OSError or SMTPException. An OSError names the server."""
        try:
            self._send(message)
        except OSError as error:
            raise OSError(f"{self.host}:{self.port}: {error}") from None

    def _send(self, message: EmailMessage) -> None:
        import smtplib
        import ssl

        context = ssl.create_default_context()
        if self.port == 465:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=30, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=30)
        with server:
            if self.tls and self.port != 465:
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
            server.send_message(message)


def _port(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"SMTP_PORT is no number: {text}") from None


def _truth(text: str | None, *, default: bool) -> bool:
    return default if text is None else text.strip().lower() not in ("", "0", "no", "off", "false")


def alert(loaded: Loaded, run: Finished, log: Callable[[str], None]) -> int:
    """Send what this run asks for; returns how many mails went out. A mail that cannot be sent is told, no more."""
    import smtplib

    sent = 0
    monitoring = loaded.pipeline.monitoring
    for wish in monitoring.alerts:
        if not Condition.parse(wish.condition).holds(run):
            continue
        try:
            post = Post.of(monitoring.smtp)
            post.send(_mail(run, wish.condition, post.sender, wish.recipients))
            sent += 1
        except (OSError, ValueError, smtplib.SMTPException) as error:
            log(f"the alert {wish.condition} could not be sent: {error}")
    return sent


def _mail(run: Finished, condition: str, sender: str, recipients: Sequence[str]) -> EmailMessage:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    from airpipe.summary import summary

    mail = EmailMessage()
    mail["Subject"] = f"airpipe: {run.pipeline}: {condition}"
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid("airpipe")
    values = "\n".join(f"{name}: {measure(run):g}" for name, measure in METRICS.items())
    mail.set_content(f"{condition}\n\n{values}\n\n" + "\n".join(summary(run)) + "\n")
    return mail
