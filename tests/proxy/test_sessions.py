"""Sealed session ids and signed event ids: any worker opens them, nobody else can make, change or use one."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from proxy.sessions import MAX_SEALED, MAX_UPSTREAM_ID, SessionSeal, sign_event_id, verify_event_id

KEYS = [Fernet.generate_key().decode() for _ in range(3)]
SEAL = SessionSeal(KEYS[:1])
identifiers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200)
numbers = st.integers(1, 2**63 - 1)
texts = st.text(max_size=80)


@given(identifiers, numbers, numbers, numbers, texts, texts)
def test_what_is_sealed_opens_again_in_another_process(
    upstream: str, key: int, namespace: int, server: int, version: str, client: str
) -> None:
    session = SEAL.session(upstream, key, namespace, server, version, client)
    sealed = SEAL.seal(session)
    assert all(0x21 <= ord(character) <= 0x7E for character in sealed)
    assert SessionSeal(KEYS[:1]).open(sealed.encode(), key, namespace, server) == session
    assert upstream not in sealed or len(upstream) < 4


@given(identifiers, st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_it_is_bound_to_key_namespace_and_upstream(
    upstream: str, own: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    sealed = SEAL.seal(SEAL.session(upstream, *own, "2025-11-25", "client")).encode()
    assert (SEAL.open(sealed, *other) is None) == (own != other)
    # Also when it was opened by its owner just before.
    assert SEAL.open(sealed, *own) is not None
    assert (SEAL.open(sealed, *other) is None) == (own != other)


@given(identifiers, st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(upstream: str, position: int, change: int) -> None:
    sealed = SEAL.seal(SEAL.session(upstream, 1, 2, 3, "", ""))
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    raw[position % len(raw)] ^= change
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=")
    assert SEAL.open(forged, 1, 2, 3) is None


@given(st.binary(max_size=300))
def test_junk_opens_nothing(junk: bytes) -> None:
    assert SEAL.open(junk, 1, 2, 3) is None
    assert SEAL.open(base64.urlsafe_b64encode(b"\x01" + junk), 1, 2, 3) is None


def test_two_seals_of_one_session_differ_and_the_digest_does_not() -> None:
    session = SEAL.session("abc", 1, 2, 3, "", "")
    assert SEAL.seal(session) != SEAL.seal(session)
    assert (
        session.digest
        == SEAL.session("abc", 1, 2, 3, "2025-11-25", "x").digest
        != SEAL.session("abc", 9, 2, 3, "", "").digest
    )


def test_the_longest_upstream_id_fits_a_header() -> None:
    session = SEAL.session("s" * MAX_UPSTREAM_ID, 2**63 - 1, 2**63 - 1, 2**63 - 1, "v" * 32, "ż" * 64)
    assert len(SEAL.seal(session)) <= MAX_SEALED


def test_rotating_the_keys_ends_no_session() -> None:
    old = SessionSeal(KEYS[:1])
    session = old.session("abc", 1, 2, 3, "", "")
    sealed = old.seal(session).encode()
    event = sign_event_id(session, "42")
    rotated = SessionSeal([KEYS[1], KEYS[0]])
    opened = rotated.open(sealed, 1, 2, 3)
    assert opened is not None and opened.upstream_session == "abc"
    assert verify_event_id(opened, event) == "42"
    assert SessionSeal(KEYS[1:]).open(sealed, 1, 2, 3) is None


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=100), numbers, numbers)
def test_an_event_id_belongs_to_one_session(identifier: str, key: int, other: int) -> None:
    session = SEAL.session("abc", key, 2, 3, "", "")
    signed = sign_event_id(session, identifier)
    assert verify_event_id(session, signed) == identifier
    assert verify_event_id(session, signed + "x") is None and verify_event_id(session, "x" + signed) is None
    assert verify_event_id(session, identifier) is None
    for stranger in (SEAL.session("abc", other, 2, 3, "", ""), SEAL.session("abd", key, 2, 3, "", "")):
        assert (verify_event_id(stranger, signed) is None) == (stranger.digest != session.digest)


@given(st.text(max_size=60))
def test_made_up_event_ids_are_refused(junk: str) -> None:
    assert verify_event_id(SEAL.session("abc", 1, 2, 3, "", ""), junk) is None
