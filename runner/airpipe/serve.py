"""The schedules of a file, and /metrics and /health over HTTP."""

from __future__ import annotations

from typing import Any


def cron_trigger(text: str, timezone: str | None) -> Any:
    """The times of a cron line; one that cannot be read is a ValueError."""
    from apscheduler.triggers.cron import CronTrigger

    try:
        return CronTrigger.from_crontab(text, timezone=timezone)
    except (ValueError, LookupError) as error:
        raise ValueError(
            f'{text} is no cron line (minute hour day month weekday, such as "0 3 * * *"): {error}'
        ) from None
