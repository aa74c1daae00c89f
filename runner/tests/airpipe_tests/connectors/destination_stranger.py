"""A destination written with airbyte-cdk, as many are: it knows no ids of states, no generations and no counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from logging import Logger
from pathlib import Path
from typing import Any

from airbyte_cdk.destinations import Destination
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    ConfiguredAirbyteCatalog,
    ConnectorSpecification,
    DestinationSyncMode,
    Status,
    Type,
)


class Stranger(Destination):  # type: ignore[misc]
    def spec(self, *_args: Any, **_more: Any) -> ConnectorSpecification:
        form = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
        modes = [DestinationSyncMode.append, DestinationSyncMode.overwrite]
        return ConnectorSpecification(connectionSpecification=form, supported_destination_sync_modes=modes)

    def check(self, logger: Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def write(
        self,
        config: Mapping[str, Any],
        configured_catalog: ConfiguredAirbyteCatalog,
        input_messages: Iterable[AirbyteMessage],
    ) -> Iterable[AirbyteMessage]:
        path = Path(config["path"])
        for stream in configured_catalog.streams:
            if stream.destination_sync_mode is DestinationSyncMode.overwrite:
                path.unlink(missing_ok=True)
        with path.open("a") as file:
            for message in input_messages:
                if message.type is Type.RECORD and message.record:
                    file.write(json.dumps(message.record.data) + "\n")
                elif message.type is Type.STATE:
                    file.flush()
                    yield message


if __name__ == "__main__":
    Stranger().run(sys.argv[1:])
