"""Weights from a hub: a server on the loopback interface that serves a file tree."""

import hashlib
import http.server
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

import jaxattr as ja
from jaxattr.models import hub
from jaxattr.models.model import Hub

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
CONTENT = {
    "main": np.random.default_rng(0).bytes(300_000),
    "v2": np.random.default_rng(1).bytes(300_000),
}
LOCATION = Hub("timm/tiny.test_in1k", top_1=1.0, megabytes=0.3)


class Server(http.server.ThreadingHTTPServer):
    """One repository, and what is to go wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.break_after, self.wrong_checksum = [], None, False

    def handle_error(self, request, client_address):
        """Broken connections are meant."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.respond(with_body=False)

    def do_GET(self):
        self.respond(with_body=True)

    def respond(self, with_body):
        self.server.requests.append((self.command, self.path, self.headers["Range"]))
        parts = self.path.partition("?")[0].strip("/").split("/")
        by_commit = {commit: name for name, commit in COMMITS.items()}
        revision = parts[3] if len(parts) == 5 and parts[2] == "resolve" else None
        revision = by_commit.get(revision, revision)
        if "/".join(parts[:2]) != LOCATION.repository or parts[4:] != [LOCATION.file]:
            return self.refuse("RepoNotFound")
        if revision not in COMMITS:
            return self.refuse("RevisionNotFound")
        content = CONTENT[revision]
        digest = hashlib.sha256(content).hexdigest()
        if self.server.wrong_checksum:
            digest = "0" * 64
        start = int((self.headers["Range"] or "bytes=0-")[6:].rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMITS[revision])
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        if with_body:
            end = self.server.break_after
            self.wfile.write(content[start : start + end if end else None])
            if end:
                self.close_connection = True
                self.connection.close()

    def refuse(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def point_to(monkeypatch, address):
    """What HF_ENDPOINT does when the library is imported."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
    monkeypatch.setattr(constants, "ENDPOINT", address)


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    server.address = f"http://127.0.0.1:{server.server_port}"
    point_to(monkeypatch, server.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def partial_files(tmp_path):
    return list((tmp_path / "hub").rglob("*.incomplete"))


def test_fetched_once(server, monkeypatch):
    assert hub.cached(LOCATION) is None
    path = hub.fetch(LOCATION, "tiny")
    assert path.read_bytes() == CONTENT["main"]
    assert hub.cached(LOCATION) == path
    downloads = [r for r in server.requests if r[0] == "GET"]
    assert hub.fetch(LOCATION, "tiny") == path
    assert [r for r in server.requests if r[0] == "GET"] == downloads
    point_to(monkeypatch, "http://127.0.0.1:9")
    assert hub.fetch(LOCATION, "tiny") == path, "what is there needs no network"


def test_revisions(server):
    path = hub.fetch(LOCATION, "tiny", revision="v2")
    assert path.read_bytes() == CONTENT["v2"]
    assert hub.cached(LOCATION, revision="v2") == path
    assert hub.cached(LOCATION) is None
    with pytest.raises(ValueError, match=r"tiny cannot be downloaded.*\(timm/tiny"):
        hub.fetch(LOCATION, "tiny", revision="v3")


def test_a_wrong_checksum_leaves_nothing(server):
    server.wrong_checksum = True
    with pytest.raises(ValueError, match=r"SHA-256 .*the hub says 0000.*removed"):
        hub.fetch(LOCATION, "tiny")
    assert hub.cached(LOCATION) is None
    server.wrong_checksum = False
    assert hub.fetch(LOCATION, "tiny").read_bytes() == CONTENT["main"]


def test_a_broken_connection_is_resumed(server, tmp_path, monkeypatch):
    # It keeps whole chunks; its own retries wait for seconds.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.break_after = 25_000
    assert hub.fetch(LOCATION, "tiny").read_bytes() == CONTENT["main"]
    spans = [r[2] for r in server.requests if r[0] == "GET"]
    assert spans[:3] == [None, "bytes=20000-", "bytes=40000-"]
    assert not partial_files(tmp_path)


def test_a_connection_that_breaks_for_good(server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.break_after = 25_000
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        hub.fetch(LOCATION, "tiny")
    assert "\n" not in str(error.value)
    assert hub.cached(LOCATION) is None
    server.break_after = None
    assert hub.fetch(LOCATION, "tiny").read_bytes() == CONTENT["main"]


def test_no_network_is_one_line_that_says_what_to_do(server, monkeypatch):
    point_to(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        ja.models.load("resnet50")
    message = str(error.value)
    assert "\n" not in message
    assert "timm/resnet50.tv_in1k, model.safetensors" in message
    assert "load('resnet50', 'model.safetensors')" in message


def test_a_repository_that_is_not_there(server):
    with pytest.raises(
        ValueError, match=r"resnet50 cannot be downloaded.*timm/resnet50"
    ):
        ja.models.fetch("resnet50")


def test_no_space(server, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(ValueError, match="cannot be downloaded.*No space left"):
        hub.fetch(LOCATION, "tiny")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r'pip install "jaxattr\[hub\]"'):
        ja.models.load("resnet50")


@pytest.mark.slow
def test_on_the_command_line(server, tmp_path):
    """With the variables of the environment that the library documents."""
    environment = os.environ | {
        "HF_ENDPOINT": server.address,
        "HF_HOME": str(tmp_path / "home"),
    }
    code = (
        "import sys\n"
        "from jaxattr import cli\n"
        "from jaxattr.models import catalog, model, resnet\n"
        "import dataclasses\n"
        f"hub = model.Hub({LOCATION.repository!r}, 1.0, 0.3)\n"
        "source = resnet.MODELS['resnet18'].sources['torchvision']\n"
        "source = dataclasses.replace(source, location=hub)\n"
        "catalog.MODELS['tiny'] = model.Model(None, {'a': source})\n"
        "sys.exit(cli.main(['models', 'fetch', 'tiny', '--revision', 'v2']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    path = pathlib.Path(done.stdout.strip())
    assert path.is_relative_to(tmp_path / "home")
    assert path.read_bytes() == CONTENT["v2"]
