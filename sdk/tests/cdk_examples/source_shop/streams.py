import os
import time

from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, FailureType, Type
from airbyte_cdk.models.airbyte_protocol import (
    AirbyteRecordMessageMeta,
    AirbyteRecordMessageMetaChange,
    Change,
    Reason,
)
from airbyte_cdk.sources.streams import CheckpointMixin, Stream
from airbyte_cdk.sources.streams.http import HttpStream
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

OPEN = {"type": "object", "properties": {"id": {"type": "integer"}}}


class Orders(HttpStream, CheckpointMixin):
    """Incremental, over HTTP, with its schema in a file. `updated` rises; a checkpoint after every second row."""

    url_base = ""
    primary_key = "id"
    cursor_field = "updated"
    state_checkpoint_interval = 2

    def __init__(self, url):
        super().__init__()
        self.url_base = url
        self._state = {}

    @property
    def state(self):
        return self._state

    @state.setter
    def state(self, value):
        self._state = dict(value)

    def path(self, **kwargs):
        return "orders"

    def request_params(self, stream_state, **kwargs):
        return {"since": self._state.get("updated", 0)}

    def next_page_token(self, response):
        return None

    def parse_response(self, response, **kwargs):
        for row in response.json():
            if row.get("note") == "poison" and not os.path.exists("antidote"):
                raise ValueError("a poisoned order")
            self._state = {"updated": row["updated"]}
            yield row


class Customers(Stream):
    """Whole messages instead of dicts, nested keys, a namespace, and a value that was lost on the way."""

    name = "customers"
    namespace = "shop"
    primary_key = [["id", "number"], ["country"]]  # noqa: RUF012

    def get_json_schema(self):
        return OPEN

    def read_records(self, **kwargs):
        change = AirbyteRecordMessageMetaChange("name", Change.NULLED, Reason.SOURCE_FIELD_SIZE_LIMITATION)
        record = AirbyteRecordMessage(
            "customers",
            {"id": {"number": 1}, "country": "KR", "name": None},
            emitted_at=1,
            meta=AirbyteRecordMessageMeta([change]),
        )
        yield AirbyteMessage(type=Type.RECORD, record=record)


class Broken(Stream):
    primary_key = None

    def __init__(self, config):
        self._token = config["credentials"]["token"]

    def get_json_schema(self):
        return OPEN

    def read_records(self, **kwargs):
        yield {"id": 1}
        raise KeyError(f"nothing under {self._token}")


class Denied(Broken):
    def __init__(self):
        pass

    def read_records(self, **kwargs):
        raise AirbyteTracedException(
            message="Give the app the scope orders:read.", internal_message="403", failure_type=FailureType.config_error
        )


class Flaky(Stream):
    """Incremental in slices; each attempt dies of something passing after one more slice."""

    primary_key = "id"
    cursor_field = "id"
    attempts = 0

    def get_json_schema(self):
        return OPEN

    def stream_slices(self, *, sync_mode, cursor_field=None, stream_state=None):
        for number in range((stream_state or {}).get("id", 0) + 1, 4):
            yield {"number": number}

    def get_updated_state(self, current_stream_state, latest_record):
        return {"id": latest_record["id"]}

    def read_records(self, sync_mode, cursor_field=None, stream_slice=None, stream_state=None):
        if stream_slice["number"] > type(self).attempts + 1:
            type(self).attempts += 1
            raise AirbyteTracedException(message="Come back later.", failure_type=FailureType.transient_error)
        yield {"id": stream_slice["number"]}


class Pages(Stream, CheckpointMixin):
    """A resumable full refresh: its state is the page to go on with."""

    primary_key = None

    def __init__(self, pages):
        self._pages, self._state = pages, {}

    def get_json_schema(self):
        return OPEN

    @property
    def state(self):
        return self._state

    @state.setter
    def state(self, value):
        self._state = dict(value)

    def read_records(self, sync_mode, cursor_field=None, stream_slice=None, stream_state=None):
        page = self._state.get("page", 1)
        if page == 2 and not os.path.exists("antidote"):
            raise ValueError("page 2 cannot be read")
        yield {"id": page}
        self._state = {"page": page + 1} if page < self._pages else {"__ab_full_refresh_sync_complete": True}


class Slow(Broken):
    state_checkpoint_interval = 1

    def __init__(self):
        pass

    def read_records(self, **kwargs):
        number = 0
        while True:
            number += 1
            yield {"id": number}
            time.sleep(0.01)
