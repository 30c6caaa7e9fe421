"""URLs of the REST API for callers' own access."""

from __future__ import annotations

from django.urls import path

from keys.api import NamespacesView

urlpatterns = [path("namespaces", NamespacesView.as_view(), name="namespaces")]
