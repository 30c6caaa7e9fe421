"""Signing in and out, changing a password, and resetting it by mail, for people who are no staff."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from keys.redaction import redact
from tests.gateway import wait_for
from tests.teams.conftest import PASSWORD, signed_in

LOGIN, RESET, CHANGE = "/accounts/login/", "/accounts/reset/", "/accounts/password/"
NEW = "quite-another-word-9"
Person = Callable[..., User]


@pytest.fixture
def alice(person: Person) -> User:
    """Somebody who is no staff."""
    return person("alice")


@pytest.fixture
def mail_server(settings: Any) -> None:
    """Say that there is a mail server; Django's tests keep what is sent."""
    settings.HAS_MAIL = True


def attempt(name: str = "alice", password: str = "wrong", path: str = LOGIN, address: str = "192.0.2.1") -> Any:
    return Client().post(path, {"username": name, "password": password}, REMOTE_ADDR=address)


def ask(email: str, address: str = "192.0.2.1", **headers: str) -> Any:
    return Client().post(RESET, {"email": email}, REMOTE_ADDR=address, headers=headers)


def token_of(page: Any) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert found is not None
    return found[1]


def link() -> str:
    """Return the path of the link in the one mail that was sent."""
    wait_for(lambda: mail.outbox, 5)
    found = re.search(r"https?://[^/]+(/accounts/reset/\S+)", str(mail.outbox[0].body))
    assert found is not None
    return found[1]


def test_signing_in_with_a_csrf_token_leads_to_the_dashboard_and_out_again(alice: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    form = {"username": "alice", "password": PASSWORD}
    assert browser.post(LOGIN, form).status_code == 403
    page = browser.get(LOGIN)
    assert "no-store" in page["Cache-Control"]
    answer = browser.post(LOGIN, form | {"csrfmiddlewaretoken": token_of(page)})
    assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
    assert answer.cookies["gateway_session"]["httponly"]
    page = browser.get(CHANGE)
    assert page.status_code == 200
    assert browser.get("/accounts/logout/").status_code == 405  # a link or an image cannot sign anybody out
    assert browser.post("/accounts/logout/").status_code == 403
    answer = browser.post("/accounts/logout/", {"csrfmiddlewaretoken": token_of(page)})
    assert (answer.status_code, answer["Location"]) == (302, LOGIN)
    assert browser.get(CHANGE)["Location"] == f"{LOGIN}?next={CHANGE}"


def test_the_start_page_is_the_dashboard_for_everybody() -> None:
    assert Client().get("/")["Location"] == "/dashboard/"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/\\evil.example",
        "\thttps://evil.example",
    ],
)
@pytest.mark.parametrize("where", ["query", "form"])
def test_m10_next_leads_nowhere_else(alice: User, target: str, where: str) -> None:
    form = {"username": "alice", "password": PASSWORD} | ({"next": target} if where == "form" else {})
    answer = Client().post(LOGIN, form, query_params={"next": target} if where == "query" else {})
    assert answer.status_code == 302
    assert answer["Location"] == "/dashboard/"


def test_next_leads_to_a_page_of_ours(alice: User) -> None:
    form = {"username": "alice", "password": PASSWORD, "next": "/account/keys/?a=1"}
    assert Client().post(LOGIN, form)["Location"] == "/account/keys/?a=1"


def test_unknown_wrong_and_disabled_are_answered_alike(alice: User, person: Person) -> None:
    person("gone", is_active=False)
    pages = [attempt("alice"), attempt("nobody"), attempt("gone", PASSWORD)]
    texts = {re.sub(r'value="[^"]*"', "", page.content.decode().split("<main")[1].split("</main")[0]) for page in pages}
    assert len(texts) == 1 and {page.status_code for page in pages} == {200}


def test_failed_sign_ins_are_counted_together_with_those_of_the_admin(alice: User) -> None:
    for number in range(5):
        assert attempt(address=f"192.0.2.{number}").status_code == 200
        assert attempt(path="/admin/login/", address=f"192.0.2.{number}").status_code == 200
    for path in (LOGIN, "/admin/login/"):
        answer = attempt(password=PASSWORD, path=path, address="198.51.100.7")
        assert answer.status_code == 429 and 1 <= int(answer["Retry-After"]) <= 300
        assert "no-store" in answer["Cache-Control"] and "Try again in" in answer.content.decode()
    assert attempt("bob", address="198.51.100.7").status_code == 200


def test_an_address_is_closed_after_thirty_failures_whatever_the_names(alice: User) -> None:
    for number in range(30):
        assert attempt(f"guess-{number}").status_code == 200
    assert attempt("guess-31").status_code == 429
    assert attempt("guess-31", address="198.51.100.7").status_code == 200


def test_changing_the_password_ends_the_other_sessions_and_not_this_one(alice: User) -> None:
    here, elsewhere = signed_in(alice), signed_in(alice)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    answer = here.post(CHANGE, form, follow=True)
    assert "Your password is changed" in answer.content.decode()
    assert here.get(CHANGE).status_code == 200
    assert elsewhere.get(CHANGE).status_code == 302
    assert attempt(password=NEW).status_code == 302


