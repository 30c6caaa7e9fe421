"""A real gateway for tests: `manage.py serve` as a child process, on a free port, with a data directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests import databases

ROOT = Path(__file__).resolve().parent.parent
ADMIN_PASSWORD = "correct horse battery staple"


class Gateway:
    """One gateway. See `start`; the rest are the things that tests do to it."""

    def __init__(
        self,
        *,
        database_url: str | None = None,
        workers: int = 1,
        config: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        data_dir: Path | None = None,
    ) -> None:
        """Prepare it.

        Args:
            database_url: a database on a server that runs; None for an embedded PostgreSQL of its own.
            config: the content of a configuration file, imported at the start.
            env: variables on top of ours; every other GATEWAY_ variable is taken away.
            arguments: more words for `serve`.
            prefix: a command that runs it, such as setpriv.
            data_dir: kept afterwards when given.
        """
        self.own_dir = None if data_dir else Path(tempfile.mkdtemp(prefix="gw-"))
        self.data_dir = data_dir or self.own_dir / "data"  # type: ignore[operator]
        self.database_url = database_url
        self.workers = workers
        self.arguments = arguments
        self.prefix = prefix
        self.port = free_port()
        self.log_path = self.data_dir.parent / f"{self.data_dir.name}.log"
        self.env = self._environment(env or {})
        self.config_path: Path | None = None
        if config is not None:
            self.config_path = self.data_dir.parent / "gateway.yaml"
            self.config_path.write_text(yaml.safe_dump(config))
        self.process: subprocess.Popen[bytes] | None = None

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))}
        secrets = ("GATEWAY_SECRET_KEY", "GATEWAY_ENCRYPTION_KEYS", "GATEWAY_KEY_PEPPER")
        env |= {name: os.environ[name] for name in secrets}
        env |= {
            "DJANGO_SETTINGS_MODULE": "gateway_project.settings",
            "GATEWAY_ENV_FILE": os.devnull,
            "GATEWAY_DATA_DIR": str(self.data_dir),
            "GATEWAY_UPSTREAM_ALLOW": "127.0.0.0/8,::1,localhost",
            "GATEWAY_LOG_FORMAT": "json",
            "GATEWAY_DRAIN_NOTICE_S": "0.1",
            "PYTHONUNBUFFERED": "1",
        }
        if self.database_url is not None:
            env["DATABASE_URL"] = self.database_url
        return env | extra

    # Running it

    def start(self, ready_within_s: float = 100) -> Gateway:
        """Start it and return once `/ready` says 200; one that does not get so far is ended."""
        command = [*self.prefix, sys.executable, "manage.py", "serve", "--port", str(self.port)]
        command += ["--workers", str(self.workers), *self.arguments]
        if self.config_path is not None:
            command += ["--config", str(self.config_path)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
        try:
            wait_for(self._is_ready, ready_within_s, self._not_ready)
        except BaseException:
            self._end()
            raise
        return self

    def _is_ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(self._not_ready())
        try:
            return bool(self.state()["ready"]) and self.get("/ready").status_code == 200
        except (httpx.HTTPError, FileNotFoundError, KeyError):
            return False

    def _not_ready(self) -> str:
        return f"the gateway is not ready; its output:\n{self.output()[-6000:]}"

    def stop(self, within_s: float = 30) -> int:
        """End it with SIGTERM and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def kill9(self) -> None:
        """Kill the parent process without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Stop it if it runs, and remove its files."""
        self._end()
        if self.own_dir is not None:
            shutil.rmtree(self.own_dir, ignore_errors=True)

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill9()

    # Talking to it

    @property
    def base(self) -> str:
        """The gateway's address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, namespace: str) -> str:
        """The MCP endpoint of a namespace."""
        return f"{self.base}/mcp/{namespace}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET a path."""
        return httpx.get(self.base + path, timeout=10, **options)

    def call(self, namespace: str, key: str, method: str, params: dict[str, Any] | None = None) -> httpx.Response:
        """POST a bare JSON-RPC request, as `curl` would."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method} | ({} if params is None else {"params": params})
        return httpx.post(self.url(namespace), json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def admin(self, username: str = "admin") -> httpx.Client:
        """Return a client that is signed in to the admin; the account is made when it is missing."""
        self.manage("create_admin", GATEWAY_ADMIN_USERNAME=username, GATEWAY_ADMIN_PASSWORD=ADMIN_PASSWORD)
        client = httpx.Client(base_url=self.base, follow_redirects=True, timeout=30)
        client.get("/admin/login/")
        answer = client.post(
            "/admin/login/?next=/admin/",
            data={
                "username": username,
                "password": ADMIN_PASSWORD,
                "csrfmiddlewaretoken": client.cookies["gateway_csrf"],
            },
            headers={"Referer": f"{self.base}/admin/login/"},
        )
        assert answer.url.path == "/admin/", answer.text[:2000]
        return client

    def manage(self, *arguments: str, input: str | None = None, **env: str) -> str:
        """Run a management command beside the gateway and return what it printed; fails with its errors."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env | env,
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def create_key(self, *arguments: str) -> str:
        """Run create_key and return the key, which stands alone on the last line."""
        return self.manage("create_key", *arguments).strip().splitlines()[-1]

    def import_config(self, config: dict[str, Any], *arguments: str) -> str:
        """Import a configuration given as a dictionary."""
        path = self.data_dir.parent / "import.yaml"
        path.write_text(yaml.safe_dump(config))
        return self.manage("import_config", str(path), *arguments)

    # Looking into it

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run SQL on the gateway's database and return the rows."""
        return databases.query(self.sql_url, statement, *parameters)

    @property
    def sql_url(self) -> str:
        """The URL of the gateway's database."""
        from gateway_project import postgres

        return self.database_url or databases.url_of_socket(postgres.socket_directory(self.data_dir), "gateway")

    def state(self) -> dict[str, Any]:
        """What the parent says about its processes: pid, port, ready, children by name."""
        return json.loads((self.data_dir / "run" / "serve.json").read_text())

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [pid for name, pid in self.state()["children"].items() if name.startswith("worker") and pid]

    def pid_of(self, child: str) -> int | None:
        """The process id of a child: shipper, maintain, demo, worker 1 …"""
        return self.state()["children"].get(child)

    def output(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_records(self, logger: str) -> list[dict[str, Any]]:
        """The JSON log lines of one logger."""
        lines = [line for line in self.output().splitlines() if line.startswith("{")]
        return [record for record in map(json.loads, lines) if record.get("logger") == logger]


def free_port() -> int:
    """Return a port of the loopback interface that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Any, within_s: float, message: Any = "it did not happen in time") -> Any:
    """Call `condition` until it returns something true and return that; fail with `message` after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, message() if callable(message) else message
        time.sleep(0.02)
    return result
