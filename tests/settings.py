"""The gateway's settings on a data directory of the test run's own; imported before Django starts."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

# Short, because a socket's path has room for 107 bytes only.
RUN_DIR = Path(tempfile.mkdtemp(prefix="gwtest-"))
atexit.register(shutil.rmtree, RUN_DIR, ignore_errors=True)

os.environ["GATEWAY_ENV_FILE"] = os.devnull  # a developer's .env must not decide what is tested
os.environ["GATEWAY_DATA_DIR"] = str(RUN_DIR / "data")
os.environ.setdefault("GATEWAY_SECRET_KEY", "a-secret-key-of-the-tests-that-is-long-enough-for-django")
os.environ.setdefault("GATEWAY_ENCRYPTION_KEYS", Fernet.generate_key().decode())
os.environ.setdefault("GATEWAY_KEY_PEPPER", "the-pepper-of-the-tests")
# What is the default with the embedded database, also where DATABASE_URL names another.
os.environ.setdefault("GATEWAY_UPSTREAM_ALLOW", "127.0.0.0/8,::1,localhost")

from gateway_project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
