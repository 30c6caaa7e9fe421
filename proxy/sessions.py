"""Sealed legacy session ids and event ids: any worker opens them, no other key can use them, nothing is stored.

The client's id is AES-256-GCM over the upstream's id and what it is bound to. Keys are derived from the
configured encryption keys, the first seals, all open, so rotating them ends no session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAX_UPSTREAM_ID = 2048
MAX_SEALED = 4096
_NONCE = 12
_VERSION = b"\x01"
_SEPARATOR = "\x1f"
_CACHE_ENTRIES = 8192


@dataclass(frozen=True, slots=True)
class Session:
    """A legacy session: its upstream id and what it is bound to.

    `digest` stands for the session in logs; the first of `event_keys` signs event ids, all of them verify.
    """

    upstream_session: str
    key_id: int
    namespace_id: int
    upstream_id: int
    protocol_version: str
    client_name: str
    digest: str
    event_keys: tuple[bytes, ...]


def _derive(secret: str, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"mcp-gateway " + purpose).derive(secret.encode())


def _clean(text: str, cap: int) -> str:
    return "".join(character for character in text[:cap] if character.isprintable())


class SessionSeal:
    """Seals and opens session ids and signs event ids with keys derived from the encryption key list."""

    def __init__(self, encryption_keys: Sequence[str]) -> None:
        self._ciphers = [AESGCM(_derive(key, b"session")) for key in encryption_keys]
        self._event_keys = [_derive(key, b"event") for key in encryption_keys]
        self._opened: dict[bytes, Session] = {}

    def session(
        self, upstream_session: str, key_id: int, namespace_id: int, upstream_id: int, version: str, client: str
    ) -> Session:
        """Return the session value for an upstream's id; also for stateless upstreams, whose id is empty."""
        bound = f"{key_id}{_SEPARATOR}{namespace_id}{_SEPARATOR}{upstream_id}{_SEPARATOR}{upstream_session}"
        event_keys = tuple(hmac.digest(key, bound.encode(), "sha256") for key in self._event_keys)
        digest = hashlib.sha256(b"session" + bound.encode()).hexdigest()[:16]
        return Session(
            upstream_session,
            key_id,
            namespace_id,
            upstream_id,
            _clean(version, 32),
            _clean(client, 64),
            digest,
            event_keys,
        )

    def seal(self, session: Session) -> str:
        """Return the id that the client gets: visible ASCII, at most 4 KiB."""
        text = _SEPARATOR.join(
            (
                str(session.key_id),
                str(session.namespace_id),
                str(session.upstream_id),
                session.protocol_version,
                session.client_name,
                session.upstream_session,
            )
        )
        nonce = os.urandom(_NONCE)
        sealed = _VERSION + nonce + self._ciphers[0].encrypt(nonce, text.encode(), _VERSION)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, sealed: bytes, key_id: int, namespace_id: int, upstream_id: int) -> Session | None:
        """Return the session behind a client's id, or None when it is forged, or bound to something else."""
        session = self._opened.get(sealed)
        if session is None:
            session = self._unseal(sealed)
            if session is None:
                return None
            if len(self._opened) >= _CACHE_ENTRIES:
                self._opened.clear()
            self._opened[sealed] = session
        if (session.key_id, session.namespace_id, session.upstream_id) != (key_id, namespace_id, upstream_id):
            return None
        return session

    def _unseal(self, sealed: bytes) -> Session | None:
        if not 0 < len(sealed) <= MAX_SEALED:
            return None
        try:
            raw = base64.b64decode(sealed + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if raw[:1] != _VERSION:
            return None
        nonce, body = raw[1 : 1 + _NONCE], raw[1 + _NONCE :]
        for cipher in self._ciphers:
            try:
                text = cipher.decrypt(nonce, body, _VERSION).decode()
            except (InvalidTag, ValueError):
                continue
            key, namespace, upstream, version, client, session = text.split(_SEPARATOR, 5)
            return self.session(session, int(key), int(namespace), int(upstream), version, client)
        return None


def sign_event_id(session: Session, identifier: str) -> str:
    """Return an event id that only this session can resume from: `<id>.<12 characters of HMAC>`."""
    return f"{identifier}.{_signature(session.event_keys[0], identifier)}"


def verify_event_id(session: Session, signed: str) -> str | None:
    """Return the upstream's event id inside a client's Last-Event-ID, or None when it is not this session's."""
    identifier, dot, signature = signed.rpartition(".")
    given = signature.encode("utf-8", "surrogatepass")
    for key in session.event_keys if dot else ():
        if hmac.compare_digest(given, _signature(key, identifier).encode()):
            return identifier
    return None


def _signature(key: bytes, identifier: str) -> str:
    mac = hmac.digest(key, identifier.encode("utf-8", "surrogatepass"), "sha256")[:9]
    return base64.urlsafe_b64encode(mac).decode()
