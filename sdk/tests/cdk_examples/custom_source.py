"""The example that people bring, as they write it. The stream beside it has no schema file either."""

from airbyte_cdk.models import SyncMode
from airbyte_cdk.sources import AbstractSource
from airbyte_cdk.sources.streams import Stream


class CustomStream(Stream):
    primary_key = "id"

    def read_records(self, sync_mode: SyncMode, cursor_field=None, stream_slice=None, stream_state=None):
        yield {"id": 1, "name": "one", "note": None}
        yield {"id": 2, "name": None, "note": {"deep": None, "수": 123456789012345678901234567890}}
        yield {"id": 3, "name": "three", "note": [1.5, float("nan")]}


class CustomSource(AbstractSource):  # no spec file: the form is empty; nulls of its records are kept
    def check_connection(self, config):
        return True, None

    def streams(self, config):
        return [CustomStream()]


if __name__ == "__main__":
    from connector_sdk import cdk

    cdk.main(CustomSource)
