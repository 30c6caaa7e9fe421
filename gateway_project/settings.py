"""Every setting, all from the environment (a `.env` file is read first); `.env.example` lists them."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from gateway_project import local_secrets
from namespaces import networks as ip

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(os.environ.get("GATEWAY_ENV_FILE", str(BASE_DIR / ".env")))


def text(name: str, default: str = "") -> str:
    """Return a variable's text; an empty value counts as absent."""
    return os.environ.get(name, "").strip() or default


def number(name: str, default: float, low: float, high: float) -> float:
    """Return a variable as a number within [low, high], or stop with a message that names it."""
    value = text(name)
    try:
        result = float(value) if value else float(default)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a number.") from None
    if not low <= result <= high:
        raise ImproperlyConfigured(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
    return result


def integer(name: str, default: int, low: int, high: int) -> int:
    """Return a variable as a whole number within [low, high]."""
    result = number(name, default, low, high)
    if result != int(result):
        raise ImproperlyConfigured(f"{name} is {result}; it must be a whole number.")
    return int(result)


def switch(name: str, default: bool) -> bool:
    """Return a variable as true or false."""
    value = text(name).lower()
    if value in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
        return default if not value else value in ("1", "true", "yes", "on")
    raise ImproperlyConfigured(f"{name} is {value!r}; it must be true or false.")


def items(name: str) -> list[str]:
    """Return a comma-separated variable as a list without blanks."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def networks(name: str) -> list[ip.Network]:
    """Return a comma-separated variable as networks; a single address is a network of one."""
    try:
        return [ip.network(part) for part in items(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


# Where things are
DEBUG = switch("GATEWAY_DEBUG", False)
# A.17: GATEWAY_DB_PATH is another name for the directory that holds the embedded database.
DATA_DIR = Path(text("GATEWAY_DATA_DIR") or text("GATEWAY_DB_PATH") or BASE_DIR / ".data").resolve()
JOURNAL_DIR = Path(text("GATEWAY_JOURNAL_DIR") or DATA_DIR / "journal")
RUN_DIR = DATA_DIR / "run"
HOST = text("GATEWAY_HOST", "127.0.0.1")
PORT = integer("GATEWAY_PORT", 8080, 0, 65535)
WORKERS = integer("GATEWAY_WORKERS", 1, 1, 64)
PUBLIC_URL = text("GATEWAY_PUBLIC_URL").rstrip("/")
if PUBLIC_URL and urlsplit(PUBLIC_URL).scheme not in ("http", "https"):
    raise ImproperlyConfigured(f"GATEWAY_PUBLIC_URL is {PUBLIC_URL!r}; it must begin with http:// or https://.")

# A.11, B.9: without authentication everybody is `anonymous`. Only where nobody else can connect.
AUTH_ENABLED = switch("GATEWAY_AUTH_ENABLED", True)
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
if not AUTH_ENABLED and HOST not in LOOPBACK_HOSTS:
    raise ImproperlyConfigured(
        f"GATEWAY_AUTH_ENABLED=false is accepted on a loopback address only, and GATEWAY_HOST is {HOST}."
    )

# Database: embedded unless DATABASE_URL is set
DATABASE_URL = text("DATABASE_URL")
DATABASE_DIRECT_URL = text("DATABASE_DIRECT_URL", DATABASE_URL)
EMBEDDED_DATABASE = not DATABASE_URL
POSTGRES_BIN = text("POSTGRES_BIN")


def _database() -> dict[str, object]:
    if EMBEDDED_DATABASE:
        from gateway_project import postgres

        config: dict[str, object] = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(postgres.socket_directory(DATA_DIR)),
            "USER": "gateway",
            "NAME": "gateway",
        }
    else:
        config = dict(environ.Env.db_url_config(DATABASE_URL))
        if config["ENGINE"] != "django.db.backends.postgresql":
            raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database (postgres://…).")
    options = dict(config.get("OPTIONS") or {})  # type: ignore[call-overload]
    options.setdefault("connect_timeout", 5)
    if os.environ.get("GATEWAY_PROCESS") in ("worker", "pages"):
        # Under ASGI a connection belongs to a thread that may not come back; the pool bounds them.
        options["pool"] = {"min_size": 0, "max_size": 8, "timeout": 5, "max_idle": 60}
        options.setdefault(
            "options", f"-c statement_timeout={integer('GATEWAY_STATEMENT_TIMEOUT_MS', 15000, 100, 600000)}"
        )
    return config | {
        "OPTIONS": options,
        "CONN_MAX_AGE": 0,
        "TEST": {"NAME": text("GATEWAY_TEST_DATABASE") or None},
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Secrets
_SECRETS_DIR = DATA_DIR / "secrets"
SECRET_KEY = local_secrets.resolve("GATEWAY_SECRET_KEY", _SECRETS_DIR, local_secrets.make_token, EMBEDDED_DATABASE)
# The first key encrypts, all of them decrypt; likewise the first pepper digests new keys, all are tried.
ENCRYPTION_KEYS = [
    part.strip()
    for part in local_secrets.resolve(
        "GATEWAY_ENCRYPTION_KEYS", _SECRETS_DIR, local_secrets.make_fernet_key, EMBEDDED_DATABASE
    ).split(",")
    if part.strip()
]
KEY_PEPPERS = [
    part.strip()
    for part in local_secrets.resolve(
        "GATEWAY_KEY_PEPPER", _SECRETS_DIR, local_secrets.make_token, EMBEDDED_DATABASE
    ).split(",")
    if part.strip()
]

# Who may talk to us, and under which names
TRUSTED_PROXIES = items("GATEWAY_TRUSTED_PROXIES")
_PUBLIC_HOST = urlsplit(PUBLIC_URL).hostname or ""
ALLOWED_HOSTS = [*items("GATEWAY_ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
if _PUBLIC_HOST:
    ALLOWED_HOSTS.append(f"[{_PUBLIC_HOST}]" if ":" in _PUBLIC_HOST else _PUBLIC_HOST)
ALLOWED_ORIGINS = items("GATEWAY_ALLOWED_ORIGINS")
CSRF_TRUSTED_ORIGINS = [origin for origin in {PUBLIC_URL, *ALLOWED_ORIGINS} if "://" in origin]
_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = "gateway_session"
CSRF_COOKIE_NAME = "gateway_csrf"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Networks and host names of upstreams that may be private; loopback only where the database is our own.
UPSTREAM_ALLOW = items("GATEWAY_UPSTREAM_ALLOW") or (["127.0.0.0/8", "::1", "localhost"] if EMBEDDED_DATABASE else [])

# The mail server for password resets; without one the gateway sends no mail
_EMAIL_URL = text("GATEWAY_EMAIL_URL")
HAS_MAIL = bool(_EMAIL_URL)
DEFAULT_FROM_EMAIL = text("GATEWAY_EMAIL_FROM", f"mcp-gateway@{_PUBLIC_HOST or 'localhost'}")


def _mail_server() -> dict[str, Any]:
    # Messages do not repeat the address: it may hold a password.
    try:
        server = environ.Env.email_url_config(_EMAIL_URL)
    except (ValueError, ImproperlyConfigured):
        server = {}
    if not server.get("EMAIL_HOST") or not server["EMAIL_BACKEND"].endswith("smtp.EmailBackend"):
        raise ImproperlyConfigured("GATEWAY_EMAIL_URL must look like smtp+tls://user:password@mail.example.com:587.")
    if not PUBLIC_URL and any(host == "*" or host.startswith(".") for host in ALLOWED_HOSTS):
        # The links in mails would lead wherever the sender of a request says.
        raise ImproperlyConfigured(
            "GATEWAY_EMAIL_URL with a wildcard in GATEWAY_ALLOWED_HOSTS needs GATEWAY_PUBLIC_URL."
        )
    return server


if HAS_MAIL:
    _SERVER = _mail_server()
    EMAIL_USE_TLS, EMAIL_USE_SSL = _SERVER.get("EMAIL_USE_TLS", False), _SERVER.get("EMAIL_USE_SSL", False)
    EMAIL_HOST = _SERVER["EMAIL_HOST"]
    EMAIL_PORT = _SERVER["EMAIL_PORT"] or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _SERVER["EMAIL_HOST_USER"] or "", _SERVER["EMAIL_HOST_PASSWORD"] or ""
    EMAIL_TIMEOUT = 15
# The longest life of a key that somebody issues for themselves
SELF_SERVICE_KEY_DAYS = integer("GATEWAY_SELF_SERVICE_KEY_DAYS", 90, 1, 36500)

# Limits and deadlines of the data plane (an upstream's own fields win)
MAX_REQUEST_BYTES = integer("GATEWAY_MAX_REQUEST_BYTES", 4 << 20, 1024, 1 << 30)
MAX_RESPONSE_BYTES = integer("GATEWAY_MAX_RESPONSE_BYTES", 32 << 20, 1024, 1 << 30)
MAX_EVENT_BYTES = integer("GATEWAY_MAX_EVENT_BYTES", 4 << 20, 1024, 1 << 30)
MAX_HEAD_BYTES = integer("GATEWAY_MAX_HEAD_BYTES", 32 << 10, 1024, 1 << 20)
MAX_HEADERS = integer("GATEWAY_MAX_HEADERS", 100, 10, 10000)
HEAD_TIMEOUT_S = number("GATEWAY_HEAD_TIMEOUT_S", 30, 0.1, 3600)
BODY_TIMEOUT_S = number("GATEWAY_BODY_TIMEOUT_S", 60, 0.1, 3600)
# A client that takes nothing of what waits for it for this long is cut off.
SEND_TIMEOUT_S = number("GATEWAY_SEND_TIMEOUT_S", 60, 0.1, 3600)
MAX_JSON_DEPTH = integer("GATEWAY_MAX_JSON_DEPTH", 64, 8, 150)
CONNECT_TIMEOUT_S = number("GATEWAY_CONNECT_TIMEOUT_S", 5, 0.05, 600)
FIRST_BYTE_TIMEOUT_S = number("GATEWAY_FIRST_BYTE_TIMEOUT_S", 60, 0.05, 3600)
IDLE_TIMEOUT_S = number("GATEWAY_IDLE_TIMEOUT_S", 120, 0.05, 3600)
TOTAL_TIMEOUT_S = number("GATEWAY_TOTAL_TIMEOUT_S", 600, 0.05, 86400)
KEEP_ALIVE_COMMENT_S = number("GATEWAY_KEEP_ALIVE_COMMENT_S", 15, 0.05, 3600)
BARE_SESSION_IDLE_S = number("GATEWAY_BARE_SESSION_IDLE_S", 300, 0.1, 86400)
# Wrong credentials from one address, over all workers, before they are answered 429; 0: never. Good ones pass.
FAILED_CREDENTIALS_PER_MINUTE = integer("GATEWAY_FAILED_CREDENTIALS_PER_MINUTE", 600, 0, 10_000_000)
LIVE_VIEWERS = integer("GATEWAY_LIVE_VIEWERS", 50, 0, 10000)  # open live views of one worker
STREAMS_PER_KEY = integer("GATEWAY_STREAMS_PER_KEY", 32, 1, 100000)
# Calls in flight at once, over all workers of a host: to an upstream, and of a key (0: no limit) …
UPSTREAM_CONCURRENCY = integer("GATEWAY_UPSTREAM_CONCURRENCY", 1000, 1, 60_000)
KEY_CONCURRENCY = integer("GATEWAY_KEY_CONCURRENCY", 0, 0, 60_000)
# … and how many more may wait for a place, and for how long.
QUEUE_LENGTH = integer("GATEWAY_QUEUE_LENGTH", 100, 0, 60_000)
QUEUE_WAIT_S = number("GATEWAY_QUEUE_WAIT_S", 2, 0, 600)
# Circuit breaker of an upstream: failures in a row that open it (0: never), for how long, and the probes that close it.
BREAKER_THRESHOLD = integer("GATEWAY_BREAKER_THRESHOLD", 5, 0, 10_000)
BREAKER_RECOVERY_S = number("GATEWAY_BREAKER_RECOVERY_S", 60, 0.1, 86400)
BREAKER_PROBES = integer("GATEWAY_BREAKER_PROBES", 3, 1, 1000)
MAX_RETRIES = integer("GATEWAY_MAX_RETRIES", 1, 0, 10)
# Identical calls of a key that pass within the window (0: any number); a namespace's own fields win.
IDENTICAL_CALLS = integer("GATEWAY_IDENTICAL_CALLS", 0, 0, 1_000_000)
IDENTICAL_WINDOW_S = number("GATEWAY_IDENTICAL_WINDOW_S", 60, 1, 86400)
STALE_LIMIT_S = number("GATEWAY_STALE_LIMIT", 3600, 1, 30 * 86400)
LIST_TTL_MS = integer("GATEWAY_LIST_TTL_MS", 2000, 0, 86400000)
DRAIN_TIMEOUT_S = number("GATEWAY_DRAIN_TIMEOUT_S", 10, 0.1, 3600)
# How long a stopping worker says 503 on /ready and still accepts, so that a load balancer can move on.
DRAIN_NOTICE_S = number("GATEWAY_DRAIN_NOTICE_S", 0.5, 0, 600)
KEEP_ALIVE_TIMEOUT_S = number("GATEWAY_KEEP_ALIVE_TIMEOUT_S", 65, 1, 3600)
HANG_TIMEOUT_S = number("GATEWAY_HANG_TIMEOUT_S", 10, 2, 600)

# Rate limits of the data plane. Where a setting has two names, the second is C.21's and the first one wins.
RATE_LIMITS_ENABLED = switch("GATEWAY_RATE_LIMIT__ENABLED", True)
# What a limit of -1 ("the default") means; blank = unlimited.
_DEFAULT_RPM = "GATEWAY_DEFAULT_RPM" if text("GATEWAY_DEFAULT_RPM") else "GATEWAY_RATE_LIMIT__DEFAULT_RPM"
DEFAULT_RPM = integer(_DEFAULT_RPM, 0, 0, 10_000_000) if text(_DEFAULT_RPM) else None
_DEFAULT_BURST = "GATEWAY_DEFAULT_BURST" if text("GATEWAY_DEFAULT_BURST") else "GATEWAY_RATE_LIMIT__BURST_ALLOWANCE"
DEFAULT_BURST = integer(_DEFAULT_BURST, 10, 1, 1_000_000)
RATE_LIMIT_STRATEGY = text("GATEWAY_RATE_LIMIT__STRATEGY", "token_bucket")
if RATE_LIMIT_STRATEGY not in ("token_bucket", "sliding_window"):
    raise ImproperlyConfigured(
        f"GATEWAY_RATE_LIMIT__STRATEGY is {RATE_LIMIT_STRATEGY!r}; it must be token_bucket or sliding_window"
        " (a fixed window, which lets twice the limit pass at its edges, is not offered)."
    )
# Hosts that name the same Redis count together. Messages do not repeat the address: it may hold a password.
REDIS_URL = text("REDIS_URL") or text("GATEWAY_RATE_LIMIT__REDIS_URL")
if REDIS_URL and urlsplit(REDIS_URL).scheme not in ("redis", "rediss", "unix"):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
REDIS_TIMEOUT_S = number("GATEWAY_REDIS_TIMEOUT_S", 0.25, 0.005, 10)
RATE_LIMIT_DOWN = text("GATEWAY_RATE_LIMIT_DOWN", "open")
if RATE_LIMIT_DOWN not in ("open", "closed"):
    raise ImproperlyConfigured(f"GATEWAY_RATE_LIMIT_DOWN is {RATE_LIMIT_DOWN!r}; it must be open or closed.")
# When the database is away and what was leased of a quota is used up.
QUOTA_DOWN = text("GATEWAY_QUOTA_DOWN", "open")
if QUOTA_DOWN not in ("open", "closed"):
    raise ImproperlyConfigured(f"GATEWAY_QUOTA_DOWN is {QUOTA_DOWN!r}; it must be open or closed.")

# How far pages, roll-ups and what the embedded database does for them stand back behind calls (nice, 0 to 19).
BACKGROUND_NICENESS = integer("GATEWAY_BACKGROUND_NICENESS", 10, 0, 19)

# Housekeeping, by one `maintain` process among all hosts
HOUSEKEEPING_INTERVAL_S = number("GATEWAY_HOUSEKEEPING_INTERVAL_S", 3600, 1, 86400)
PROBE_INTERVAL_S = number("GATEWAY_PROBE_INTERVAL_S", 120, 0, 86400)  # 0: upstreams' lists are not read
# B.11, D.13; an upstream's own field wins. Where lists are not to be read, nothing is asked by default either.
HEALTH_INTERVAL_S = number("GATEWAY_HEALTH_INTERVAL_S", 30 if PROBE_INTERVAL_S else 0, 0, 86400)
HEALTH_RETENTION_DAYS = integer("GATEWAY_HEALTH_RETENTION_DAYS", 90, 1, 36500)
QUOTA_RETENTION_DAYS = integer("GATEWAY_QUOTA_RETENTION_DAYS", 90, 1, 36500)

# Dashboards and analytics: how long one statement may take before the answer is "choose a shorter period"
ANALYTICS_TIMEOUT_MS = integer("GATEWAY_ANALYTICS_TIMEOUT_MS", 5000, 100, 600000)

# Request log
LOG_RETENTION_DAYS = integer("GATEWAY_LOG_RETENTION_DAYS", 90, 1, 36500)
# Days before today for which the log is kept added up by minute, hour and day.
MINUTE_RETENTION_DAYS = integer("GATEWAY_MINUTE_RETENTION_DAYS", 2, 0, 36500)
HOUR_RETENTION_DAYS = integer("GATEWAY_HOUR_RETENTION_DAYS", 90, 1, 36500)
DAY_RETENTION_DAYS = integer("GATEWAY_DAY_RETENTION_DAYS", 1100, 1, 36500)
JOURNAL_MAX_BYTES = integer("GATEWAY_JOURNAL_MAX_BYTES", 1 << 30, 1 << 16, 1 << 44)
JOURNAL_FULL = text("GATEWAY_JOURNAL_FULL", "serve")
if JOURNAL_FULL not in ("serve", "refuse"):
    raise ImproperlyConfigured("GATEWAY_JOURNAL_FULL must be serve or refuse.")
JOURNAL_FSYNC = switch("GATEWAY_JOURNAL_FSYNC", False)
ACCESS_LOG = switch("GATEWAY_ACCESS_LOG", True)
CSV_MAX_ROWS = integer("GATEWAY_CSV_MAX_ROWS", 100_000, 1, 10_000_000)  # of one export of the request log

# Metrics: who may read /metrics besides API keys that see everything
VERSION = "0.1.0"
STARTED_AT = time.monotonic()
GATEWAY_ID = text("GATEWAY_ID") or socket.gethostname()
ENVIRONMENT = text("GATEWAY_ENVIRONMENT", "production")
if ENVIRONMENT not in ("development", "staging", "production"):
    raise ImproperlyConfigured("GATEWAY_ENVIRONMENT must be development, staging or production.")
METRICS_ENABLED = text("GATEWAY_METRICS") != "off"
METRICS_NETWORKS = networks("GATEWAY_METRICS") if METRICS_ENABLED else []

REST_RATE = text("GATEWAY_REST_RATE", "600/m")  # requests of one caller to the REST API, as django-ratelimit writes it
if not re.fullmatch(r"[1-9]\d*/[1-9]?\d*[smhd]", REST_RATE):
    raise ImproperlyConfigured(f"GATEWAY_REST_RATE is {REST_RATE!r}; it must look like 600/m.")

# Django
INSTALLED_APPS = [
    *(["daphne"] if "runserver" in sys.argv else []),  # it takes over runserver; importing it costs 0.7 s
    "gateway_project.apps.GatewayAdminConfig",
    "gateway_project",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "pghistory",
    "namespaces",
    "keys",
    "analytics",
]
MIDDLEWARE = [
    "gateway_project.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "pghistory.middleware.HistoryMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "gateway_project.urls"
ASGI_APPLICATION = "gateway_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Its own cache: the default of 300 entries would cull counters and let a blocked caller start anew.
    "ratelimit": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "ratelimit",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}
if REDIS_URL:
    CACHES["ratelimit_alone"] = CACHES["ratelimit"]
    CACHES["ratelimit"] = {
        "BACKEND": "gateway_project.redis_cache.SharedCounters",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": REDIS_TIMEOUT_S, "socket_timeout": REDIS_TIMEOUT_S},
    }
RATELIMIT_USE_CACHE = "ratelimit"
# Per-process counters are right for what they guard here: sign-in and REST views, not the data plane.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/dashboard/"
PASSWORD_RESET_TIMEOUT = 3600 * 2
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["gateway_project.formats"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "gateway_project" / "static"]
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
# The address of a change's author is in the request log already; here the user and the page are enough.
PGHISTORY_MIDDLEWARE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "keys.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "analytics.errors.rest_exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "analytics.rest.description.Schema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MCP gateway REST API",
    "VERSION": "1",
    "DESCRIPTION": "What happened at the gateway: who called what, how often, how fast and how it failed. A"
    " caller sees its own calls in the namespaces that it may use, or its team's, or everything, as its rights say."
    " Send an API key, or use the cookie of a signed-in account. Times are UTC. Every error has one shape.",
    "DISABLE_ERRORS_AND_WARNINGS": False,
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

LOG_LEVEL = text("GATEWAY_LOG_LEVEL", "info").upper()
LOG_FORMAT = text("GATEWAY_LOG_FORMAT", "text" if sys.stderr.isatty() else "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "gateway_project.logs.JsonFormatter"},
        "text": {"()": "gateway_project.logs.TextFormatter"},
    },
    "filters": {"redact": {"()": "gateway_project.logs.RedactionFilter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact"]},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Its own line a request is written by the gateway; Django's and uvicorn's would double it.
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.request": {"level": "ERROR"},
        "uvicorn": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "pghistory": {"level": "WARNING"},
    },
}
