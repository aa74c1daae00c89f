"""The connector: try the place, write a stream, take away what it replaces."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector_sdk import ConfiguredStream, Replace, StreamName, log
from destination_s3.config import S3Config
from destination_s3.formats import layout
from destination_s3.objects import Found, Objects, Tags
from destination_s3.paths import Names, Run
from destination_s3.store import ObjectStore

SENDERS = 2
"""Parts that are on their way at the same time, of all streams together."""


@dataclass(frozen=True, slots=True)
class Place:
    """What all streams of a run share."""

    objects: Objects
    began: datetime
    sender: Executor


def objects_of(config: S3Config) -> Objects:
    """The bucket or folder of this config. Nothing is tried yet."""
    if config.s3_bucket_name.startswith("file:"):
        from destination_s3.folder import Folder, folder_of

        return Folder(folder_of(config.s3_bucket_name))
    from destination_s3.s3 import Bucket

    return Bucket(config)


_places: dict[int, tuple[S3Config, Place]] = {}
_lock = threading.Lock()


def place_of(config: S3Config) -> Place:
    """The same for every stream of this config: one client, one time."""
    with _lock:
        if id(config) not in _places:
            place = Place(objects_of(config), Run().time, ThreadPoolExecutor(SENDERS, thread_name_prefix="send"))
            _places[id(config)] = config, place
        return _places[id(config)][1]


def names_of(config: S3Config, stream: StreamName, run: Run, extension: str = "", sync_id: int | None = None) -> Names:
    return Names(
        stream, run, config.s3_bucket_path, config.s3_path_format, config.file_name_pattern, extension, sync_id
    )


def check(config: S3Config) -> None:
    """Do in small what a run does."""
    objects = objects_of(config)
    objects.check(names_of(config, StreamName(None, "airbyte-check"), Run()).folder.rpartition("/")[0])


def warm_up(config: S3Config) -> None:
    """Make the client: to import it takes as long as a source needs to begin."""
    place_of(config).objects.warm_up()


@contextmanager
def open_stream(config: S3Config, stream: ConfiguredStream) -> Iterator[ObjectStore]:
    """The store of a stream. After the yield, what the stream replaces goes: never before all that is new is safe.

    A stream that was complete may be opened again. That is another run: its objects have other names.
    """
    place = place_of(config)
    run = Run(place.began)
    made = layout(config, stream, run)
    names = names_of(config, stream.id, run, made.extension, stream.sync_id)
    tidy_up = partial(place.objects.remove_leftovers, names.folder, stream.id, run.id)
    if stream.replace is not Replace.NOTHING:
        place.objects.require_listing(names.folder)
        tidy_up()
    tags = Tags(stream.id, stream.generation_id, run.id)
    store = ObjectStore(place.objects, made, names.object, tags, config.file_size_mb << 20, place.sender)
    if stream.replace is Replace.NOTHING:
        store.before_first = tidy_up  # Not now: without rows there is no need to connect.
    try:
        yield store
        if stream.replace is not Replace.NOTHING:
            _remove_old(place, names, stream)
    finally:
        store.abort()


def _remove_old(place: Place, names: Names, stream: ConfiguredStream) -> None:
    old = [found for found in place.objects.find(names.folder, stream.id) if replaced(found, stream, names.run)]
    if old:
        log.info("The stream %s is complete: %d older files go.", stream.id, len(old))
    place.objects.delete(old)


def replaced(found: Found, stream: ConfiguredStream, run: Run) -> bool:
    """Whether this object has to go, now that its stream is complete."""
    if found.tags.run == run.id:
        return False
    if stream.replace is Replace.EVERYTHING_ELSE:
        return True
    generation = found.tags.generation
    return generation is None or generation < (stream.minimum_generation_id or 0)
