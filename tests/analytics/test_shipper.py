"""The shipper: each line exactly once, whatever happens to it or to Postgres in between (P16, P17)."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from analytics import partitions, shipper
from analytics.record import RequestRecord
from analytics.recorder import Recorder
from analytics.shipper import DirectoryBusyError, DirectoryLock, Shipper

MakeShipper = Callable[[], Shipper]


def put(recorder: Recorder, count: int, **values: object) -> list[str]:
    """Put `count` records and return their ids."""
    ids = [os.urandom(16).hex() for _ in range(count)]
    for number in ids:
        assert recorder.put(RequestRecord(**({"id": number, "at": time.time()} | values)))  # type: ignore[arg-type]
    return ids


def ship(shipper: Shipper) -> None:
    while shipper.ship_all():
        pass


def ids_in(connection: psycopg.Connection) -> list[str]:
    return sorted(row[0].hex for row in connection.execute("SELECT id FROM analytics_requestlog"))


def rejects(connection: psycopg.Connection) -> list[tuple[bytes, str]]:
    return connection.execute("SELECT line, error FROM analytics_journalreject ORDER BY position").fetchall()


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.copy"))


def test_a_living_file_is_shipped_and_stays_and_a_finished_one_goes(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    recorder, shipper = Recorder(journal, 1 << 20), make_shipper()
    ids = put(recorder, 10)
    ship(shipper)
    assert ids_in(log_connection) == sorted(ids) and len(files(journal)) == 1
    ids += put(recorder, 5)
    ship(shipper)
    assert ids_in(log_connection) == sorted(ids) and len(files(journal)) == 1
    recorder.close()
    ship(shipper)
    assert files(journal) == []
    done, rejected = log_connection.execute(
        "SELECT done_at IS NOT NULL, rejected FROM analytics_journalfile"
    ).fetchall()[0]
    assert done and rejected == 0


def test_a_row_can_be_read_within_a_tenth_of_a_second(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    stop, recorder, shipper = threading.Event(), Recorder(journal, 1 << 20), make_shipper()
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    try:
        put(recorder, 1)
        waits = []
        for count in range(2, 12):
            time.sleep(0.03)
            began = time.monotonic()
            put(recorder, 1)
            while len(ids_in(log_connection)) < count:
                assert time.monotonic() - began < 5
                time.sleep(0.002)
            waits.append(time.monotonic() - began)
    finally:
        stop.set()
        thread.join(20)
    assert sorted(waits)[len(waits) // 2] < 0.1, waits


def test_nothing_is_asked_of_postgres_while_nothing_is_written(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    recorder, shipper = Recorder(journal, 1 << 20), make_shipper()
    put(recorder, 3)
    ship(shipper)

    def transactions() -> int:
        return log_connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]  # type: ignore[index]

    before = transactions()
    for _ in range(20):
        assert shipper.ship_all() == 0
    assert transactions() == before + 1  # the question itself


def test_half_a_line_waits_for_its_end_or_is_left_out(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, shipper = Recorder(journal, 1 << 20), make_shipper()
    ids = put(recorder, 2)
    (path,) = journal.glob("*.copy")
    line = path.read_bytes().splitlines(keepends=True)[0].replace(ids[0].encode(), b"f" * 32)
    with path.open("ab") as file:
        file.write(line[:40])
        file.flush()
        ship(shipper)
        assert len(ids_in(log_connection)) == 2
        file.write(line[40:] + line[:40])
        file.flush()
        ship(shipper)
        assert len(ids_in(log_connection)) == 3
    with caplog.at_level(logging.INFO):
        recorder.close()
        ship(shipper)
    assert files(journal) == [] and len(ids_in(log_connection)) == 3
    assert "ended within a line" in caplog.text


def test_refused_lines_are_singled_out_and_kept(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, shipper = Recorder(journal, 1 << 24), make_shipper()
    good = put(recorder, 500)
    put(recorder, 1, id="no uuid")
    good += put(recorder, 500)
    put(recorder, 1, total_us=1 << 70)
    (path,) = journal.glob("*.copy")
    with path.open("ab") as file:
        file.write(b"garbage\n\n\xff\xfe\t\n")
    good += put(recorder, 10)
    put(recorder, 1, id=good[0], at=time.time())  # the same id at another time is another row by the key
    recorder.close()
    with caplog.at_level(logging.ERROR):
        ship(shipper)
    refused = rejects(log_connection)
    assert sorted(set(ids_in(log_connection))) == sorted(good)
    assert [line[:7] for line, _ in refused[:1]] == [b"no uuid"] and len(refused) == 5
    assert "no uuid" in refused[0][1] and files(journal) == [] and shipper.rejected == 5
    assert "refused" in caplog.text
    assert log_connection.execute("SELECT rejected FROM analytics_journalfile").fetchall() == [(5,)]


def test_a_line_that_never_ends_does_not_hold_up_the_file(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "BLOCK_BYTES", 4096)
    recorder, one = Recorder(journal, 1 << 24), make_shipper()
    ids = put(recorder, 5)
    (path,) = journal.glob("*.copy")
    with path.open("ab") as file:
        file.write(b"x" * 10_000 + b"\n")
    ids += put(recorder, 5)
    recorder.close()
    ship(one)
    assert ids_in(log_connection) == sorted(ids) and files(journal) == []
    assert "does not end" in rejects(log_connection)[0][1]


def test_rows_of_an_absurd_date_get_no_partition(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    recorder, one = Recorder(journal, 1 << 24), make_shipper()
    now = datetime.now(UTC)
    days = [now - timedelta(days=back) for back in (0, 1, 89, -1)]
    for day in days:
        put(recorder, 1, at=day.timestamp())
    for absurd in (0.0, (now + timedelta(days=400)).timestamp(), (now - timedelta(days=500)).timestamp()):
        put(recorder, 1, at=absurd)
    recorder.close()
    ship(one)
    assert len(ids_in(log_connection)) == 4 and len(rejects(log_connection)) == 3
    made = {day for _, day, attached, _ in partitions.existing(log_connection) if attached}
    assert {day.date() for day in days} <= made
    assert all((now - timedelta(days=100)).date() < day < (now + timedelta(days=10)).date() for day in made)


def test_a_partition_that_someone_dropped_is_made_again(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    recorder, one = Recorder(journal, 1 << 20), make_shipper()
    put(recorder, 1)
    ship(one)
    log_connection.execute(f"DROP TABLE {partitions.partition_name(datetime.now(UTC).date())}")
    ids = put(recorder, 3)
    stop = threading.Event()
    stop.set()
    assert one.run(stop)
    assert ids_in(log_connection) == sorted(ids) and rejects(log_connection) == []


def test_last_use_of_keys_moves_forward_only(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    log_connection.execute("TRUNCATE keys_apikey CASCADE")
    for number in (1, 2):
        log_connection.execute(
            "INSERT INTO keys_apikey"
            " (id, user_id, description, all_namespaces, sees, algorithm, addresses_mode, addresses_listed, created_by,"
            " created_at, updated_at) VALUES (%s, 'alice', '', true, 'own', '', 'all', '{}', '', now(), now())",
            (number,),
        )
    now = time.time()
    recorder, one = Recorder(journal, 1 << 20), make_shipper()
    for key_id, at in ((1, now - 50), (1, now - 10), (1, now - 30), (2, now - 5), (77, now), (None, now)):
        put(recorder, 1, key_id=key_id, at=at)
    ship(one)

    def used() -> dict[int, float]:
        rows = log_connection.execute("SELECT key_id, last_used_at FROM keys_keyusage").fetchall()
        return {key_id: at.timestamp() for key_id, at in rows}

    assert used() == pytest.approx({1: now - 10, 2: now - 5}, abs=1e-5)
    put(recorder, 1, key_id=1, at=now - 20)
    put(recorder, 1, key_id=2, at=now)
    ship(one)
    assert used() == pytest.approx({1: now - 10, 2: now}, abs=1e-5)


def test_deleting_keys_and_shipping_their_calls_do_not_disturb_each_other(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection, log_database: str
) -> None:
    log_connection.execute("TRUNCATE keys_apikey CASCADE")
    log_connection.execute(
        "INSERT INTO keys_apikey"
        " (id, user_id, description, all_namespaces, sees, algorithm, addresses_mode, addresses_listed, created_by,"
        " created_at, updated_at) VALUES (5, 'alice', '', true, 'own', '', 'all', '{}', '', now(), now())"
    )
    recorder, one = Recorder(journal, 1 << 20), make_shipper()
    ids = put(recorder, 1, key_id=5)
    with psycopg.connect(log_database) as deleting:
        deleting.execute("DELETE FROM keys_keyusage WHERE key_id = 5")
        deleting.execute("DELETE FROM keys_apikey WHERE id = 5")
        ship(one)  # does not wait for the deletion
        deleting.commit()
    ids += put(recorder, 1, key_id=5)
    ship(one)
    assert ids_in(log_connection) == sorted(ids)
    assert log_connection.execute("SELECT count(*) FROM keys_keyusage").fetchone() == (0,)


def test_a_shipper_killed_within_its_commit_doubles_nothing(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection, log_database: str
) -> None:
    recorder = Recorder(journal, 1 << 20)
    ids = put(recorder, 10)
    # The commit of the first shipper takes a second, in which that shipper is killed and the next one begins.
    log_connection.execute("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON analytics_journalfile DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()
    """)
    try:
        first = start_shipper(journal, log_database)
        wait_for(
            lambda: (
                log_connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone()
                == (1,)
            )
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert make_shipper().ship_all() == 0
    finally:
        log_connection.execute("DROP FUNCTION slow() CASCADE")
    assert ids_in(log_connection) == sorted(ids)


def test_one_shipper_at_a_time_and_it_says_who(journal: Path) -> None:
    first, second = DirectoryLock(journal), DirectoryLock(journal)
    first.take()
    with pytest.raises(DirectoryBusyError, match=f"process {os.getpid()} already ships"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_foreign_files_are_left_alone_and_unnamed_ones_removed_in_time(
    journal: Path, make_shipper: MakeShipper, log_connection: psycopg.Connection
) -> None:
    (journal / "notes.txt").write_text("mine")
    (journal / "not-a-uuid.copy").write_text("mine")
    (journal / ".hidden").write_text("mine")
    new, old = journal / f".{'0' * 36}", journal / f".{'1' * 36}"
    new.touch()
    old.touch()
    os.utime(old, (1, 1))
    os.utime(journal / ".hidden", (1, 1))
    make_shipper().ship_all()
    assert sorted(path.name for path in journal.iterdir()) == sorted(
        ["notes.txt", "not-a-uuid.copy", ".hidden", new.name]
    )


def test_without_postgres_the_journal_waits_and_the_shipper_says_so_once(
    journal: Path, log_connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    down = threading.Event()
    down.set()

    def connect_or_fail() -> psycopg.Connection:
        if down.is_set():
            raise psycopg.OperationalError("connection refused")
        return psycopg.connect(log_connection.info.dsn, autocommit=True)

    ids = put(Recorder(journal, 1 << 20), 10)
    stop, one = threading.Event(), Shipper(journal, connect_or_fail)
    thread = threading.Thread(target=one.run, args=(stop,))
    with caplog.at_level(logging.INFO):
        thread.start()
        time.sleep(0.8)
        assert [entry.levelname for entry in caplog.records] == ["ERROR"]
        down.clear()
        wait_for(lambda: ids_in(log_connection) == sorted(ids))
        stop.set()
        thread.join(20)
    assert "waits on disk" in caplog.text and "shipped again" in caplog.text
    assert len([entry for entry in caplog.records if entry.name == "analytics.shipper"]) == 2
    one.close()


def test_told_to_stop_without_postgres_it_gives_up_and_says_so(
    journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipper, "LAST_TRY_S", 0.3)

    def fail() -> psycopg.Connection:
        raise psycopg.OperationalError("connection refused")

    put(Recorder(journal, 1 << 20), 1)
    stop = threading.Event()
    stop.set()
    assert Shipper(journal, fail).run(stop) is False
    assert "the next start ships them" in caplog.text and len(files(journal)) == 1


def start_shipper(journal: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.analytics.ship_loop", str(journal), url])


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
