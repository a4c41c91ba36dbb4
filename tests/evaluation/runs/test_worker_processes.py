import functools
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import worker_reads
from quick import quick
from tiny_classifier import tiny_classifier

from jaxattr import cli
from jaxattr.evaluation import evaluate
from jaxattr.evaluation.evaluate.metrics import Curve
from jaxattr.evaluation.runs import worker_processes
from jaxattr.evaluation.runs.read_ahead import read_ahead


def test_items_are_read_in_other_processes_and_in_order():
    groups = [[0, 1, 2], [3], [4, 5]]
    found = list(read_ahead(worker_reads.negative, groups, workers="processes:2"))
    assert str(found[1][0]) == "image 3: damaged"
    kept = [found[0], found[2]]
    assert [[x for _, x in group] for group in kept] == [[0, -1, -2], [-4, -5]]
    assert os.getpid() not in {pid for group in kept for pid, _ in group}


@pytest.mark.parametrize("deaths", quick([1, worker_processes.MOST_DEATHS], 1))
def test_what_dead_workers_were_reading_is_read_again(tmp_path, deaths):
    read = functools.partial(worker_reads.die_at, str(tmp_path), deaths)
    found = list(read_ahead(read, [[i] for i in range(6)], workers="processes:2"))
    assert found == [[-i] for i in range(6)]
    assert len(list(tmp_path.iterdir())) == deaths


@pytest.mark.slow
def test_workers_that_die_again_and_again_are_an_error(tmp_path):
    read = functools.partial(worker_reads.die_at, str(tmp_path), 100)
    found = read_ahead(read, [[i] for i in range(6)], workers="processes:1")
    with pytest.raises(ChildProcessError, match="workers: 4 of the processes"):
        list(found)


def test_what_cannot_be_sent_to_a_process():
    with pytest.raises(ValueError, match="workers: .*in a module.* workers=2"):
        next(read_ahead(lambda item: item, [[1]], workers="processes:2"))


@pytest.mark.parametrize(
    "given", ["processes:0", "processes", "threads:2", "-1", "2.5"]
)
def test_other_texts(given):
    with pytest.raises(ValueError, match="workers: expected a number of threads, or"):
        next(read_ahead(str, [[1]], workers=given))


def test_other_texts_on_the_command_line(capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(["evaluate", "photographs", "--workers", "processes:x"])
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "argument --workers: expected a number of threads, or processes:N" in line


@pytest.mark.slow
def test_a_source_read_in_processes_is_scored_as_in_threads(tmp_path):
    images = np.random.default_rng(0).random((5, 16, 16, 3), np.float32)
    who = tmp_path / "who"
    who.mkdir()
    score = functools.partial(
        evaluate,
        {"tiny": tiny_classifier()},
        "saliency",
        images=worker_reads.Numbers(images, str(who)),
        key=jax.random.key(0),
        metrics=Curve(num_steps=4),
    )
    own = lambda: {path.name.split()[1] for path in who.glob(f"{os.getpid()} *")}
    threads = score()
    assert own() == set("01234")
    for path in who.iterdir():
        path.unlink()
    processes = score(workers="processes:2")
    # The first is read here, too: the model is asked how many classes it has.
    assert own() == {"0"}
    assert {path.name.split()[1] for path in who.iterdir()} == set("01234")
    np.testing.assert_array_equal(
        processes.scores("tiny", "saliency"), threads.scores("tiny", "saliency")
    )


def test_workers_end_with_the_process_that_was_killed(tmp_path):
    script = tmp_path / "read.py"
    script.write_text(
        "import os, time\n"
        "from jaxattr.evaluation.runs.read_ahead import read_ahead\n"
        "import worker_reads\n"
        "if __name__ == '__main__':\n"
        "    found = read_ahead(worker_reads.negative, [[0], [1]], workers='processes:1')\n"
        "    print(next(found)[0][0], flush=True)\n"
        "    time.sleep(60)\n"
    )
    tests = os.path.dirname(worker_reads.__file__)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": tests},
    )
    with parent:
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("it lives on")
