"""What each page and REST answer needs: SQL statements, and time of Python, in which no call of the worker goes on.

Found out in this process, on the gateway's own tables.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.pages import Case

FLOOR = 30
_TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
_SETTINGS = "SELECT set_config('jit', 'off', true), set_config('work_mem', '64MB', true)"


@dataclass(frozen=True, slots=True)
class Need:
    """The most statements of any answer, transactions' own commands among them, and the most CPU time of Python."""

    statements: int = 0
    python_ms: float = 0.0


def needs(asked: Sequence[Case], chance: random.Random) -> Mapping[str, Need]:
    """Return what the answers of each title need, whoever asks for whichever period."""
    found: dict[str, Need] = {}
    clients = {case.person.role: _client(case) for case in asked}
    for case in asked:
        client = clients[case.person.role]
        counts = [len(statements(client, case.address(chance))) for _ in range(2)]
        begun = time.thread_time()
        client.get(case.address(chance))
        python_ms = (time.thread_time() - begun) * 1000
        so_far = found.get(case.variant.title, Need())
        found[case.variant.title] = Need(max(so_far.statements, *counts), max(so_far.python_ms, python_ms))
    return found


def statements(client: Client, address: str) -> list[tuple[float, str]]:
    """Return the statements of one answer: seconds that each took, and its text with the parameters filled in."""
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
        if answer.streaming:
            b"".join(answer)  # type: ignore[arg-type]
    return [(float(query["time"]), query["sql"]) for query in captured.captured_queries]


def explain(case: Case, shown: int = 2) -> str:
    """Return how PostgreSQL goes about the slowest statements of a case's slowest answer."""
    found = sorted(statements(_client(case), case.slowest), reverse=True)
    parts = [f"{case.slowest} as {case.person.role}: {len(found)} statements, {sum(took for took, _ in found):.3f} s"]
    for took, sql in found[:shown]:
        if sql.lstrip().upper().startswith(_TRANSACTIONS):
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SETTINGS)
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        parts.append(f"{took:.3f} s: {sql}\n\n{plan}")
    return "\n\n".join(parts)


def _client(case: Case) -> Client:
    client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False)
    client.force_login(case.person.account)
    return client
