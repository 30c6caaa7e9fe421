"""The pages of accounts, of staff and others: sign in, sign out, change a password, reset it by mail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path, reverse_lazy

from keys import attempts
from namespaces.addresses import gateway_url

logger = logging.getLogger(__name__)


class Limited:
    """Answers 429 to a POST for which `limits` leave no room; a form that is wrong uses some up."""

    limits: Sequence[attempts.Limit] = ()
    request: HttpRequest

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Look at the form unless there were too many attempts."""
        seconds = attempts.wait_s(request, self.limits)
        if seconds:
            return too_many(request, seconds)
        return super().post(request, *args, **kwargs)  # type: ignore[misc,no-any-return]

    def form_invalid(self, form: Any) -> HttpResponse:
        """Count what was wrong."""
        attempts.count(self.request, self.limits)
        return super().form_invalid(form)  # type: ignore[misc,no-any-return]

    def get_form_kwargs(self) -> dict[str, Any]:
        """Write labels without a colon."""
        return {**super().get_form_kwargs(), "label_suffix": ""}  # type: ignore[misc]


def too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    """Return the page that says when to try again."""
    response = render(request, "accounts/too_many.html", attempts.waiting(seconds), status=429)
    response["Retry-After"] = str(seconds)
    response["Cache-Control"] = "no-store"
    return response


class SignIn(Limited, views.LoginView):
    """`/accounts/login/`."""

    template_name = "accounts/login.html"
    limits = attempts.SIGN_IN


class SignOut(views.LogoutView):
    """`/accounts/logout/`, by POST alone."""

    next_page = "login"


class PasswordChange(Limited, views.PasswordChangeView):
    """`/accounts/password/`. The account's other sessions end with the old password."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("password_change")
    limits = attempts.OLD_PASSWORD

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it is done."""
        messages.success(self.request, "Your password is changed. Wherever else you were signed in, you are no more.")
        return super().form_valid(form)


class ResetForm(PasswordResetForm):
    """The address that a link to a new password goes to, if it is an account's."""

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """Send the mail beside the request, whose answer must not tell by its time whether there is an account."""
        subject = "".join(render_to_string(subject_template_name, context).splitlines())
        body = render_to_string(email_template_name, context)
        mail = EmailMessage(subject, body, from_email, [to_email])
        threading.Thread(target=_send, args=(mail, context["user"].pk), name="reset mail").start()


def _send(mail: EmailMessage, account_id: int) -> None:
    try:
        mail.send()
    except Exception as error:
        # Not the error's text: mail servers repeat addresses in theirs.
        logger.error("a password reset could not be mailed: %s", type(error).__name__, extra={"account": account_id})


class Reset(Limited, views.PasswordResetView):
    """`/accounts/reset/`: alike for addresses of accounts and all others. Without a mail server it only says so."""

    template_name = "accounts/reset.html"
    form_class = ResetForm
    subject_template_name = "accounts/reset_subject.txt"
    email_template_name = "accounts/reset_mail.txt"
    limits = attempts.RESET

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Take an address where there is a mail server."""
        return super().post(request, *args, **kwargs) if settings.HAS_MAIL else self.get(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        """Count every address, known or not."""
        attempts.count(self.request, self.limits)
        self.extra_email_context = {
            "gateway": gateway_url(self.request),
            "hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
        }
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Tell the page whether there is a mail server."""
        return {**super().get_context_data(**kwargs), "has_mail": settings.HAS_MAIL}


class ResetConfirm(views.PasswordResetConfirmView):
    """Where the link of the mail leads. It works once, and for PASSWORD_RESET_TIMEOUT."""

    template_name = "accounts/reset_confirm.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Write labels without a colon."""
        return {**super().get_form_kwargs(), "label_suffix": ""}


urlpatterns = [
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", SignOut.as_view(), name="logout"),
    path("password/", PasswordChange.as_view(), name="password_change"),
    path("reset/", Reset.as_view(), name="password_reset"),
    path(
        "reset/sent/",
        views.PasswordResetDoneView.as_view(template_name="accounts/reset_sent.html"),
        name="password_reset_done",
    ),
    path("reset/<uidb64>/<token>/", ResetConfirm.as_view(), name="password_reset_confirm"),
    path(
        "reset/done/",
        views.PasswordResetCompleteView.as_view(template_name="accounts/reset_done.html"),
        name="password_reset_complete",
    ),
]
