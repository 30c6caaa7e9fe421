"""The main flow once under Daphne: no lifespan, no disconnect callback, and it works all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import databases
from tests.gateway import Gateway, free_port, wait_for
from tests.proxy.plane import Caller, configuration, expect_refused, message, tool_call
from tests.upstreams.listening import ROOT


class DaphneGateway(Gateway):
    """The same application on the same configuration, served by Daphne, as `runserver` does in development."""

    def start(self, ready_within_s: float = 60) -> Gateway:
        """Import the configuration and start Daphne."""
        self.manage("import_config", str(self.config_path))
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "--no-server-name"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "gateway_project.asgi:application"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        wait_for(self._answers, ready_within_s, self.output)
        return self

    def _answers(self) -> bool:
        try:
            return self.get("/ready").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def daphne(
    migrated_database: str, plane_upstreams: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """Yield a caller of the gateway under Daphne."""
    url = databases.copy(migrated_database)
    data_dir: Path = tmp_path_factory.mktemp("daphne") / "data"
    config = configuration(plane_upstreams, hostile=False)
    gateway = DaphneGateway(database_url=url, config=config, data_dir=data_dir, env={"PATH": os.environ["PATH"]})
    gateway.port = free_port()
    try:
        yield Caller(gateway.start(), plane_upstreams)
    finally:
        gateway.close()
        databases.drop(url)


def test_the_main_flow_under_daphne(daphne: Caller) -> None:
    for namespace in ("echo", "kept", "open"):
        answer = daphne.post(namespace, tool_call(identifier="bare"))
        assert answer.status == 200 and answer.message["id"] == "bare"
    assert daphne.modern("open", tool_call()).text == "hello"
    expect_refused(daphne.post("open", tool_call(), key=None), [401], [-32600])
    expect_refused(daphne.post("nothing", tool_call()), [404], [-32600])
    denied = daphne.post("listed", tool_call("add"))
    assert denied.status == 200 and denied.code == -32602


def test_a_session_with_a_stream_under_daphne(daphne: Caller) -> None:
    session = daphne.initialize("open", {"elicitation": {"form": {}}})
    call = tool_call("test_elicitation", {"message": "who"}, "ask")
    with daphne.open_stream("open", call, session.headers) as stream:
        asked = stream.read_message()
        result = {"action": "accept", "content": {"username": "ada", "email": "a@b.example"}}
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
        assert daphne.post("open", reply, session.headers).status == 202
        assert "ada" in stream.read_message()["result"]["content"][0]["text"]
    with daphne.open_stream("open", headers=session.headers) as stream:
        subscribe = message("resources/subscribe", {"uri": "test://static-text"})
        assert daphne.post("open", subscribe, session.headers).code is None
        assert stream.read_message()["method"] == "notifications/resources/updated"
    assert daphne.send("/mcp/open", headers=session.headers, method="DELETE").status == 200
    assert daphne.post("open", tool_call(), session.headers).status == 404


def test_a_client_that_leaves_is_noticed_under_daphne(daphne: Caller) -> None:
    before = daphne.count()["left"]
    stream = daphne.open_stream("echo", tool_call("stream", {"count": 1000, "interval_ms": 50}))
    stream.read_message()
    stream.close()
    wait_for(lambda: daphne.count()["left"] == before + 1, 3, "the upstream's call went on")
    assert "Traceback" not in daphne.gateway.output(), daphne.gateway.output()[-3000:]