def test_guessing_the_old_password_in_a_session_that_was_left_open_is_slowed(alice: User) -> None:
    browser = signed_in(alice)
    form = {"old_password": "guess", "new_password1": NEW, "new_password2": NEW}
    assert [browser.post(CHANGE, form).status_code for _ in range(11)] == [200] * 10 + [429]
    assert browser.post(CHANGE, form | {"old_password": PASSWORD}).status_code == 429


def test_a_weak_password_is_refused(alice: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": "alice123", "new_password2": "alice123"}
    assert "too similar" in signed_in(alice).post(CHANGE, form).content.decode()


def test_without_a_mail_server_the_page_says_so_and_takes_nothing(alice: User) -> None:
    for page in (Client().get(RESET), ask("alice@example.org")):
        body = page.content.decode()
        assert page.status_code == 200 and "No mail server is configured" in body and "<form" not in body
    assert mail.outbox == []


def test_a_reset_by_mail_sets_the_password_once_and_ends_every_session(alice: User, mail_server: None) -> None:
    elsewhere = signed_in(alice)
    assert ask("Alice@example.org")["Location"] == "/accounts/reset/sent/"
    path = link()
    assert mail.outbox[0].to == ["alice@example.org"] and "alice" in mail.outbox[0].body
    browser = Client()
    page = browser.get(path, follow=True)
    assert path.split("/")[-2] not in page.request["PATH_INFO"]  # no token where a Referer could carry it
    answer = browser.post(page.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your password is set" in answer.content.decode()
    assert attempt(password=PASSWORD).status_code == 200
    assert attempt(password=NEW).status_code == 302
    assert elsewhere.get(CHANGE).status_code == 302
    assert "This link does not work" in Client().get(path).content.decode()


def test_a_reset_does_not_tell_whether_there_is_an_account(alice: User, person: Person, mail_server: None) -> None:
    person("gone", is_active=False)
    User.objects.create_user("without-password", "without@example.org")
    answers = [ask(f"{name}@example.org") for name in ("alice", "nobody", "gone", "without")]
    assert {(answer.status_code, answer["Location"], answer.content) for answer in answers} == {
        (302, "/accounts/reset/sent/", b"")
    }
    wait_for(lambda: mail.outbox, 5)
    assert [message.to for message in mail.outbox] == [["alice@example.org"]]


def test_a_mail_server_that_fails_shows_nowhere_but_in_the_log(
    alice: User, mail_server: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    settings.EMAIL_PORT = 9  # nobody listens
    assert ask("alice@example.org")["Location"] == "/accounts/reset/sent/"
    wait_for(lambda: "could not be mailed" in caplog.text, 10)
    assert "ConnectionRefusedError" in caplog.text and "alice@" not in caplog.text and RESET not in caplog.text


def test_the_link_leads_to_the_public_address(alice: User, mail_server: None, settings: Any) -> None:
    settings.PUBLIC_URL = "https://mcp.example.com"
    ask("alice@example.org", Host="localhost")
    wait_for(lambda: mail.outbox, 5)
    assert "https://mcp.example.com/accounts/reset/" in mail.outbox[0].body
    assert "localhost" not in mail.outbox[0].body


def test_a_forged_host_sends_no_mail(alice: User, mail_server: None) -> None:
    assert ask("alice@example.org", Host="evil.example").status_code == 400
    assert mail.outbox == []


def test_resets_are_counted_by_address_and_by_mail_address(alice: User, mail_server: None) -> None:
    codes = [ask("alice@example.org", address=f"192.0.2.{number}").status_code for number in range(7)]
    assert codes == [302] * 5 + [429] * 2
    assert ask(" ALICE@example.org", address="192.0.2.99").status_code == 429
    codes = [ask(f"{number}@example.org", address="198.51.100.7").status_code for number in range(22)]
    assert codes == [302] * 20 + [429] * 2


@pytest.mark.parametrize(
    "path", ["/accounts/reset/MQ/x-y/", "/accounts/reset/%00/x/", "/accounts/reset/MQ/set-password/"]
)
def test_a_link_that_somebody_made_up_opens_nothing(alice: User, path: str) -> None:
    page = Client().get(path)
    assert page.status_code == 200 and "This link does not work" in page.content.decode()
    form = {"new_password1": NEW, "new_password2": NEW}
    assert "This link does not work" in Client().post(path, form).content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_token_of_a_link_stays_out_of_the_access_log() -> None:
    path = "/accounts/reset/MQ/czk1ab-0123456789abcdef0123456789abcdef/"
    assert "0123456789" not in redact(path) and redact(path).startswith("/accounts/reset/MQ/")
    assert redact("/accounts/reset/MQ/set-password/") == "/accounts/reset/MQ/set-password/"


@pytest.mark.parametrize(
    "path", [LOGIN, RESET, "/accounts/reset/sent/", "/accounts/reset/done/", "/accounts/reset/a/b/"]
)
def test_the_pages_for_strangers_are_strict(db: None, mail_server: None, path: str) -> None:
    page = Client().get(path)
    body = page.content.decode()
    assert page.status_code == 200 and "unsafe" not in page["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|\sstyle=|\son[a-z]+=\"|<style", body)
    assert "Overview" not in body  # no navigation for who is not signed in
