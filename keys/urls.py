"""URLs of callers' own access: over REST, and the pages of people's keys and teams."""

from __future__ import annotations

from django.urls import path

from keys import pages, team_pages
from keys.api import NamespacesView

urlpatterns = [
    path("namespaces", NamespacesView.as_view(), name="namespaces"),
    path("account/keys/", pages.my_keys, name="my-keys"),
    path("account/keys/issue/", pages.issue, name="my-key-issue"),
    path("account/keys/<int:key_id>/rotate/", pages.rotate, name="my-key-rotate"),
    path("account/keys/<int:key_id>/revoke/", pages.revoke, name="my-key-revoke"),
    path("account/team/<slug:slug>/", team_pages.team_page, name="team"),
    path("account/team/<slug:slug>/members/add/", team_pages.add_member, name="team-member-add"),
    path("account/team/<slug:slug>/members/<int:account_id>/role/", team_pages.change_role, name="team-member-role"),
    path(
        "account/team/<slug:slug>/members/<int:account_id>/remove/", team_pages.remove_member, name="team-member-remove"
    ),
    path("account/team/<slug:slug>/keys/<int:key_id>/revoke/", team_pages.revoke_key, name="team-key-revoke"),
]
