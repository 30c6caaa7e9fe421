"""Puts request records on the journal: one append a call, before the answer leaves; never awaits, never raises.

What is on the journal survives a killed process and a stopped database, and a power cut only with fsync.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from analytics.journal import ROTATE_BYTES, Journal, directory_bytes
from analytics.lines import LineFormatter
from analytics.record import RequestRecord

logger = logging.getLogger(__name__)

SERVE = "serve"
REFUSE = "refuse"
# How often a full journal is measured again.
_RECHECK_S = 0.1


class Recorder:
    """The one writer of a process's journal. For one thread (the event loop's).

    `written`, `dropped` (no room) and `failed` (not writable) count records. `refusing` says whether new calls
    must be turned away because they could not be recorded.
    """

    def __init__(self, directory: Path, max_total_bytes: int, when_full: str = SERVE, fsync: bool = False) -> None:
        """Prepare the journal; nothing is opened before the first record.

        Args:
            directory: shared by every process of the host; made when missing.
            max_total_bytes: cap on all journal files of the directory together. It may be passed by a sixty-fourth
                for each process that writes there, because the directory is not measured at every call.
            when_full: `serve` drops and counts records, `refuse` sets `refusing`.
            fsync: force every line to the disk; slow, and the event loop waits for it.
        """
        if when_full not in (SERVE, REFUSE):
            raise ValueError(f"when_full is {when_full!r}; it must be {SERVE} or {REFUSE}")
        self.written = self.dropped = self.failed = 0
        self._max_total_bytes = max_total_bytes
        self._when_full = when_full
        self._journal = Journal(directory, min(ROTATE_BYTES, max(4096, max_total_bytes // 16)), fsync=fsync)
        self._format = LineFormatter().format
        self._measure_every = min(1 << 20, max_total_bytes // 64)
        self._unmeasured = self._measure_every  # so that the first record measures what is there already
        self._measured = 0
        self._full = False
        self._failing = False
        self._complained = False
        self._recheck_at = 0.0

    @property
    def refusing(self) -> bool:
        """Whether a call may not be served now, because the policy is `refuse` and it could not be recorded."""
        if self._when_full != REFUSE or not (self._full or self._failing):
            return False
        if self._failing:
            return not self._may_retry()
        return not self._has_room()

    def put(self, record: RequestRecord) -> bool:
        """Append one record and return whether it is on the journal. Never raises, never waits for the database."""
        try:
            line = self._format(record)
        except Exception as error:  # the call itself must go on, whatever is wrong with its record
            self._complain(record, error)
            return False
        self._unmeasured += len(line)
        if (self._full or self._unmeasured >= self._measure_every) and not self._has_room():
            self.dropped += 1
            return False
        try:
            self._journal.append(line)
        except OSError as error:
            self._fail(error)
            return False
        self.written += 1
        if self._failing:
            self._failing = False
            logger.info("the journal is writable again; %d records failed so far", self.failed)
        return True

    def tidy(self) -> None:
        """End a file that is old enough. For a timer of about a second in a process that may fall idle."""
        self._journal.end_file_if_old()

    def close(self) -> None:
        """End the living file; a later record would begin a new one."""
        self._journal.end_file()

    def _has_room(self) -> bool:
        """Measure the directory, at most each tenth of a second while it is full."""
        now = time.monotonic()
        if self._full and now < self._recheck_at:
            return False
        self._recheck_at = now + _RECHECK_S
        try:
            self._measured = directory_bytes(self._journal.directory)
        except FileNotFoundError:
            self._measured = 0
        except OSError:  # then writing there fails too, and says why
            self._measured += self._unmeasured
        self._unmeasured = 0
        self._set_full(self._measured >= self._max_total_bytes)
        return not self._full

    def _set_full(self, full: bool) -> None:
        if full == self._full:
            return
        self._full = full
        if full:
            # Ended, the file can be removed as soon as it is shipped; living, it would hold its bytes.
            self._journal.end_file()
            logger.error(
                "the journal in %s has reached %d bytes (GATEWAY_JOURNAL_MAX_BYTES); %s until the shipper has caught "
                "up: look whether Postgres and the shipper run",
                self._journal.directory,
                self._max_total_bytes,
                "records are dropped" if self._when_full == SERVE else "calls are refused",
            )
        else:
            logger.info("the journal has room again; %d records were dropped so far", self.dropped)

    def _may_retry(self) -> bool:
        now = time.monotonic()
        if now < self._recheck_at:
            return False
        self._recheck_at = now + _RECHECK_S
        return True

    def _complain(self, record: RequestRecord, error: Exception) -> None:
        """Count a record that is not of the declared types. A fault of the gateway's own, so the first is logged."""
        self.failed += 1
        if not self._complained:
            self._complained = True
            logger.error(
                "a request record cannot be formatted (%s: %s; outcome %s); further ones are only counted",
                type(error).__name__,
                error,
                record.outcome,
            )

    def _fail(self, error: OSError) -> None:
        self.failed += 1
        if not self._failing:
            self._failing = True
            logger.error(
                "records cannot be written to the journal in %s: %s; check the disk's room and its rights",
                self._journal.directory,
                error,
            )
