"""The session seal and the signed event ids: nothing opens but what was sealed, and for whom."""

from __future__ import annotations

import base64
from unittest import mock

from proxy.sessions import Session, SessionSeal, sign_event_id, verify_event_id

KEYS = ("a-key-of-the-fuzzer-that-seals-now", "an-older-one-that-still-opens")
SEAL, OLDER = SessionSeal(KEYS), SessionSeal(KEYS[1:])
SESSIONS = [
    SEAL.session("session-1", 1, 2, 3, "2025-11-25", "client/1"),
    SEAL.session("", 1, 2, 3, "", ""),
    SEAL.session("x" * 2048, 9, 8, 7, "2024-11-05", "ż" * 64),
]
# Nonces that are the same in every process, so that what one run has kept is known to the next.
with mock.patch("proxy.sessions.os.urandom", bytes):
    SEALED = [seal.seal(session).encode() for session in SESSIONS for seal in (SEAL, OLDER)]
EVENTS = [sign_event_id(session, identifier).encode() for session in SESSIONS for identifier in ("1", "a.b", "")]
SEEDS = [b"s" + sealed for sealed in SEALED] + [b"e" + signed for signed in EVENTS] + [b"s", b"e.", b"sAQ=="]


def _decoded(sealed: bytes) -> bytes | None:
    try:
        return base64.b64decode(sealed + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None


_ORIGINALS = {_decoded(sealed) for sealed in SEALED}


def _owners(session: Session) -> tuple[int, int, int]:
    return session.key_id, session.namespace_id, session.upstream_id


def check(data: bytes) -> None:
    """The first byte says whether a session id or an event id follows."""
    kind, text = data[:1], data[1:]
    if kind == b"s":
        for owners in {_owners(session) for session in SESSIONS}:
            opened = SEAL.open(text, *owners)
            if opened is not None:
                assert _decoded(text) in _ORIGINALS, "a session id was forged"
                assert _owners(opened) == owners and opened in SESSIONS
            assert SEAL.open(text, owners[0] + 1, *owners[1:]) is None
        return
    signed = text.decode("latin-1")
    for session in SESSIONS:
        identifier = verify_event_id(session, signed)
        if identifier is not None:
            assert signed in {sign_event_id(session, identifier), sign_event_id(_signed_by_older(session), identifier)}
            assert signed.encode("latin-1") in EVENTS, "an event id was forged"


def _signed_by_older(session: Session) -> Session:
    return OLDER.session(session.upstream_session, *_owners(session), session.protocol_version, session.client_name)
