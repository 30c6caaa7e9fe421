"""`manage.py serve` as a person and an operator meet it: starting, restarting, stopping, and what survives what."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway_project.server import port_holder
from tests.gateway import ROOT, Gateway, free_port, wait_for

MakeGateway = Callable[..., Gateway]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_pids(gateway: Gateway) -> list[int]:
    return [gateway.state()["pid"], *(pid for pid in gateway.state()["children"].values() if pid)]


def wait_for_children(gateway: Gateway, *names: str) -> None:
    wait_for(lambda: all(gateway.pid_of(name) for name in names), 15, "a child was not started")


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert port_holder.holders(port)[0][0] == os.getpid()
        gateway = Gateway()
        gateway.port = port
        with pytest.raises(AssertionError) as raised:
            gateway.start()
        gateway.close()
    message = str(raised.value)
    assert f"Port {port} is taken by process {os.getpid()} (" in message
    assert f"--port {port + 1}" in message
    assert "Traceback" not in message


def test_two_gateways_do_not_share_a_data_directory(gateway: Gateway) -> None:
    second = Gateway(database_url=gateway.database_url, data_dir=gateway.data_dir)
    with pytest.raises(AssertionError, match="Another gateway uses"):
        second.start()
    assert gateway.get("/ready").status_code == 200


def test_the_right_names_are_open_and_logged_in_one_line(gateway: Gateway) -> None:
    for path in ("/health", "/live", "/ready", "/readyz"):
        assert gateway.get(path).status_code == 200, path
    answer = gateway.get("/.well-known/oauth-protected-resource/mcp/x", headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert answer.headers["X-Request-Id"] == "mine-1"
    assert float(answer.headers["X-Response-Time-Ms"]) >= 0
    odd = gateway.get("/admin/login/?token=hunter2", headers={"X-Request-Id": 'a"b' * 30})
    assert len(odd.headers["X-Request-Id"]) == 32
    records = wait_for(lambda: gateway.log_records("gateway.access")[1:], 5)
    assert records[0]["path"] == "/admin/login/"
    assert "hunter2" not in gateway.output()


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(env={"GATEWAY_MAX_REQUEST_BYTES": "2048"})
    answer = httpx.post(gateway.base + "/admin/login/", content=b"a" * 4096)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")

    def endless() -> object:
        for _ in range(200):
            yield b"a" * 4096
            time.sleep(0.002)

    answer = httpx.post(gateway.base + "/admin/login/", content=endless())  # type: ignore[arg-type]
    assert answer.status_code == 413


def test_a_killed_child_is_started_again(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    for child in ("worker 1", "pages", "shipper", "maintain"):
        wait_for_children(gateway, child)
        old = gateway.pid_of(child)
        assert old
        os.kill(old, signal.SIGKILL)
        wait_for(lambda child=child, old=old: gateway.pid_of(child) not in (None, old), 10, f"{child} stayed away")
        assert f"{child} was ended by SIGKILL" in gateway.output()
    wait_for(lambda: is_ready(gateway), 10)


def is_ready(gateway: Gateway) -> bool:
    try:
        return gateway.get("/ready").status_code == 200
    except httpx.HTTPError:
        return False


def test_connections_made_while_one_worker_of_two_is_killed_all_succeed(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(workers=2)
    wait_for(lambda: len(gateway.worker_pids()) == 2, 10)
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    for _ in range(100):
        assert gateway.get("/live").status_code == 200


def test_workers_restarted_one_after_the_other_fail_no_call(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(workers=2, env={"GATEWAY_DRAIN_NOTICE_S": "0.2"})
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.02):
            try:
                statuses.append(gateway.get("/live").status_code)
            except httpx.HTTPError:
                statuses.append(0)

    asking = threading.Thread(target=ask)
    asking.start()
    for name in ("worker 1", "worker 2"):
        old = gateway.pid_of(name)
        assert old
        os.kill(old, signal.SIGTERM)
        wait_for(lambda name=name, old=old: gateway.pid_of(name) not in (None, old), 15)
        wait_for(lambda: all(gateway.state()["serving"].values()), 15)
    stop.set()
    asking.join()
    assert len(statuses) > 10
    assert set(statuses) == {200}


RENEWED = "the workers have been renewed"


def test_sighup_renews_the_workers_one_after_the_other(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(workers=2)
    others = {name: gateway.pid_of(name) for name in ("maintain", "shipper")}
    for number in range(3):  # more often in a short time than a worker may crash without waiting
        old = gateway.worker_pids()
        serving: set[int] = set()
        os.kill(gateway.state()["pid"], signal.SIGHUP)

        def renewed(old: list[int] = old, serving: set[int] = serving) -> bool:
            state = gateway.state()["serving"]
            serving.add(state["worker 1"] + state["worker 2"])
            return serving >= {1, 2} and state["worker 2"] and not set(gateway.worker_pids()) & set(old)

        wait_for(renewed, 20, "the workers were not renewed")
        assert serving == {1, 2}, "two were away at once"
        # The process for pages comes after them.
        wait_for(lambda number=number: gateway.output().count(RENEWED) == number + 1, 20)
    assert {name: gateway.pid_of(name) for name in others} == others
    assert " is renewed" in gateway.output() and "started again in" not in gateway.output()


def test_a_worker_that_hangs_is_renewed_all_the_same(make_gateway: MakeGateway) -> None:
    env = {"GATEWAY_DRAIN_TIMEOUT_S": "0.5", "GATEWAY_DRAIN_NOTICE_S": "0", "GATEWAY_HANG_TIMEOUT_S": "60"}
    gateway = make_gateway(env=env)
    (old,) = gateway.worker_pids()
    os.kill(old, signal.SIGSTOP)
    os.kill(gateway.state()["pid"], signal.SIGHUP)
    wait_for(lambda: gateway.worker_pids() not in ([], [old]), 20, "the worker was waited for without end")
    wait_for(lambda: is_ready(gateway), 10)
    assert not is_alive(old)


@pytest.mark.parametrize("under_nohup", [False, True])
def test_a_terminal_that_goes_away_stops_it_unless_told_otherwise(make_gateway: MakeGateway, under_nohup: bool) -> None:
    """At a terminal SIGHUP still means what it says: the shell has gone."""
    gateway = make_gateway()
    assert gateway.stop() == 0
    command = [sys.executable, "manage.py", "serve", "--port", str(gateway.port)]
    main_end, terminal = pty.openpty()
    attach = f"fcntl.ioctl({terminal}, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    # The tests themselves may run under nohup.
    attach = f"import fcntl, os, signal, sys, termios; signal.signal(signal.SIGHUP, signal.SIG_DFL); {attach}"
    command = [sys.executable, "-c", attach, *(("/usr/bin/nohup",) if under_nohup else ()), *command]
    with gateway.log_path.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=gateway.env, stdin=terminal, stdout=log, stderr=log, start_new_session=True,
            pass_fds=[terminal],
        )  # fmt: skip
    os.close(terminal)
    try:
        state = gateway.data_dir / "run" / "serve.json"
        wait_for(lambda: state.exists() and gateway.state()["ready"], 30)
        (old,) = gateway.worker_pids()
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: gateway.worker_pids() not in ([], [old]), 15, "the terminal is there: SIGHUP renews")
        wait_for(lambda: is_ready(gateway), 10)
        os.close(main_end)
        if under_nohup:
            time.sleep(1.5)
            assert process.poll() is None and is_ready(gateway)
        else:
            assert process.wait(60) == 0
    finally:
        process.terminate()
        process.wait(20)


def test_a_hung_worker_is_replaced(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(env={"GATEWAY_HANG_TIMEOUT_S": "2"})
    old = gateway.worker_pids()[0]
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: gateway.worker_pids() not in ([], [old]), 15, "the hung worker was not replaced")
    wait_for(lambda: is_ready(gateway), 10)
    assert not is_alive(old)
    assert "worker 1 is hung" in gateway.output()


def test_nothing_survives_a_killed_parent_and_the_next_start_works(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(embedded=True, arguments=("--demo",))
    wait_for_children(gateway, "shipper", "maintain", "demo server")
    pids = all_pids(gateway)
    postmaster = int((gateway.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    gateway.kill9()
    gateway.start()  # at once: the port must be free by itself
    wait_for(lambda: not any(is_alive(pid) for pid in [*pids, postmaster]), 15, "something outlived its parent")
    assert gateway.stop() == 0


def test_the_embedded_server_and_its_keeper_come_back(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(embedded=True)
    pid_file = gateway.data_dir / "postgres" / "postmaster.pid"
    for victim in ("server", "keeper"):
        server = int(pid_file.read_text().splitlines()[0])
        keeper = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(server if victim == "server" else keeper, signal.SIGKILL)
        wait_for(lambda server=server: not is_alive(server), 10)
        assert gateway.get("/ready").status_code == 200, "calls are served without the database"
        wait_for(lambda: answers(gateway), 15, f"the database did not come back after its {victim} was killed")


def answers(gateway: Gateway) -> bool:
    try:
        return gateway.query("SELECT 1") == [(1,)]
    except Exception:
        return False


@pytest.mark.alone
def test_it_stops_in_order_and_leaves_nothing(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(embedded=True)
    wait_for_children(gateway, "shipper", "maintain")
    pids = all_pids(gateway)
    assert gateway.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
    assert not (gateway.data_dir / "postgres" / "postmaster.pid").exists()
    assert "Traceback" not in gateway.output()


@pytest.mark.alone
def test_a_second_interrupt_stops_at_once(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(env={"GATEWAY_DRAIN_NOTICE_S": "60"})
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGINT)
    wait_for(lambda: gateway.get("/ready").status_code == 503, 15)
    started = time.monotonic()
    gateway.process.send_signal(signal.SIGINT)
    gateway.process.wait(10)
    assert time.monotonic() - started < 5


def test_the_demo_is_made_once_and_its_curl_line_works_when_pasted(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(embedded=True, arguments=("--demo",))
    first = wait_for(lambda: banner(gateway), 10)
    assert "demo (4 tools, up)" in first
    assert '"sum": 5' in paste_curl(first, gateway.env)
    password = first.split("Sign in     admin / ")[1].split()[0]
    key = first.split("Demo key    ")[1].split()[0]
    page = sign_in(gateway, "admin", password)
    assert "Log out" in page
    assert gateway.stop() == 0
    gateway.log_path.unlink()
    gateway.start()
    second = wait_for(lambda: banner(gateway), 10)
    assert "made earlier" in second
    assert password not in second
    assert key not in second
    assert gateway.call("demo", key, "tools/list").status_code == 200, "the first key still works"
    assert '"sum": 5' in paste_curl(second, gateway.env)
    assert gateway.query("SELECT count(*) FROM auth_user") == [(1,)]


def banner(gateway: Gateway) -> str:
    text = gateway.output()
    return text.partition("is ready after")[2] if "  curl " in text else ""


def paste_curl(text: str, env: dict[str, str]) -> str:
    line = next(line for line in text.splitlines() if line.startswith("  curl "))
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout


def sign_in(gateway: Gateway, username: str, password: str) -> str:
    with httpx.Client(base_url=gateway.base, follow_redirects=True, timeout=30) as client:
        client.get("/admin/login/")
        form = {"username": username, "password": password, "csrfmiddlewaretoken": client.cookies["gateway_csrf"]}
        return client.post("/admin/login/?next=/admin/", data=form, headers={"Referer": gateway.base}).text


def test_create_admin_makes_an_account_and_renews_its_password(gateway: Gateway) -> None:
    env = {"GATEWAY_ADMIN_USERNAME": "olga", "GATEWAY_ADMIN_PASSWORD": "tall-green-bottle-7"}
    said = gateway.manage("create_admin", **env)
    assert "Sign in as olga at http" in said
    assert "Log out" in sign_in(gateway, "olga", "tall-green-bottle-7")
    gateway.manage("create_admin", **(env | {"GATEWAY_ADMIN_PASSWORD": "tall-blue-bottle-8"}))
    assert "Log out" in sign_in(gateway, "olga", "tall-blue-bottle-8")
    with pytest.raises(AssertionError, match="too common"):
        gateway.manage("create_admin", **(env | {"GATEWAY_ADMIN_PASSWORD": "password123"}))


def test_a_command_beside_a_running_gateway_uses_its_server(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(embedded=True)
    pid_file = gateway.data_dir / "postgres" / "postmaster.pid"
    before = pid_file.read_text().splitlines()[0]
    assert "[X]" in gateway.manage("showmigrations", "keys")
    assert pid_file.read_text().splitlines()[0] == before
    gateway.stop()
    assert "[X]" in gateway.manage("showmigrations", "keys")
    assert not pid_file.exists()


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("server:\n  host: 127.0.0.1\n  port: 9\nnamespaces: {}\n")
    show = "import django.conf as c; print(c.settings.PORT)"
    code = f"import sys; from gateway_project.server import file_defaults; file_defaults.apply(sys.argv); {show}"
    env = {name: value for name, value in os.environ.items() if name != "GATEWAY_PORT"}
    env |= {"DJANGO_SETTINGS_MODULE": "gateway_project.settings", "GATEWAY_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-c", code, "serve", f"--config={path}"]
    assert subprocess.check_output(command, cwd=ROOT, env=env, text=True).strip() == "9"
    env["GATEWAY_PORT"] = "7"
    assert subprocess.check_output(command, cwd=ROOT, env=env, text=True).strip() == "7"


def test_a_wrong_setting_is_named() -> None:
    gateway = Gateway(env={"GATEWAY_WORKERS": "many"})
    with pytest.raises(AssertionError, match="GATEWAY_WORKERS is 'many'; it must be a number"):
        gateway.start()
    gateway.close()


def test_the_images_health_check_tells_a_living_gateway_from_none(gateway: Gateway) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = json.loads(dockerfile.partition("HEALTHCHECK")[2].partition("CMD ")[2].partition("\n")[0])
    command[0] = sys.executable
    for port, code in ((gateway.port, 0), (free_port(), 1)):
        done = subprocess.run(
            command, check=False, env=os.environ | {"GATEWAY_PORT": str(port)}, stderr=subprocess.DEVNULL
        )
        assert done.returncode == code


def test_the_image_takes_every_package_along() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \./\1$", dockerfile, re.MULTILINE))
    assert copied == {path.parent.name for path in ROOT.glob("*/apps.py")} | {"proxy", "templates"}
