"""Photographs and results in stores that are reached by a URL."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from jaxattr import _locations, cli

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath")

SMALL = ("--model", "tiny", "--method", "saliency", "--curve-steps", "4", "--quiet")


def run(folder, out, *words):
    return cli.main(["evaluate", str(folder), "--out", str(out), *SMALL, *words])


def put(store, labelled, url):
    for path in labelled.iterdir():
        store.pipe_file(f"{url}/{path.name}", path.read_bytes())


@pytest.fixture
def memory():
    store = fsspec.filesystem("memory")
    yield store
    store.rm("/", recursive=True)


@pytest.mark.slow
def test_a_store_is_as_good_as_a_folder(
    memory, tiny_zoo, mock_scores, labelled, tmp_path, capsys, request
):
    put(memory, labelled, "memory://photographs")
    given, out = "memory://photographs", "memory://results/first"
    assert run(labelled, tmp_path / "out") == 0
    mock_scores.clear()
    assert run(given, out) == 0
    files = memory.find("/results/first")
    assert not [f for f in files if f.endswith(".partial")]
    assert {f.removeprefix("/results/first/").split("/")[0] for f in files} == {
        p.name for p in (tmp_path / "out").iterdir()
    }
    for name in ("images.csv", "summary.csv"):
        expected = (tmp_path / "out" / name).read_bytes()
        assert memory.cat_file(f"/results/first/{name}") == expected
    request.getfixturevalue("no_figures")
    # Started again it computes nothing, and shares of another folder are merged.
    assert mock_scores
    mock_scores.clear()
    assert run(given, out) == 0
    assert not mock_scores
    for shard in ("0/2", "1/2"):
        assert run(given, "memory://results/shares", "--shard", shard) == 0
    assert cli.main(["merge", "memory://results/shares", "--quiet"]) == 0
    one, other = (f"/results/{f}/images.csv" for f in ("first", "shares"))
    assert memory.cat_file(one) == memory.cat_file(other)


def test_an_object_is_whole_or_not_there(memory):
    from jaxattr.evaluation.runs.files import atomic_write, create

    with pytest.raises(KeyError), atomic_write("memory://results/part") as file:
        file.write(b"half")
        raise KeyError
    assert not memory.exists("/results/part")
    assert create("memory://results/one", b"first")
    assert not create("memory://results/one", b"second")
    assert memory.cat_file("/results/one") == b"first"


@pytest.mark.parametrize(
    ("folder", "out", "message"),
    [
        ("memory://nowhere", "here", "memory://nowhere: expected a folder"),
        ("unknown://a/b", "here", "unknown://a/b: "),
        (None, "unknown://a/b", "unknown://a/b: "),
    ],
)
def test_bad_input(tiny_zoo, labelled, capsys, folder, out, message, tmp_path):
    given = folder or labelled
    assert run(given, tmp_path / out if out == "here" else out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_store_that_does_not_answer_is_no_folder_that_is_missing(
    memory, tiny_zoo, labelled, tmp_path, monkeypatch, capsys
):
    def refuse(*_, **__):
        raise ConnectionRefusedError(111, "connection refused")

    put(memory, labelled, "memory://photographs")
    _locations._ask.cache_clear()
    for name in ("info", "exists", "pipe_file"):
        monkeypatch.setattr(type(memory), name, refuse)
    assert run("memory://photographs", tmp_path / "out") == 2
    assert run(labelled, "memory://results") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "jaxattr: error: memory://photographs: connection refused"
    assert second.startswith("jaxattr: error: memory://results")
    assert second.endswith("connection refused")


def test_explanations_are_written_to_folders_only(tiny_zoo, labelled, capsys):
    path = str(labelled / "0.png")
    assert cli.main(["explain", path, "--out", "memory://a", "--model", "tiny"]) == 2
    assert "memory://a: expected a folder of this machine" in capsys.readouterr().err


@pytest.mark.slow  # a server in a process of its own
def test_a_real_s3_server(
    tiny_zoo, mock_scores, labelled, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    if not shutil.which("moto_server", path=os.path.dirname(sys.executable)):
        pytest.skip("moto has no server here")
    port, url = 5055, "http://127.0.0.1:5055"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(command, stdout=-3, stderr=-3) as server:
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(url).close()
                    break
                except OSError:
                    time.sleep(0.2)
            store = s3fs.S3FileSystem()
            store.mkdir("bucket")
            put(store, labelled, "s3://bucket/photographs")
            assert run(labelled, tmp_path / "out") == 0
            given, out = "s3://bucket/photographs", "s3://bucket/results"
            assert run(given, out) == 0
            mock_scores.clear()
            assert run(given, out) == 0
            assert not mock_scores
            expected = (tmp_path / "out/images.csv").read_bytes()
            store.invalidate_cache()
            assert store.cat_file("bucket/results/images.csv") == expected
            capsys.readouterr()
            assert run("s3://none/photographs", tmp_path / "b") == 2
            assert run(labelled, "s3://none/results") == 2
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 2
            assert all(line.startswith("jaxattr: error: s3://none/") for line in lines)
            # Without credentials: others than those of clients that are connected.
            s3fs.S3FileSystem.clear_instance_cache()
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                monkeypatch.delenv(name)
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
            assert run(given, tmp_path / "c") == 2
            assert run(labelled, out) == 2
            # In the middle of a run a client says it without the path.
            _locations._ask.cache_clear()
            assert run(labelled, out) == 2
            lines = capsys.readouterr().err.splitlines()
            assert [" credentials" in line for line in lines] == [True] * 3
            assert ["s3://bucket/" in line for line in lines] == [True, False, True]
        finally:
            server.terminate()
