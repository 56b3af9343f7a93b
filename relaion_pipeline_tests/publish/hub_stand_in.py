"""A stand-in for the Hugging Face Hub, as far as uploading a data set needs it, on loopback.

Branches of files, large ones by SHA-256 in a store of their own (git LFS), commits that are refused when what they name
was never uploaded, gates, tags. It counts what was sent.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_invented"


class Repository:
    def __init__(self) -> None:
        self.gated: Any = False
        self.branches: dict[str, dict[str, bytes | str]] = {"main": {".gitattributes": b"*.parquet lfs\n"}}
        self.tags: dict[str, dict[str, bytes | str]] = {}
        self.commits: list[tuple[str, int]] = []
        self.heads = Counter({"main": 1})

    def sha(self, revision: str) -> str:
        return hashlib.sha1(f"{revision}{self.heads[revision]}".encode()).hexdigest()


class Hub:
    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.uploads: list[str] = []  # digests of large files that were sent
        self.ungated_uploads = 0
        self.refuse_after: int | None = None
        self.gates = True
        self.url = ""
        self.one_at_a_time = Lock()

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        found = self.repositories[name].branches[revision].items()
        plain = {path: self.large[v] if isinstance(v, str) else v for path, v in found}
        plain.pop(".gitattributes", None)
        return plain


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:  # noqa: C901  (a class that closes over the Hub)
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self, content: Any, status: int = 200) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def serve(self) -> None:  # noqa: PLR0911
            body = self.body()
            path = unquote(urlsplit(self.path).path)
            if path.startswith("/large/"):
                return self.large(path.removeprefix("/large/"), body)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer({"error": "Invalid credentials"}, 401)
            if path == "/api/repos/create":
                return self.create(json.loads(body))
            if path == "/api/validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            if batch := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
                return self.batch(hub.repositories[batch[1]], json.loads(body))
            if resolve := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                return self.answer(hub.files(resolve[1], resolve[2])[resolve[3]])
            if asked := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/([a-z-]+)(?:/(.+))?)?", path):
                return self.of_repository(asked[1], asked[2] or "", asked[3] or "main", body)
            return self.answer({"error": f"not here: {path}"}, 404)

        def create(self, content: Any) -> None:
            name = f"{content['organization']}/{content['name']}"
            known = name in hub.repositories
            hub.repositories.setdefault(name, Repository())
            url = {"url": f"{hub.url}/datasets/{name}"}
            self.answer(
                url | ({"error": "You already created this dataset repo"} if known else {}), 409 if known else 200
            )

        def of_repository(  # noqa: C901, PLR0911  (a table of addresses)
            self, name: str, what: str, revision: str, body: bytes
        ) -> None:
            repository = hub.repositories[name]
            if what == "settings":
                repository.gated = json.loads(body)["gated"] if hub.gates else False
                return self.answer({})
            if what in {"", "revision"}:
                return self.answer({"id": name, "sha": repository.sha(revision), "gated": repository.gated})
            if what == "branch":
                if self.command == "DELETE":
                    del repository.branches[revision]
                elif revision in repository.branches:
                    return self.answer({"error": "Reference already exists"}, 409)
                else:
                    repository.branches[revision] = dict(repository.branches["main"])
                return self.answer({})
            if what == "tag":
                repository.tags[json.loads(body)["tag"]] = dict(repository.branches[revision])
                return self.answer({})
            if what == "tree":
                return self.answer([entry(path, held) for path, held in repository.branches[revision].items()])
            if what == "paths-info":
                files = repository.branches[revision]
                wanted = parse_qs(body.decode())["paths"]
                return self.answer([entry(path, files[path]) for path in wanted if path in files])
            if what == "preupload":
                return self.answer(
                    {"files": [self.mode(repository, revision, each) for each in json.loads(body)["files"]]}
                )
            if what == "commit":
                return self.commit(name, repository, revision, body)
            return self.answer({"error": f"not here: {what}"}, 404)

        def mode(self, repository: Repository, revision: str, file: Any) -> Any:
            held = repository.branches[revision].get(file["path"])
            mode = "lfs" if file["path"].endswith(".parquet") else "regular"
            known = {"oid": entry(file["path"], held)["oid"]} if held is not None else {}
            return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False} | known

        def batch(self, repository: Repository, content: Any) -> None:
            objects = []
            for each in content["objects"]:
                upload = {"actions": {"upload": {"href": f"{hub.url}/large/{each['oid']}"}}}
                objects.append(each | ({} if each["oid"] in hub.large else upload))
            hub.ungated_uploads += not repository.gated
            self.answer({"transfer": "basic", "objects": objects})

        def large(self, digest: str, data: bytes) -> None:
            with hub.one_at_a_time:  # the client sends several at once
                refused = hub.refuse_after is not None and len(hub.uploads) >= hub.refuse_after
                right = hashlib.sha256(data).hexdigest() == digest
                if right and not refused:
                    hub.uploads.append(digest)
                    hub.large[digest] = data
            self.answer({}, 403 if refused else 200 if right else 422)

        def commit(self, name: str, repository: Repository, revision: str, body: bytes) -> None:
            lines = [json.loads(line) for line in body.splitlines()]
            parent = lines[0]["value"].get("parentCommit")
            if parent is not None and parent != repository.sha(revision):
                return self.answer({"error": "the branch has moved"}, 412)
            files = dict(repository.branches[revision])
            for line in lines[1:]:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    if value["oid"] not in hub.large:
                        return self.answer({"error": "never uploaded"}, 422)
                    files[value["path"]] = value["oid"]
                else:
                    del files[value["path"]]
            repository.branches[revision] = files
            repository.heads[revision] += 1
            repository.commits.append((revision, len(lines) - 1))
            url = f"{hub.url}/datasets/{name}/commit/{repository.sha(revision)}"
            return self.answer({"success": True, "commitOid": repository.sha(revision), "commitUrl": url})

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve  # noqa: N815

    return Handler


def entry(path: str, held: bytes | str) -> dict[str, Any]:
    """A file as the Hub lists it."""
    if isinstance(held, str):
        lfs = {"oid": held, "size": 1, "pointerSize": 134}
        return {"type": "file", "path": path, "size": 1, "oid": hashlib.sha1(held.encode()).hexdigest(), "lfs": lfs}
    blob = hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()
    return {"type": "file", "path": path, "size": len(held), "oid": blob}


@contextmanager
def serving():
    """Serve an empty Hub."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
