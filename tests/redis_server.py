"""A real redis-server on a free port of the loopback interface, that tests stop, freeze and start again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.gateway import free_port


class RedisServer:
    """One server, without anything on disk: it forgets everything when it ends."""

    def __init__(self, password: str = "") -> None:
        self.port = free_port()
        self.password = password
        self._directory = tempfile.mkdtemp(prefix="gw-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, as REDIS_URL has it."""
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it and return once it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", self._directory, *(["--requirepass", self.password] if self.password else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                return self
            except redis.RedisError:
                assert time.monotonic() < deadline and self._process.poll() is None, "redis-server does not start"
                time.sleep(0.02)

    def command(self, *words: str) -> object:
        """Send a command and return the answer."""
        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its directory."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextmanager
def redis_server(password: str = "") -> Iterator[RedisServer]:
    """Run a server."""
    server = RedisServer(password)
    try:
        yield server.start()
    finally:
        server.close()
