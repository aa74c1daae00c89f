"""What both sides are asked before anything moves: specs, checks, what there is. All at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airpipe import connectors, options
from airpipe.ask import Log, ask
from airpipe.connectors import Program
from airpipe.folder import Folder
from airpipe.mask import Mask, secrets_in
from airpipe.pipeline import Loaded

Answer = dict[str, Any]


class Questions:
    """Asks the sides in `configs`. Each question is mostly the start of a process, so they go together.

    The mask learns what the specs mark as secret as soon as they have told it.
    """

    def __init__(
        self,
        loaded: Loaded,
        programs: Mapping[str, Program],
        configs: dict[str, dict[str, Any]],
        folder: Folder,
        stop: threading.Event,
        mask: Mask,
        log: Log,
    ) -> None:
        self.specs: dict[str, Answer] = {}
        self._loaded = loaded
        self._programs = programs
        self._configs = configs
        self._folder = folder
        self._stop = stop
        self._enough = False
        self._mask = mask
        self._log = log

    @property
    def offered(self) -> list[str]:
        """The sync modes of the destination."""
        return list(self.specs["destination"].get("supported_destination_sync_modes") or ())

    def ask(self, *, discover: bool) -> Answer:
        """Check both sides; the answer is the source's catalog, where it is wanted."""
        self._write()
        with ThreadPoolExecutor(5) as pool:
            try:
                return self._ask_all(pool, discover)
            finally:
                self._enough = True  # What is still under way after an error is of no use.

    def _ask_all(self, pool: ThreadPoolExecutor, discover: bool) -> Answer:
        specs = {side: pool.submit(self._ask, side, "spec", files=False) for side in self._configs}
        checks = {side: pool.submit(self._ask, side, "check") for side in self._configs}
        catalog = pool.submit(self._ask, "source", "discover") if discover else None
        self.specs = {side: spec.result() for side, spec in specs.items()}
        self._learn()
        for side in self._adapt():
            checks[side].exception()
            self._write()
            checks[side] = pool.submit(self._ask, side, "check")
        for side, check in checks.items():
            if self._judge(side, check.result()) and side == "source" and catalog:
                catalog = pool.submit(self._ask, "source", "discover")
        return catalog.result() if catalog else {}

    def is_set(self) -> bool:
        """Whether questions that are under way shall end."""
        return self._enough or self._stop.is_set()

    def _ask(self, side: str, verb: str, files: bool = True) -> Answer:
        names = [f"{side}-config"] if files else []
        return ask(self._programs[side], verb, self._folder if files else None, names, self, self._log)

    def _write(self) -> None:
        for side, config in self._configs.items():
            self._folder.write(f"{side}-config", config)

    def _forms(self) -> dict[str, Any]:
        return {side: spec.get("connectionSpecification") or {} for side, spec in self.specs.items()}

    def _learn(self) -> None:
        forms = self._forms()
        for side, config in self._configs.items():
            self._mask.learn(secrets_in(forms[side], config))

    def _adapt(self) -> list[str]:
        """Put what the file wishes (batch size, workers, lookback) into the configs. Returns the sides that changed."""
        before = {side: dict(config) for side, config in self._configs.items()}
        forms = self._forms()
        for text in options.with_wishes(self._loaded, self._configs, forms):
            self._log("airpipe", "WARN", text)
        for side in self._configs:
            for text in options.unknown_options(self._loaded, side, before[side], forms[side]):
                self._log("airpipe", "WARN", text)
        return [side for side, config in self._configs.items() if config != before[side]]

    def _judge(self, side: str, answer: Answer) -> bool:
        """Whether it is right only after texts (of the environment) were made numbers. Raise where it is not."""
        if answer.get("status") == "SUCCEEDED":
            return False
        typed = options.typed(self._configs[side], self._forms()[side])
        if typed != self._configs[side]:
            self._configs[side].update(typed)
            self._write()
            if self._ask(side, "check").get("status") == "SUCCEEDED":
                return True
        text = self._mask(str(answer.get("message") or "the check failed"))
        raise options.problem_of_check(self._loaded, side, self._configs[side], text)


def programs(loaded: Loaded, *sides: str) -> dict[str, Program]:
    return {side: connectors.find(side, getattr(loaded.pipeline, side), loaded) for side in sides}
