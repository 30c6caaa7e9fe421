"""Application configuration of what is published."""

from __future__ import annotations

from django.apps import AppConfig


class NamespacesConfig(AppConfig):
    """Namespaces, upstreams, mounts, rules and the catalogue."""

    name = "namespaces"
    verbose_name = "Servers"
