"""Half surrogate pairs in an upstream's JSON: stand-ins for a reader that takes none, and the way back.

JavaScript servers escape them (`\\ud83d` alone) where text was cut in the middle of a character. They pass through the
gateway, so a message in which one stands must survive being cut up and put together again.
"""

from __future__ import annotations

import re

from proxy.errors import UpstreamFailed

# A run of backslashes of odd length before it makes it an escape.
_SURROGATE = re.compile(rb"(?<!\\)(\\++)u([dD][89a-fA-F][0-9A-Fa-f]{2})")
_PRIVATE_USE = range(0xE000, 0xF900)
_PRIVATE = re.compile(rb"\xee[\x80-\xbf][\x80-\xbf]|\xef[\x80-\xa3][\x80-\xbf]")
_PRIVATE_ESCAPE = re.compile(rb"\\u([eEfF][0-9A-Fa-f]{3})")
# More escapes of surrogates than any text is cut at; looking at each takes time that other calls wait for.
_MOST = 50_000
_MOST_SPELLINGS = 64


def _unfit() -> UpstreamFailed:
    return UpstreamFailed("The upstream's answer is not valid JSON.", reason="answer_invalid")


def take_out(body: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return a JSON text with a private-use character in place of each half pair, and what each stands for.

    Raises UpstreamFailed when there are too many, or more spellings of them than such characters left.
    """
    used = set(_PRIVATE.findall(body)) | {chr(int(code, 16)).encode() for code in set(_PRIVATE_ESCAPE.findall(body))}
    free = (chr(code).encode() for code in _PRIVATE_USE if chr(code).encode() not in used)
    stand_ins: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    copied = 0
    for start in _halves(body):
        spelling = body[start : start + 6]
        if spelling not in stand_ins:
            stand_in = next(free, None) if len(stand_ins) < _MOST_SPELLINGS else None
            if stand_in is None:
                raise _unfit()
            stand_ins[spelling] = stand_in
        parts += (body[copied:start], stand_ins[spelling])
        copied = start + 6
    parts.append(body[copied:])
    return b"".join(parts), {stand_in: spelling for spelling, stand_in in stand_ins.items()}


def _halves(body: bytes) -> list[int]:
    """Return where the escapes of half pairs begin."""
    found: list[int] = []
    high: int | None = None
    for number, match in enumerate(_SURROGATE.finditer(body)):
        if number >= _MOST:
            raise _unfit()
        if len(match[1]) % 2 == 0:
            continue
        start, is_high = match.end() - 6, match[2][1:2] in b"89abAB"
        if high is not None and not is_high and start == high + 6:
            high = None
            continue
        if high is not None:
            found.append(high)
        high = start if is_high else None
        if not is_high:
            found.append(start)
    return found if high is None else [*found, high]


def put_back(body: bytes, stand_ins: dict[bytes, bytes]) -> bytes:
    """Return the text with the half pairs where their stand-ins are."""
    for stand_in, spelling in stand_ins.items():
        body = body.replace(stand_in, spelling)
    return body
