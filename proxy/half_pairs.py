"""Half surrogate pairs in an upstream's JSON: stand-ins for a reader that takes none, and the way back.

JavaScript servers escape them (`\\ud83d` alone) where text was cut in the middle of a character. They pass through the
gateway, so a message in which one stands must survive being cut up and put together again.
"""

from __future__ import annotations

import re

from proxy.errors import UpstreamFailed

_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|[^u])")
_PRIVATE_USE = range(0xE000, 0xF900)


def take_out(body: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Return a JSON text with a private-use character in place of each half pair, and what each stands for.

    Raises UpstreamFailed when there are more spellings of them than such characters left.
    """
    lowered = body.lower()
    free = (chr(code) for code in _PRIVATE_USE if b"\\u%04x" % code not in lowered and chr(code).encode() not in body)
    stand_ins: dict[bytes, str] = {}
    parts: list[bytes] = []
    copied = 0
    for start, end in _halves(body):
        spelling = body[start:end]
        if spelling not in stand_ins:
            stand_in = next(free, None)
            if stand_in is None:
                raise UpstreamFailed("The upstream's answer is not valid JSON.", reason="answer_invalid")
            stand_ins[spelling] = stand_in
        parts += (body[copied:start], stand_ins[spelling].encode())
        copied = end
    parts.append(body[copied:])
    return b"".join(parts), {stand_in: spelling for spelling, stand_in in stand_ins.items()}


def _halves(body: bytes) -> list[tuple[int, int]]:
    """Return where the escapes of half pairs stand."""
    found: list[tuple[int, int]] = []
    high: re.Match[bytes] | None = None
    for match in _ESCAPE.finditer(body):
        code = int(match[1], 16) if match[1] else 0
        is_low = 0xDC00 <= code < 0xE000
        if high is not None:
            if is_low and match.start() == high.end():
                high = None
                continue
            found.append(high.span())
            high = None
        if 0xD800 <= code < 0xDC00:
            high = match
        elif is_low:
            found.append(match.span())
    if high is not None:
        found.append(high.span())
    return found


def put_back(body: bytes, stand_ins: dict[str, bytes]) -> bytes:
    """Return the text with the half pairs where their stand-ins are."""
    for stand_in, spelling in stand_ins.items():
        body = body.replace(stand_in.encode(), spelling)
    return body
