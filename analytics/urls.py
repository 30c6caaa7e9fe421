"""URLs of the analytics API."""

from __future__ import annotations

from django.urls import path

from analytics.api import UsageView

urlpatterns = [path("analytics/usage", UsageView.as_view(), name="usage")]
