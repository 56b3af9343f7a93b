"""The UI as a user starts it, and a page of Debian's Chromium looking at it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1600, "height": 1000}
STARTS_WITHIN = 90

# Every Python process of the server, runs included, notes where it connects to and which names it looks up.
NOTES_CONNECTIONS = """
import os, sys

def note(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        told = address[0] if isinstance(address, tuple) else "unix"
    elif event == "socket.getaddrinfo":
        told = arguments[0]
    else:
        return
    with open(os.environ["CONNECTIONS"], "a") as file:
        file.write(f"{told}\\n")

sys.addaudithook(note)
with open(os.environ["CONNECTIONS"], "a") as file:
    file.write("process\\n")
"""


@dataclass
class Server:
    """A running UI."""

    root: Path
    address: str
    connections: Path
    log: Path

    def connected_to(self) -> list[str]:
        """Where its processes connected to; `process` for each that started."""
        return self.connections.read_text().split("\n")[:-1]


@dataclass
class Seen:
    """What went on in the page."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(root: Path, folder: Path) -> Iterator[Server]:
    """`relaion ui` on a data root. Ends with all its processes, whatever happened."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(NOTES_CONNECTIONS)
    port = _free_port()
    server = Server(root, f"http://127.0.0.1:{port}", folder / "connections", folder / "log")
    environment = {name: value for name, value in os.environ.items() if name not in {"DAGSTER_HOME", "RELAION_DATA"}}
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "CONNECTIONS": str(server.connections)}
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("relaion"), "ui", "--data", root, "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(server, process)
        yield server
    finally:
        _end(process)


@contextlib.contextmanager
def chromium() -> Iterator[tuple[Page, Seen]]:
    """A page, and what goes on in it."""
    seen = Seen()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(30_000)
            page.on("request", lambda request: seen.hosts.add(request.url.split("/")[2]))
            page.on("websocket", lambda websocket: seen.hosts.add(websocket.url.split("/")[2]))
            page.on("pageerror", lambda error: seen.errors.append(str(error)))
            page.on("console", lambda told: seen.errors.append(told.text) if told.type == "error" else None)
            yield page, seen
        finally:
            browser.close()


def available() -> bool:
    return shutil.which(CHROMIUM) is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the UI ended by itself:\n{server.log.read_text()}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.address}/server_info", timeout=5):
            return
        time.sleep(0.3)
    raise RuntimeError(f"the UI does not answer:\n{server.log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole family to end, and see to it: code servers and runs are processes of their own."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            family += [child for child in each.children(recursive=True) if child not in family]
            each.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=5)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
