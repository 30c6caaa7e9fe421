"""The event stream reader: cut anywhere it reads the same, and what is written again holds no event more."""

from __future__ import annotations

from namespaces.sse import Event, EventReader, EventTooLarge
from tests.proxy.test_sse import read_whole

CAP, SMALL_CAP = 1 << 20, 64
SEEDS = [
    b"\x03\x07event: message\ndata: {}\n\n",
    b"\x01\x01\xef\xbb\xbf: comment\r\n\r\nid: 7\r\ndata: a\r\ndata: b\r\n\r\n",
    b"\x02\x05retry: 100\rdata:x\r\rdata: y\n\n\n\n",
    b"\x09\x02data: " + b"x" * 100 + b"\n\ndata\n\nid\n\n",
    b"\x01\x03event: a b\nid: \x00\ndata: \xff\xfe\n\n:\n\ndata: z",
]


def _read(stream: bytes, sizes: tuple[int, ...], cap: int) -> list[Event]:
    reader, found, start, turn = EventReader(cap), [], 0, 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        found += reader.feed(stream[start : start + size])
        start, turn = start + size, turn + 1
    return found


def check(data: bytes) -> None:
    """The first two bytes say how the others are cut."""
    if len(data) < 3:
        return
    sizes, stream = (1 + data[0] % 16, 1 + data[1] % 16), data[2:]
    whole = read_whole(stream)
    assert _read(stream, sizes, CAP) == whole, "a cut changed what was read"
    assert _read(stream, (len(stream),), CAP) == whole, "read otherwise than the grammar says"
    for event in whole:
        # What leaves the gateway reads as this event and no other, by a reader that follows the grammar.
        again = read_whole(event.encode())
        assert again == [event], (again, event)
    try:
        small = _read(stream, sizes, SMALL_CAP)
    except EventTooLarge:
        return
    assert small == whole
