"""A concurrent source in Python: made with config, catalog and state, slices read by several threads."""

import logging

from airbyte_cdk.sources.concurrent_source.concurrent_source import ConcurrentSource
from airbyte_cdk.sources.concurrent_source.concurrent_source_adapter import ConcurrentSourceAdapter
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.message import InMemoryMessageRepository
from airbyte_cdk.sources.streams import Stream
from airbyte_cdk.sources.streams.concurrent.state_converters.datetime_stream_state_converter import (
    EpochValueConcurrentStreamStateConverter,
)
from airbyte_cdk.sources.types import StreamSlice
from airbyte_cdk.sources.utils.slice_logger import DebugSliceLogger

ROWS = 1_000


class Events(Stream):
    primary_key = "id"
    cursor_field = "at"

    def __init__(self, slices):
        self._slices = slices

    def get_json_schema(self):
        return {"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": "integer"}}}

    def stream_slices(self, *, sync_mode, cursor_field=None, stream_state=None):
        newest = (stream_state or {}).get("at", -1)
        for number in range(self._slices):
            if number * ROWS > newest:
                bounds = {"start": number * ROWS, "end": (number + 1) * ROWS - 1}
                yield StreamSlice(partition={}, cursor_slice=bounds)

    def read_records(self, sync_mode, cursor_field=None, stream_slice=None, stream_state=None):
        for number in range(stream_slice["start"], stream_slice["end"] + 1):
            yield {"id": number, "at": number}


class SourceEvents(ConcurrentSourceAdapter):
    def __init__(self, catalog, config, state):
        self._config, self._state = config, state
        self._repository = InMemoryMessageRepository()
        logger = logging.getLogger("airbyte.events")
        concurrent = ConcurrentSource.create(4, 2, logger, DebugSliceLogger(), self._repository)
        super().__init__(concurrent)

    @property
    def message_repository(self):
        return self._repository

    def check_connection(self, logger, config):
        return True, None

    def streams(self, config):
        manager = ConnectorStateManager(state=self._state)
        stream = Events(config["slices"])
        converter = EpochValueConcurrentStreamStateConverter()
        cursor = self.initialize_cursor(
            stream, manager, converter, ("start", "end"), None, converter.get_end_provider()
        )
        logger = logging.getLogger("airbyte.events")
        return [self.convert_to_concurrent_stream(logger, stream, manager, cursor)]
