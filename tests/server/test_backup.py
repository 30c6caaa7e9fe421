"""Backup and restore: what was there is there again, elsewhere, and nothing is half restored."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import databases
from tests.gateway import Gateway

MakeGateway = Callable[..., Gateway]
CREDENTIAL = "Bearer upstream-credential-1"
CONFIG = {
    "upstreams": {"kept": {"url": "http://127.0.0.1:8999/mcp", "credentials": {"Authorization": CREDENTIAL}}},
    "namespaces": {"kept": {"upstream": "kept"}},
}
OWN_SECRETS = ("GATEWAY_SECRET_KEY", "GATEWAY_ENCRYPTION_KEYS", "GATEWAY_KEY_PEPPER")


def with_secrets_in_its_directory(gateway: Gateway) -> Gateway:
    """Take the suite's secrets out of its environment, so that it makes and keeps its own."""
    for name in OWN_SECRETS:
        del gateway.env[name]
    return gateway


def show_credential(gateway: Gateway) -> str:
    code = "from namespaces.models import UpstreamCredential as C; print('value:', C.objects.get().value.reveal())"
    return gateway.manage("shell", "--no-imports", "-c", code)


def test_a_backup_goes_into_an_empty_data_directory(tmp_path: Path) -> None:
    old = with_secrets_in_its_directory(Gateway(arguments=("--demo",))).start()
    new = with_secrets_in_its_directory(Gateway(arguments=("--demo",)))
    try:
        key = old.create_key("--user", "olga", "--namespace", "demo")
        old.import_config(CONFIG)
        path = tmp_path / "gateway.backup"
        assert "Wrote" in old.manage("backup", str(path))
        assert path.stat().st_mode & 0o777 == 0o600
        assert CREDENTIAL.encode() not in gzip.decompress(member(path, "database.sql.gz"))
        assert key.encode() not in path.read_bytes() + gzip.decompress(member(path, "database.sql.gz"))
        old.stop()
        assert "Restored" in new.manage("restore", str(path))
        for name in ("secret_key", "encryption_keys", "key_pepper"):
            assert (new.data_dir / "secrets" / name).read_text() == (old.data_dir / "secrets" / name).read_text()
            assert (new.data_dir / "secrets" / name).stat().st_mode & 0o777 == 0o600
        new.start()
        assert new.call("demo", key, "tools/list").status_code == 200
        assert CREDENTIAL in show_credential(new)
        with pytest.raises(AssertionError, match="holds a database already"):
            new.manage("restore", str(path))
    finally:
        old.close()
        new.close()


def member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as archive:
        found = archive.extractfile(name)
        assert found is not None
        return found.read()


def test_a_backup_goes_into_an_empty_database_and_not_into_another(
    make_gateway: MakeGateway, database_server: str, tmp_path: Path
) -> None:
    old = make_gateway()
    old.import_config(CONFIG)
    path = tmp_path / "gateway.backup"
    old.manage("backup", str(path), "--without-log")
    with databases.temporary(database_server) as url:
        new = Gateway(database_url=url)
        new.manage("restore", str(path))
        assert CREDENTIAL in show_credential(new)
        with pytest.raises(AssertionError, match="holds tables already"):
            new.manage("restore", str(path))
        new.close()


def test_an_existing_file_is_not_overwritten(make_gateway: MakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    with pytest.raises(AssertionError, match="exists already"):
        make_gateway().manage("backup", str(path))
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("what", ["garbage", "a foreign archive", "a broken dump"])
def test_a_bad_backup_restores_nothing(tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad"
    if what == "garbage":
        path.write_bytes(os.urandom(4096))
    else:
        with tarfile.open(path, "w") as archive:
            members = {"letter.txt": b"dear"}
            if what == "a broken dump":
                sql = b"CREATE TABLE half (id int);\nSELECT nonsense;\n"
                members = {"manifest.json": b'{"format": 1}', "database.sql.gz": gzip.compress(sql)}
                members |= {f"secrets/{name}": b"x" for name in ("secret_key", "encryption_keys", "key_pepper")}
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    gateway = Gateway()
    with pytest.raises(AssertionError, match=r"no backup|nonsense"):
        gateway.manage("restore", str(path))
    assert not (gateway.data_dir / "postgres").exists()
    assert not (gateway.data_dir / "secrets" / "secret_key").exists()
    gateway.close()
