"""Application configuration of what happened."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """The request log, its journal and shipper, queries and reports."""

    name = "analytics"
    verbose_name = "Records"
