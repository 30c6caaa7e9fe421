"""The listening socket that all workers share, and the limit of open files that must hold its connections."""

from __future__ import annotations

import errno
import resource
import socket

from gateway_project.server import port_holder

_WANTED_FILES = 65536


class CannotListen(Exception):
    """The address cannot be had; the message says who has it and what to do, `errno` is the system's reason."""

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


def bind(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket (port 0: the system chooses). It does not listen yet: a worker starts that.

    Raises CannotListen, which names the process that holds the port.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotListen(f"{host} is no address of this machine: {error.strerror}. Choose another --host.") from None
    # For a name with both kinds (localhost), the kind that every client tries.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # Claimed at once, so that a second gateway starting now is told, and early clients wait in the queue.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotListen(_explain(host, port, error), error.errno or 0) from None
    listener.setblocking(False)
    return listener


def _explain(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken by {port_holder.describe(port)}. "
            f"Stop it, or choose another port: --port {port + 1 if port < 65535 else 8081}, or GATEWAY_PORT."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has (below 1024). Choose another: --port 8080."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine. Choose another --host, such as 127.0.0.1 or 0.0.0.0."
    return f"Cannot listen on {host} port {port}: {error.strerror}."


def raise_file_limit() -> int:
    """Raise the soft limit of open files (one connection each) and return it; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
