"""Weights from a hub: a server on the loopback interface that serves a file tree."""

import errno
import functools
import hashlib
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import goldens
import jax
import numpy as np
import pytest

import jaxattr as ja
from jaxattr import cli
from jaxattr.checkpoints import hub
from jaxattr.checkpoints.locations import Hub
from jaxattr.models import vit
from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Config, skeleton
from jaxattr.models.convert import expected_shapes
from jaxattr.models.entries import Entry, imagenet_source

utils = pytest.importorskip("huggingface_hub.utils")
constants = pytest.importorskip("huggingface_hub.constants")
safetensors = pytest.importorskip("safetensors.numpy")

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
LOCATION = Hub("timm/tiny.test_in1k", top_1=1.0, megabytes=0.3)
SHAPE = vit.Shape(4, 32, 2, 2, 128, image=16)
TINY = Entry(
    functools.partial(vit.ViT, SHAPE),
    {"timm": imagenet_source(functools.partial(vit.timm_rules, SHAPE), LOCATION)},
)
OPTIONS = {"num_classes": 5, "preprocessing": "crop"}


class Server(http.server.ThreadingHTTPServer):
    """A tree of ``owner/repository/revision/file``, and what is to go wrong."""

    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.requests = root, []
        self.break_after, self.wrong_checksum, self.ranges = None, False, True

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def path(self, revision="main"):
        return self.root / LOCATION.repository / revision / LOCATION.file

    def spans(self):
        """The ``Range`` of every download that was begun."""
        return [
            span
            for command, path, span in self.requests
            if command == "GET" and path.endswith(LOCATION.file)
        ]

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
        folder = self.server.root.joinpath(*parts[:2])
        if not folder.is_dir():
            return self.refuse("RepoNotFound")
        if revision is None or not (folder / revision).is_dir():
            return self.refuse("RevisionNotFound")
        content = folder.joinpath(revision, *parts[4:]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if self.server.wrong_checksum:
            digest = "0" * 64
        asked = self.headers["Range"] if self.server.ranges else None
        start = int((asked or "bytes=0-")[6:].rstrip("-"))
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


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A small network's weights, drawn, in two revisions."""
    MODELS["tiny"] = TINY
    root = tmp_path_factory.mktemp("tree")
    config = Config("tiny", "timm", 5, None, None, "symmetric", "crop")
    shapes = expected_shapes(config.weights.rules(), skeleton(config)[1])
    shapes = {name: max(s, key=len) for name, s in shapes.items()}
    for i, revision in enumerate(COMMITS):
        tensors = {n: t + np.float32(i) for n, t in goldens.checkpoint(shapes).items()}
        file = root / LOCATION.repository / revision / LOCATION.file
        file.parent.mkdir(parents=True)
        safetensors.save_file(tensors, file)
    yield root
    del MODELS["tiny"]


@pytest.fixture
def server(monkeypatch, tree, tmp_path):
    server = Server(tree)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    point_to(monkeypatch, server.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def blobs(tmp_path):
    """What there is of contents, by the ends of their names."""
    return [path.suffix for path in (tmp_path / "hub").glob("models--*/blobs/*")]


def test_the_hub_gives_what_the_file_gives(server):
    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
    expected = ja.models.load("tiny", server.path(), **OPTIONS)(images)
    model = ja.models.load("tiny", **OPTIONS)
    np.testing.assert_array_equal(model(images), expected)
    count = len(server.requests)
    ja.models.load("tiny", **OPTIONS)
    assert len(server.requests) == count, "what is there is not asked for"


def test_fetched_once(server, monkeypatch, tmp_path):
    assert hub.cached(LOCATION) is None
    path = ja.models.fetch("tiny")
    assert path.read_bytes() == server.path().read_bytes()
    assert hub.cached(LOCATION) == path
    assert ja.models.fetch("tiny") == path
    assert server.spans() == [None]
    assert blobs(tmp_path) == [""]
    point_to(monkeypatch, "http://127.0.0.1:9")
    assert ja.models.fetch("tiny") == path, "what is there needs no network"


def test_revisions(server):
    path = ja.models.fetch("tiny", revision="v2")
    assert path.read_bytes() == server.path("v2").read_bytes()
    assert hub.cached(LOCATION, revision="v2") == path
    assert hub.cached(LOCATION) is None
    with pytest.raises(ValueError, match=r"tiny cannot be downloaded.*\(timm/tiny"):
        ja.models.fetch("tiny", revision="v3")


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.wrong_checksum = True
    with pytest.raises(ValueError, match=r"SHA-256 .*the hub says 0000.*removed"):
        ja.models.fetch("tiny")
    assert hub.cached(LOCATION) is None
    assert blobs(tmp_path) == []
    server.wrong_checksum = False
    assert ja.models.fetch("tiny").read_bytes() == server.path().read_bytes()


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.break_after = 25_000
    assert ja.models.fetch("tiny").read_bytes() == server.path().read_bytes()
    assert server.spans()[:3] == [None, "bytes=25000-", "bytes=50000-"]
    assert blobs(tmp_path) == [""]


def test_a_later_download_goes_on_where_an_earlier_one_stopped(server, tmp_path, capfd):
    server.break_after = 5_000
    message = r"cannot be downloaded.*25000 of \d+ bytes have arrived and are kept"
    with pytest.raises(ValueError, match=message) as error:
        ja.models.fetch("tiny")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", ""), "nobody else has anything to say"
    assert hub.cached(LOCATION) is None
    assert blobs(tmp_path) == [".partial"]
    begun, server.break_after = len(server.spans()), None
    assert ja.models.fetch("tiny").read_bytes() == server.path().read_bytes()
    assert server.spans()[begun:] == ["bytes=25000-"]
    assert blobs(tmp_path) == [""]


def test_a_server_that_knows_no_ranges_starts_again(server, tmp_path):
    server.break_after = 5_000
    with pytest.raises(ValueError, match="cannot be downloaded"):
        ja.models.fetch("tiny")
    server.break_after, server.ranges = None, False
    assert ja.models.fetch("tiny").read_bytes() == server.path().read_bytes()


def test_no_network_is_one_line_that_says_what_to_do(server, monkeypatch, capfd):
    point_to(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        ja.models.load("resnet50")
    message = str(error.value)
    assert "\n" not in message
    assert "timm/resnet50.tv_in1k, model.safetensors" in message
    assert "load('resnet50', 'model.safetensors')" in message
    assert "--weights model.safetensors" in message
    assert cli.main(["models", "fetch", "resnet50"]) == 2
    assert capfd.readouterr().err == f"jaxattr: error: {message}\n"


def test_a_repository_that_is_not_there(server):
    with pytest.raises(
        ValueError, match=r"resnet50 cannot be downloaded.*timm/resnet50"
    ):
        ja.models.fetch("resnet50")


def test_no_space(server, monkeypatch, tmp_path, capfd):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        ValueError, match=r"cannot be downloaded.*No space left.*MB free"
    ):
        ja.models.fetch("tiny")
    assert server.spans() == [], "nothing is begun"
    assert blobs(tmp_path) == []
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_fills_up_keeps_nothing(server, monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    server.break_after = 5_000
    with pytest.raises(ValueError, match="cannot be downloaded"):
        ja.models.fetch("tiny")
    assert blobs(tmp_path) == [".partial"]
    monkeypatch.setattr(utils.tqdm, "update", full)
    with pytest.raises(ValueError, match="cannot be downloaded.*No space left"):
        ja.models.fetch("tiny")
    assert blobs(tmp_path) == []


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
        "from jaxattr.checkpoints import locations\n"
        "from jaxattr.models import catalog, entries\n"
        f"hub = locations.Hub({LOCATION.repository!r}, 1.0, 0.3)\n"
        "source = entries.imagenet_source(list, hub)\n"
        "catalog.MODELS['tiny'] = entries.Entry(None, {'a': source})\n"
        "sys.exit(cli.main(['models', 'fetch', 'tiny', '--revision', 'v2']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    path = pathlib.Path(done.stdout.strip())
    assert path.is_relative_to(tmp_path / "home")
    assert path.read_bytes() == server.path("v2").read_bytes()
