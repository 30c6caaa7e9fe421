"""API keys as text: make one, check its form, digest it. Pure; knows no models.

A key is `mcpgw_` + 43 random base62 characters (256 bits) + 6 base62 characters of CRC-32 over what stands
before them. The checksum lets scanners and the gateway turn down junk without a look-up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib

PREFIX = "mcpgw_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 43
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
SHOWN_LENGTH = len(PREFIX) + 6
MAX_KEY_LENGTH = 512


def _base62(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        value, digit = divmod(value, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def checksum(text: str) -> str:
    """Return the six base62 characters of the CRC-32 of `text` (ASCII)."""
    return _base62(zlib.crc32(text.encode("ascii")), CHECKSUM_LENGTH)


def generate() -> str:
    """Return a new API key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + checksum(body)


def is_well_formed(key: str) -> bool:
    """Return whether `key` may be one of ours: right length, right checksum.

    A key that does not begin with our prefix may have been imported from elsewhere; only its length counts.
    """
    if not key.startswith(PREFIX):
        return 0 < len(key) <= MAX_KEY_LENGTH
    if len(key) != KEY_LENGTH or not key.isascii():
        return False
    return hmac.compare_digest(checksum(key[:-CHECKSUM_LENGTH]), key[-CHECKSUM_LENGTH:])


def digest(key: str, pepper: str) -> bytes:
    """Return the 32 bytes under which a key is stored and looked up: HMAC-SHA-256 with the pepper."""
    return hmac.digest(pepper.encode(), key.encode("utf-8", "surrogatepass"), "sha256")


def pepper_id(pepper: str) -> str:
    """Return a short name of a pepper that tells nothing about it, so that old digests can be found."""
    return hashlib.sha256(b"pepper id\0" + pepper.encode()).hexdigest()[:8]


def shown_prefix(key: str) -> str:
    """Return the part of a key that may be shown for recognition: twelve characters, fewer of a short key."""
    return key[: min(SHOWN_LENGTH, len(key) // 4)]
