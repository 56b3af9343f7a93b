"""Notices arrive, whole; one that does not is an error that holds no secret."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from relaion_pipeline.settings import Notify
from relaion_pipeline.unattended import notices
from relaion_pipeline.unattended.notices import Notice, NoticeError

NOTICE = Notice("sample", "1234567890", "release_job", {"feeds__iwf": "feeds/iwf.txt: empty; ask the partner"}, "V1")


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["Content-Type"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(404 if "wrong" in self.path else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to be sent a message."""

    def handle(self) -> None:
        self.say("220 here")
        while (line := self.rfile.readline().decode()) != "":
            verb = line[:4].upper()
            if verb == "EHLO":
                self.say("250-here\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self.server.received.append(line.strip())  # type: ignore[attr-defined]
                self.say("235 welcome")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    lines.append(line.rstrip("\r\n"))
                self.server.received.append("\n".join(lines))  # type: ignore[attr-defined]
                self.say("250 taken")
            else:
                self.say("221 bye" if verb == "QUIT" else "250 yes")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[socketserver.TCPServer]:
    kind = HTTPServer if handler is Hook else socketserver.ThreadingTCPServer
    with kind(("127.0.0.1", 0), handler) as server:
        server.received = []  # type: ignore[union-attr]
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    yield from serving(Hook)  # type: ignore[misc]


@pytest.fixture
def mail() -> Iterator[socketserver.TCPServer]:
    yield from serving(Mail)


def by_mail(port: int) -> Notify:
    return Notify(
        email_to=["a@example.org", "b@example.org"],
        email_from="relaion@example.org",
        smtp_server="127.0.0.1",
        smtp_port=port,
        smtp_security="none",
        smtp_user="me",
        smtp_password_variable="MAIL_PASSWORD",
    )


def test_a_webhook_is_posted_json(hook: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook.server_port}/secret")
    notices.send(NOTICE, Notify(webhook_variable="HOOK"))
    ((path, kind, body),) = hook.received  # type: ignore[attr-defined]
    assert (path, kind) == ("/secret", "application/json")
    assert body["failures"] == NOTICE.failures
    assert body["current"] == "V1"
    for part in ("sample", "release_job", "feeds__iwf: feeds/iwf.txt: empty; ask the partner", "V1"):
        assert part in body["text"]


def test_an_email_is_sent(mail: socketserver.TCPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "sesame")
    notices.send(NOTICE, by_mail(mail.server_address[1]))
    login, text = mail.received  # type: ignore[attr-defined]
    assert login.startswith("AUTH PLAIN")
    message = message_from_string(text)
    assert message["To"] == "a@example.org, b@example.org"
    assert message["Subject"] == NOTICE.subject
    assert "ask the partner" in message.get_payload()


def test_one_way_that_fails_keeps_no_other_from_being_tried(
    mail: socketserver.TCPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "sesame")
    both = by_mail(mail.server_address[1]).model_copy(update={"webhook_variable": "NOT_SET"})
    with pytest.raises(NoticeError, match=r"NOT_SET, named by notify.webhook_variable, is not set"):
        notices.send(NOTICE, both)
    assert len(mail.received) == 2  # type: ignore[attr-defined]


def test_a_notice_that_does_not_get_through_is_an_error_without_secrets(
    hook: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    monkeypatch.setenv("MAIL_PASSWORD", "sesame")
    problems = {
        f"http://127.0.0.1:{hook.server_port}/wrong/secret": "status 404",
        f"http://127.0.0.1:{closed}/secret": "URLError",
        "http://[secret": "ValueError",
        "file:///secret": "holds no http address",
    }
    for address, problem in problems.items():
        monkeypatch.setenv("HOOK", address)
        with pytest.raises(NoticeError, match=problem) as raised:
            notices.send(NOTICE, by_mail(closed).model_copy(update={"webhook_variable": "HOOK"}))
        assert f"127.0.0.1:{closed} did not take the e-mail (ConnectionRefusedError)" in str(raised.value)
        assert "secret" not in str(raised.value)
        assert "sesame" not in str(raised.value)
        assert raised.value.__cause__ is None
