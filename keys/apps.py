"""Application configuration of who may call."""

from __future__ import annotations

from django.apps import AppConfig


class KeysConfig(AppConfig):
    """API keys, their secrets and grants."""

    name = "keys"
    verbose_name = "Access"
