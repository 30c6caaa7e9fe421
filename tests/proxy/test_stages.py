"""A call's row says when its caller was known and when rules and limits had let it pass."""

from __future__ import annotations

import time
from typing import Any

from tests.gateway import Gateway
from tests.proxy.plane import Caller, tool_call

STAGES = "auth_us, limit_us, upstream_us, first_byte_us, total_us"


def stages(gateway: Gateway, request_id: str) -> tuple[Any, ...]:
    """Return the stages of a call, in microseconds, once its row is there."""
    deadline = time.monotonic() + 10
    while not (rows := gateway.query(f"SELECT {STAGES} FROM analytics_requestlog WHERE request_id = %s", request_id)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return rows[0]


def stages_of(caller: Caller, gateway: Gateway, namespace: str, content: Any, **options: Any) -> tuple[Any, ...]:
    answer = caller.post(namespace, content, **options)
    request_id = answer.header("x-request-id")
    assert request_id is not None
    return stages(gateway, request_id)


def test_a_call_that_reached_the_upstream_has_every_stage_in_order(caller: Caller, plane: Gateway) -> None:
    auth, limit, upstream, first_byte, total = stages_of(caller, plane, "echo", tool_call())
    assert 0 < auth < limit < total and 0 < first_byte <= upstream
    assert abs(limit + upstream - total) <= 1  # the upstream's work begins where the limits end


def test_a_call_that_the_rules_refused_was_known_and_went_no_further(caller: Caller, plane: Gateway) -> None:
    auth, limit, upstream, _, total = stages_of(caller, plane, "listed", tool_call("add"))
    assert 0 < auth < total and limit is None and upstream is None


def test_a_stranger_has_no_stage(caller: Caller, plane: Gateway) -> None:
    auth, limit, upstream, _, total = stages_of(caller, plane, "echo", tool_call(), key="revoked")
    assert (auth, limit, upstream) == (None, None, None) and total > 0
