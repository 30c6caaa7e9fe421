"""Signing in: limited by address and by name, and saying when to try again."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

LOGIN = "/admin/login/"


def attempt(name: str = "ada", password: str = "wrong", address: str = "192.0.2.1") -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def test_a_name_is_closed_after_ten_failures_from_wherever_they_come(ada: User) -> None:
    for number in range(10):
        assert attempt(address=f"192.0.2.{number}").status_code == 200
    response = attempt(address="198.51.100.7")
    assert response.status_code == 429
    wait = int(response["Retry-After"])
    assert 1 <= wait <= 300
    body = response.content.decode()
    assert "Try again in" in body and "UTC" in body
    assert "no-store" in response["Cache-Control"]
    assert attempt(password="the-password-of-ada").status_code == 429
    assert attempt("someone-else").status_code == 200


@pytest.mark.parametrize("spelling", ["ADA", "Ada", "ａｄａ"])
def test_another_spelling_of_the_name_is_the_same_name(ada: User, spelling: str) -> None:
    for number in range(10):
        attempt(address=f"192.0.2.{number}")
    assert attempt(spelling, address="198.51.100.7").status_code == 429


def test_an_address_is_closed_after_thirty_failures_whatever_the_names(ada: User) -> None:
    for number in range(30):
        assert attempt(f"guess-{number}").status_code == 200
    assert attempt("guess-31").status_code == 429
    assert attempt("guess-31", address="198.51.100.7").status_code == 200


def test_an_unknown_name_is_answered_like_a_wrong_password(ada: User) -> None:
    known, unknown = attempt("ada").content.decode(), attempt("nobody").content.decode()
    for body in (known, unknown):
        assert "Please enter the correct username and password" in body


def test_who_knows_the_password_is_not_counted(ada: User) -> None:
    for _ in range(25):
        assert attempt(password="the-password-of-ada").status_code == 302


def test_signing_in_changes_the_session_and_the_cookie_is_closed_to_scripts(ada: User) -> None:
    client = Client()
    client.get("/admin/")
    response = client.post(LOGIN, {"username": "ada", "password": "the-password-of-ada"})
    cookie = response.cookies["gateway_session"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert client.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302


def test_a_name_of_many_kilobytes_is_no_trouble(ada: User) -> None:
    assert attempt("x" * 100_000).status_code == 200
    assert attempt("a\x00b").status_code == 200
