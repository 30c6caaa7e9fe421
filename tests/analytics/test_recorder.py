"""The recorder: one locked file a process, ended by size and age; what it does when there is no room."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from analytics.journal import Journal
from analytics.record import RequestRecord
from analytics.recorder import Recorder


def record(**values: object) -> RequestRecord:
    return RequestRecord(id=os.urandom(16).hex(), at=time.time(), **values)  # type: ignore[arg-type]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.copy"))


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_record_is_a_whole_line_on_disk_when_put_returns(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "new" / "journal", 1 << 20)
    assert not (tmp_path / "new").exists()
    assert recorder.put(record(tool="echo"))
    (path,) = files(tmp_path / "new" / "journal")
    assert path.read_bytes().count(b"\n") == 1 and b"\techo\t" in path.read_bytes()
    assert is_locked(path)
    recorder.close()
    assert not is_locked(path)
    assert (recorder.written, recorder.dropped, recorder.failed) == (1, 0, 0)


def test_a_file_ends_at_its_size_and_the_next_begins(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=100)
    for _ in range(5):
        journal.append(b"x" * 49 + b"\n")
    paths = files(tmp_path)
    assert sorted(path.stat().st_size for path in paths) == [50, 100, 100]
    assert [is_locked(path) for path in paths].count(True) == 1


def test_a_file_ends_at_its_age_even_when_nothing_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_age_s=0.05)
    journal.append(b"one\n")
    (path,) = files(tmp_path)
    journal.end_file_if_old()
    assert is_locked(path)
    time.sleep(0.06)
    journal.end_file_if_old()
    assert not is_locked(path)
    journal.append(b"two\n")
    assert len(files(tmp_path)) == 2


def test_a_killed_writer_leaves_its_file_unlocked_and_whole(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from analytics.record import RequestRecord
        from analytics.recorder import Recorder
        recorder = Recorder(Path(sys.argv[1]), 1 << 20)
        for number in range(100):
            assert recorder.put(RequestRecord(id=f"{number:032x}", at=1.0))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    (path,) = files(tmp_path)
    assert not is_locked(path)
    assert path.read_bytes().count(b"\n") == 100


def test_half_a_line_is_taken_back_when_the_disk_is_full(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from analytics.record import RequestRecord
        from analytics.recorder import Recorder
        recorder = Recorder(Path(sys.argv[1]), 1 << 20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        results = [recorder.put(RequestRecord(id=f"{number:032x}", at=1.0)) for number in range(20)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        results.append(recorder.put(RequestRecord(id="f" * 32, at=1.0)))
        print(results.count(True), results[-1], recorder.written, recorder.failed, recorder.refusing)
    """)
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)
    written, last, counted, failed, refusing = ran.stdout.split()
    assert last == "True" and written == counted and int(written) + int(failed) == 21 and int(failed) > 5
    assert refusing == "False"
    (path,) = files(tmp_path)
    assert path.read_bytes().endswith(b"\n")
    assert path.read_bytes().count(b"\n") == int(written)
    assert {len(line) for line in path.read_bytes().splitlines()} == {len(path.read_bytes().splitlines()[0])}


def fill(recorder: Recorder, limit: int = 3000) -> int:
    """Put records until one is refused; return how many were taken."""
    for number in range(limit):
        if not recorder.put(record(tool="x" * 200)):
            return number
    raise AssertionError("the journal never filled up")


def test_when_full_records_are_dropped_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(tmp_path, 1 << 16)
    with caplog.at_level(logging.INFO):
        taken = fill(recorder)
        for _ in range(50):
            assert not recorder.put(record())
    total = sum(path.stat().st_size for path in files(tmp_path))
    assert (1 << 16) <= total <= (1 << 16) * 65 // 64 + 1000
    assert (recorder.written, recorder.dropped, recorder.failed) == (taken, 51, 0)
    assert not recorder.refusing  # the policy is to serve
    assert len(caplog.records) == 1 and "GATEWAY_JOURNAL_MAX_BYTES" in caplog.text
    assert not any(is_locked(path) for path in files(tmp_path))  # so all of it can be shipped and removed


def test_under_refuse_calls_are_turned_away_until_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, 1 << 16, "refuse")
    fill(recorder)
    assert recorder.refusing and recorder.refusing
    for path in files(tmp_path):
        path.unlink()
    time.sleep(0.11)
    with caplog.at_level(logging.INFO):
        assert not recorder.refusing
    assert "has room again" in caplog.text
    assert recorder.put(record())


def test_the_files_of_other_processes_count_too(tmp_path: Path) -> None:
    (tmp_path / "00000000-0000-0000-0000-000000000000.copy").write_bytes(b"x" * (1 << 16))
    recorder = Recorder(tmp_path, 1 << 16, "refuse")
    assert not recorder.put(record())
    assert recorder.refusing and recorder.dropped == 1


@pytest.mark.parametrize("policy", ["serve", "refuse"])
def test_a_directory_that_cannot_be_written_fails_records_and_heals(
    tmp_path: Path, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "journal"
    directory.write_text("a file stands in the way")
    recorder = Recorder(directory, 1 << 20, policy)
    with caplog.at_level(logging.INFO):
        assert [recorder.put(record()) for _ in range(10)] == [False] * 10
        assert recorder.failed == 10 and len(caplog.records) == 1
        seen = {recorder.refusing for _ in range(5)}
        assert (True in seen) == (policy == "refuse")
        directory.unlink()
        assert recorder.put(record())
    assert not recorder.refusing
    assert len(caplog.records) == 2 and "writable again" in caplog.text


def test_a_record_of_wrong_types_is_counted_and_never_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(tmp_path, 1 << 20, "refuse")
    assert not recorder.put(record(tool=["a", "list"]))
    assert not recorder.put(RequestRecord(id="0" * 32, at=None))  # type: ignore[arg-type]
    assert recorder.failed == 2 and len(caplog.records) == 1
    assert not recorder.refusing  # the journal itself is well
    assert recorder.put(record())


def test_fsync_mode_writes_the_same(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 1 << 20, fsync=True)
    assert recorder.put(record()) and recorder.put(record())
    (path,) = files(tmp_path)
    assert path.read_bytes().count(b"\n") == 2


def test_an_unknown_policy_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="serve or refuse"):
        Recorder(tmp_path, 1 << 20, "drop")


def test_the_recorder_needs_no_django() -> None:
    program = "import analytics.recorder, sys; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
