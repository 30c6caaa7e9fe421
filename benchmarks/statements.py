"""How many SQL statements each page and REST answer needs, counted in this process on the gateway's own tables."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.pages import Case

FLOOR = 30
_TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
_SETTINGS = "SELECT set_config('jit', 'off', true), set_config('work_mem', '64MB', true)"


def count(asked: Sequence[Case], chance: random.Random) -> Mapping[str, int]:
    """Return the most statements that any answer of each title took; transactions' own commands are among them."""
    most: dict[str, int] = {}
    clients = {case.person.role: _client(case) for case in asked}
    for case in asked:
        answers = [statements(clients[case.person.role], case.address(chance)) for _ in range(2)]
        most[case.variant.title] = max(most.get(case.variant.title, 0), *map(len, answers))
    return most


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
