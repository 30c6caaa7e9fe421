"""Who is calling: the credential of a request, looked up by its digest in the snapshot. No SQL, no defaults."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from urllib.parse import parse_qsl

from keys import secrets
from namespaces import networks
from proxy.entries import KeyEntry
from proxy.errors import Invalid, Unauthenticated
from proxy.head import Head
from proxy.snapshot import Snapshot

# Good keys of a snapshot are remembered under a keyed hash of the whole key, which is cheaper than the digest.
_MEMORY_KEY = os.urandom(32)
_UNKNOWN = "The key is not known."
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
_QUERY_NAMES = frozenset(("api_key", "apikey", "key", "token", "access_token", "api-key", "authorization"))


def credential(head: Head) -> bytes:
    """Return the one credential of a request: `Authorization: Bearer …` or `X-API-Key`.

    Raises Unauthenticated when there is none, when it came twice, or when two differ (none of them wins).
    """
    bearer = head.values.get(b"authorization")
    other = head.values.get(b"x-api-key")
    if head.repeated and (b"authorization" in head.repeated or b"x-api-key" in head.repeated):
        raise Unauthenticated("The credential came twice; send it once.", reason="credential_ambiguous")
    if bearer is None:
        if other is None or not other.strip():
            raise Unauthenticated(
                "A key is needed: send Authorization: Bearer <key> or X-API-Key: <key>.", reason="credential_missing"
            )
        return other.strip()
    scheme, _, token = bearer.strip().partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("The Authorization header must be: Bearer <key>.", reason="credential_missing")
    if other is not None and other.strip() != token:
        raise Unauthenticated("Two different credentials came; send one.", reason="credential_ambiguous")
    return token


def refuse_query_credentials(query: bytes) -> None:
    """Raise Invalid when a credential stands in the URL (logs and proxies would keep it), or over 100 fields do."""
    try:
        fields = parse_qsl(query.decode("latin-1"), max_num_fields=100)
    except ValueError:
        raise Invalid("The URL has too many query fields.", reason="query_invalid") from None
    if any(name.lower() in _QUERY_NAMES for name, _ in fields):
        raise Invalid(
            "A credential in the URL is refused; send Authorization: Bearer <key>.", reason="credential_in_url"
        )


def authenticate(
    head: Head, snapshot: Snapshot, peppers: Sequence[str], now: float, address: str | None = None
) -> KeyEntry:
    """Return the key that the request proves.

    Args: peppers: all that may have digested a key; now: seconds since 1970; address: of the client.
    Raises Unauthenticated: unknown, revoked or expired, or sent from an address where it does not work: that is
    answered like an unknown key, so that who stole one learns nothing. The time that it takes does not depend on how
    much of a key is right, because only a keyed digest of the whole is looked up.
    """
    if snapshot.anonymous is not None and not (head.values.keys() & _CREDENTIALS):
        return snapshot.anonymous
    token = credential(head)
    if len(token) > secrets.MAX_KEY_LENGTH:
        raise Unauthenticated(_UNKNOWN, reason="credential_unknown")
    remembered = hashlib.blake2b(token, key=_MEMORY_KEY, digest_size=16).digest()
    found = snapshot.authenticated.get(remembered)
    if found is None:
        found = _look_up(token, snapshot, peppers)
        snapshot.authenticated[remembered] = found
    key, ends_at = found
    if (ends_at is not None and now >= ends_at) or (key.expires_at is not None and now >= key.expires_at):
        raise Unauthenticated("The key has expired; ask for a new one.", reason="key_expired")
    if key.networks is not None and not networks.holds(key.networks, networks.address(address)):
        error = Unauthenticated(_UNKNOWN, reason="address_denied")
        error.shown_reason, error.key = "credential_unknown", key
        raise error
    return key


def _look_up(token: bytes, snapshot: Snapshot, peppers: Sequence[str]) -> tuple[KeyEntry, float | None]:
    """Return what the snapshot holds for a token: its key and the moment at which this secret ends."""
    text = token.decode("utf-8", "surrogateescape")
    for pepper in peppers:
        digest = secrets.digest(text, pepper)
        found = snapshot.secrets.get(digest)
        if found is not None:
            return found
        if digest in snapshot.revoked:
            raise Unauthenticated("The key was revoked; ask for a new one.", reason="key_revoked")
    raise Unauthenticated(_UNKNOWN, reason="credential_unknown")
