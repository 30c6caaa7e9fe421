"""How a file names an API key that something else is about: by `key`, its secret, or `digest`, as an export has it."""

from __future__ import annotations

import re
from typing import Any

from gateway_project.configuration.callers import plain_secret
from gateway_project.configuration.document import Document
from gateway_project.configuration.form import Form
from keys.models import ApiKey, KeySecret

UNKNOWN = "no key has this secret; leave the entry out"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digests_named(entry: Form) -> tuple[bytes, ...]:
    """Return how the secret that names a key may be stored; nothing when the entry names none."""
    digest, key = entry.text("digest"), entry.text("key")
    if digest and not _DIGEST.fullmatch(digest):
        entry.problem("a digest is 64 hexadecimal digits, as an export has it", "digest")
    elif digest:
        return (bytes.fromhex(digest),)
    secret = plain_secret(entry, key, entry.line_of("key"), "key") if key else None
    return secret.digests if secret is not None else ()


def digest_of(key: ApiKey) -> str | None:
    """Return what names a key in an export; None when it has no secret, and is left out itself."""
    return min((bytes(one.digest).hex() for one in key.secrets.all()), default=None)


class KeysByDigest:
    """The keys of the database and of the document.

    Args: secrets: those of the database by digest; made: what stands for each key of the document, row or change.
    """

    def __init__(self, document: Document, secrets: dict[bytes, KeySecret], made: list[Any]) -> None:
        self._keys: dict[bytes, Any] = {digest: secret.key for digest, secret in secrets.items()}
        for entry, key in zip(document.keys, made, strict=True):
            if key is not None:
                self._keys |= {digest: key for secret in entry.secrets for digest in secret.digests}

    def find(self, digests: tuple[bytes, ...]) -> Any:
        """Return the key that one of the digests belongs to, or None."""
        return next((self._keys[digest] for digest in digests if digest in self._keys), None)
