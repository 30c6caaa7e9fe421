"""The event stream reader and writer, held against the grammar (WHATWG HTML §9.2) read a second time, plainly."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from namespaces.sse import Event, EventReader, EventTooLarge

CAP = 1 << 20
pieces = st.sampled_from(
    [b"data", b"event", b"id", b"retry", b"unknown", b":", b": ", b" ", b"a", b"7", b"\xc5\xbc", b"\xff", b"\0"]
    + [b"\n", b"\r", b"\r\n", b"\n\n", b"data: x\n\n", b"\xef\xbb\xbf", b":comment\n", b"event: message\ndata: {}\n\n"]
)
streams = st.lists(pieces, max_size=40).map(b"".join)
cuts = st.lists(st.integers(1, 7), min_size=1, max_size=20)
lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


def read_whole(stream: bytes) -> list[Event]:
    """Read a complete stream line by line, as the grammar says."""
    found: list[Event] = []
    event, data, seen = Event(), [], False
    ended = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    for line in ended:
        if not line:
            if seen:
                event.data = b"\n".join(data) if data else None
                found.append(event)
            event, data, seen = Event(), [], False
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
            seen = True
        elif name == b"event" and re.fullmatch(rb"[A-Za-z0-9_./:-]{1,128}", value):
            event.name, seen = value, True
        elif name == b"id" and re.fullmatch(rb"[ -~]{0,512}", value):
            event.id, seen = value, True
        elif name == b"retry" and re.fullmatch(rb"[0-9]{1,9}", value):
            event.retry, seen = int(value), True
    return found


def read_in_pieces(stream: bytes, sizes: list[int]) -> list[Event]:
    """Read a stream in pieces of these sizes, over and over."""
    reader, found, start, turn = EventReader(CAP), [], 0, 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        found += reader.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    return found


@given(streams, cuts)
@example(b"data: x\r\n\r\ndata: y\r\r", [1])
@example(b"\xef\xbb\xbfdata: x\n\n", [1])
@example(b"\n\n\ndata: x\n\n", [2])
def test_any_cutting_reads_like_the_whole(stream: bytes, sizes: list[int]) -> None:
    # An event that ends in a CR is complete only once the next byte shows that no LF belongs to it.
    assert read_in_pieces(stream, sizes) == read_in_pieces(stream, [len(stream) or 1]) == read_whole(stream)


@given(
    st.lists(lines.map(str.encode), min_size=1, max_size=5).map(b"\n".join),
    st.none() | st.from_regex(rb"[A-Za-z0-9_./:-]{1,128}", fullmatch=True),
    st.none() | st.from_regex(rb"[ -~]{0,512}", fullmatch=True).filter(lambda value: not value.startswith(b" ")),
    st.none() | st.integers(0, 999_999_999),
    cuts,
)
def test_what_is_written_reads_back(
    data: bytes, name: bytes | None, identifier: bytes | None, retry: int | None, sizes: list[int]
) -> None:
    event = Event(data, name, identifier, retry)
    assert read_in_pieces(event.encode() * 2, sizes) == [event, event]
    assert read_whole(event.encode()) == [event]


@given(st.binary(max_size=100))
def test_written_data_forges_no_event(data: bytes) -> None:
    clean = data.replace(b"\r", b"")
    assert [event.data for event in read_whole(Event(clean).encode())] == [clean]


@pytest.mark.parametrize("size", [1, 100, 5000])
@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 2000 + b"\n\n", b"x" * 2000, b":" + b"c" * 2000, b"data: x\n" * 300]
)
def test_an_event_over_the_cap_is_refused_whether_it_ends_or_not(stream: bytes, size: int) -> None:
    reader = EventReader(1000)
    with pytest.raises(EventTooLarge):
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])


def test_many_events_under_the_cap_pass_together() -> None:
    assert len(EventReader(1000).feed(b"data: x\n\n" * 5000)) == 5000


def test_an_event_that_comes_byte_by_byte_costs_no_more_than_its_bytes() -> None:
    """A reader that looked at all of it for each byte would need minutes for this."""
    reader = EventReader(4 << 20)
    begun = time.process_time()
    reader.feed(b"data: " + b"x" * (3 << 20))
    for _ in range(20_000):
        assert reader.feed(b"y") == []
    (event,) = reader.feed(b"\n\n")
    assert event.data is not None and len(event.data) == (3 << 20) + 20_000
    assert time.process_time() - begun < 1.0
