"""Hostile names and values: one behaviour for each file of the library."""

from __future__ import annotations

from acceptance_tests.destination_subject import DestinationSubject, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.library import Sample, samples
from acceptance_tests.suite import Behaviour, Register, behaviours

ALL: Register = []
behaviour = behaviours(ALL, "values")


def _behaviour(sample: Sample) -> Behaviour:
    def run(subject: DestinationSubject) -> None:
        comes_back_equal(subject, sample)

    return Behaviour(f"values.{sample.name}", f"Comes back as it was written: {sample.about}", run, sample.slow)


def comes_back_equal(subject: DestinationSubject, sample: Sample) -> None:
    """Write the sample and compare what the store holds, value by value."""
    stream = subject.stream(sample.columns)
    name = id_of(stream)
    rows = sample.rows()
    feed = Feed().status(name, "STARTED", "RUNNING").add(name, rows).state(name).status(name, "COMPLETE")
    subject.written([by_ui(stream, subject.any_mode)], feed, sample.about)
    if subject.can_get:
        subject.must_hold(name, rows, sample.about, "how values of this kind are stored, or read back by --get")


ALL += [_behaviour(sample) for sample in samples()]


@behaviour
def may_be_in_streams_with_hostile_names(subject: DestinationSubject) -> None:
    """Names of streams and namespaces with emoji, quotes, slashes, dots, spaces, capitals are kept apart."""
    names = [
        (None, "Ünïcödé 🦙 "),
        ("acc SQL\"'; --", "drop table x; --'\""),
        ("../acc", "../../etc/"),
        ("acc.a", "b."),
        ("acc", "a.b."),
    ]
    names += [("select", "Select "), ("ACC", "CASE"), ("acc", "case"), ("acc", "with%20percent%"), ("عربي", "עברית")]
    streams = [subject.stream(name=name, namespace=namespace) for namespace, name in names]
    feed = Feed()
    for number, stream in enumerate(streams):
        feed.status(id_of(stream), "STARTED").add(id_of(stream), subject.rows(2, first=10 * number))
    for stream in streams:
        feed.state(id_of(stream)).status(id_of(stream), "COMPLETE")
    subject.written([by_ui(stream, subject.any_mode) for stream in streams], feed, "streams with hostile names")
    if subject.can_get:
        for number, stream in enumerate(streams):
            subject.must_hold(
                id_of(stream), subject.rows(2, first=10 * number), f"in {tuple(id_of(stream))}", "how names are made"
            )
