"""P22: whoever reads the database, the files or the logs holds no key and nothing to try keys against."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from keys import secrets
from tests.gateway import Gateway, wait_for
from tests.reliability.conftest import KEYS, Figure

PLAIN_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")


@pytest.fixture
def issued(four_workers: Gateway) -> list[str]:
    """Keys that came about in different ways, were used, and are shown in the admin's list; one is revoked."""
    by_command = four_workers.create_key("--user", "stored", "--namespace", "first")
    keys = [by_command, *KEYS.values()]
    for key in keys:
        four_workers.call("first", key, "tools/call", {"name": "echo", "arguments": {}})
        four_workers.get("/mcp/first", headers={"X-API-Key": key})
    four_workers.query("UPDATE keys_apikey SET revoked_at = now() WHERE user_id = 'stored'")
    four_workers.admin().get("/admin/keys/apikey/")
    return keys


def _dump(url: str) -> str:
    """Every row of every table, bytes as hexadecimal digits, as pg_dump would write it."""
    statement = (
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    parts = []
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(statement).fetchall():
            copy = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, table))
            with connection.cursor().copy(copy) as rows:
                parts += [f"-- {schema}.{table}\n", *(bytes(row).decode() for row in rows)]
    return "".join(parts)


def _written(gateway: Gateway) -> bytes:
    """What lies in the data directory and what the gateway printed."""
    files = [path for path in gateway.data_dir.rglob("*") if path.is_file() and "postgres" not in path.parts]
    return b"".join(path.read_bytes() for path in files) + gateway.output().encode()


def _forms(key: str) -> dict[str, str]:
    """Every form in which a key must not lie about: itself, encoded, and hashed without the pepper."""
    plain = key.encode()
    forms = {"plain": key, "hex": plain.hex(), "base64": base64.b64encode(plain).decode().rstrip("=")}
    forms |= {"its random part": key[12:] if len(key) > 30 else key}
    for name in PLAIN_HASHES:
        digest = hashlib.new(name, plain).digest()
        forms |= {f"{name} hex": digest.hex(), f"{name} base64": base64.b64encode(digest).decode().rstrip("=")}
    return forms


def test_no_key_lies_in_database_files_or_logs(four_workers: Gateway, issued: list[str], figure: Figure) -> None:
    pepper = os.environ["GATEWAY_KEY_PEPPER"]
    wait_for(lambda: four_workers.query("SELECT 1 FROM keys_keyusage LIMIT 1"), 20, "no call of a key was shipped")
    dump, written = _dump(four_workers.sql_url), _written(four_workers)
    found = [
        (name, place)
        for key in issued
        for name, form in _forms(key).items()
        for place, text in (("database", dump), ("files and logs", written.decode("utf-8", "replace")))
        if form in text
    ]
    stored = [secrets.digest(key, pepper).hex() in dump for key in issued]
    figure(
        "P22",
        f"{len(issued)} keys issued, imported, used and revoked; {len(dump):,} bytes of database, "
        f"{len(written):,} bytes of files and logs searched for {len(_forms('key'))} forms of each",
        f"{len(found)} found; of each key only the digest with the pepper is there",
        "no plaintext key, no unpeppered hash",
    )
    assert found == []
    assert all(stored), "the search does not find even what must be there"
    assert "request_completed" in written.decode("utf-8", "replace"), "the logs were not searched"
    assert pepper not in dump


def test_the_state_of_the_gateway_is_its_own_alone(four_workers: Gateway) -> None:
    open_files = [path for path in Path(four_workers.data_dir).rglob("*") if path.stat().st_mode & 0o077]
    inside = [path for path in open_files if not any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents)]
    assert inside == []
