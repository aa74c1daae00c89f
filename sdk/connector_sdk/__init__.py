"""A thin SDK for Airbyte-protocol connectors. A connector is a value made of functions: `Source` or `Destination`."""

from connector_sdk import quick_start  # noqa: F401, I001  (before all others)
from connector_sdk import schema
from connector_sdk.batch import Batch, Block, Incomplete, Limits, Store
from connector_sdk.config import Config, Secret
from connector_sdk.destination import Destination
from connector_sdk.envelope import Envelope
from connector_sdk.errors import ConfigError, TransientError, translate
from connector_sdk.logs import log
from connector_sdk.rows import Change, Checkpoint, ConfigUpdate, Estimate, Lines, Records, Row
from connector_sdk.source import Source
from connector_sdk.streams import ConfiguredStream, Replace, Stream, StreamName

__all__ = [
    "Batch",
    "Block",
    "Change",
    "Checkpoint",
    "Config",
    "ConfigError",
    "ConfigUpdate",
    "ConfiguredStream",
    "Destination",
    "Envelope",
    "Estimate",
    "Incomplete",
    "Limits",
    "Lines",
    "Records",
    "Replace",
    "Row",
    "Secret",
    "Source",
    "Store",
    "Stream",
    "StreamName",
    "TransientError",
    "log",
    "schema",
    "translate",
]
