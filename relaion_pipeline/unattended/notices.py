"""Telling somebody that a run failed: by webhook, by e-mail.

What belongs here: sending. What does not: what a run says of its failure (`runs`). A notice holds what our own errors
say, so no entry of a list.
"""

import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from http.client import HTTPException

from relaion_pipeline.settings import Notify

_TIMEOUT = 15  # seconds, for every step of talking to a server


class NoticeError(Exception):
    """A notice did not get through; the message says which and why, and holds no secret."""


@dataclass(frozen=True)
class Notice:
    """That a run failed."""

    dataset: str
    run: str
    job: str
    failures: dict[str, str]  # step -> what it said: what is wrong, and what to do
    current: str | None  # version of the current release

    @property
    def subject(self) -> str:
        return f"{self.dataset}: run {self.run[:8]} of {self.job} failed"

    @property
    def text(self) -> str:
        """The notice for people."""
        stands = f"The current release is {self.current}, whole as it was made." if self.current else "No release yet."
        again = "What failed is tried again when an input changes, or by `relaion release`; a killed run, at once."
        return "\n".join(
            [f"{self.subject}.", *(f"{step}: {said}" for step, said in self.failures.items()), stands, again]
        )


def send(notice: Notice, to: Notify) -> None:
    """Send a notice every way that is configured; one that fails keeps no other from being tried.

    Raises:
        NoticeError: it did not get through on some way.
    """
    problems = []
    for wanted, way in ((to.webhook_variable, _webhook), (to.email_to, _email)):
        if wanted:
            try:
                way(notice, to)
            except NoticeError as error:
                problems.append(str(error))
    if problems:
        raise NoticeError(f"nobody was told that run {notice.run} failed: " + "; ".join(problems))


def _webhook(notice: Notice, to: Notify) -> None:
    url = _secret(to.webhook_variable, "notify.webhook_variable")
    if not url.startswith(("https://", "http://")):
        raise NoticeError(f"{to.webhook_variable}, named by notify.webhook_variable, holds no http address")
    body = json.dumps({"text": notice.text} | asdict(notice)).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  (looked at above)
        with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        problem = f"status {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        problem = type(error).__name__  # its text may hold the address, which is a secret
    raise NoticeError(f"the webhook did not take it ({problem})")


def _email(notice: Notice, to: Notify) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = notice.subject, to.email_from, ", ".join(to.email_to)
    message.set_content(notice.text)
    password = _secret(to.smtp_password_variable, "notify.smtp_password_variable") if to.smtp_user else ""
    try:
        with _server(to) as server:
            if to.smtp_user:
                server.login(to.smtp_user, password)
            server.send_message(message)
            return
    except (OSError, smtplib.SMTPException) as error:
        problem = type(error).__name__
    raise NoticeError(f"{to.smtp_server}:{to.smtp_port} did not take the e-mail ({problem})")


def _server(to: Notify) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if to.smtp_security == "tls":
        return smtplib.SMTP_SSL(to.smtp_server, to.smtp_port, timeout=_TIMEOUT, context=context)
    server = smtplib.SMTP(to.smtp_server, to.smtp_port, timeout=_TIMEOUT)
    if to.smtp_security == "starttls":
        server.starttls(context=context)
    return server


def _secret(variable: str | None, key: str) -> str:
    value = os.environ.get(variable or "", "")
    if not value:
        raise NoticeError(f"the environment variable {variable}, named by {key}, is not set where the UI was started")
    return value
