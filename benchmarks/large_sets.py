"""What a run over a large set costs beside the model: memory, files, starting again.

18 methods and two curves of 225 points on small photographs; the maps and scores are
random numbers that cost nothing, all else is what ``jaxattr evaluate`` does. Peak memory
at 1,000 and at 12,000 photographs, files and bytes, the seconds in which a finished run of
4,000 is begun and ended again, and the bootstrap of 50,000 images by 36 columns.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import report

NUM_METHODS, NUM_STEPS = 18, 224


def draw(folder, count):
    """``count`` photographs of 20 x 20 pixels, of four classes in turn."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.png")
    names = (f"{i:06d}.png,{i % 4}" for i in range(count))
    (folder / "labels.csv").write_text("\n".join(["file,class", *names]))


def run(folder, out):
    """In a process of its own: ``evaluate`` with scores that cost nothing."""
    begin = time.perf_counter()
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
    import jax
    import tiny_classifier

    from jaxattr.evaluation import Curve, evaluate
    from jaxattr.evaluation.evaluate import measure

    rng = np.random.default_rng(1)

    def scores(job, model, method, options, batch, metrics, explain):
        size = len(batch.images)
        found = {"maps.seconds": 0.1}
        found |= {f"maps.{flag}": np.ones(size, bool) for flag in ("finite", "nonzero")}
        for column in metrics:
            found[f"{column}.curve"] = rng.random((size, NUM_STEPS + 1), np.float32)
            found[f"{column}.score"] = found[f"{column}.curve"].mean(1)
            found[f"{column}.shown"] = np.full(size, 0.5, np.float32)
        return found

    measure._scores = scores
    methods = {f"m{i}": ("smoothgrad", {"num_samples": i + 1}) for i in range(18)}
    metrics = [Curve("insertion"), Curve("deletion")]
    model = tiny_classifier.tiny_classifier()
    before = time.perf_counter() - begin
    evaluate(model, methods, metrics, folder, key=jax.random.key(0), out=out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - begin
    print(json.dumps({"peak": peak, "seconds": seconds, "before": before}))


def child(folder, out):
    command = [sys.executable, "-m", "benchmarks.large_sets", "--run", folder, out]
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def bootstrap(num_images, num_columns):
    """Seconds and peak memory of the intervals of a summary."""
    code = (
        "import time, resource, numpy as np\n"
        "from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval\n"
        f"values = np.random.default_rng(0).random(({num_columns}, {num_images}))\n"
        "begin = time.perf_counter()\n"
        "means = bootstrap_means(values)\n"
        "for column in means.T: interval(column)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(time.perf_counter() - begin, peak)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "OUT"))
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 4000, 12000])
    arguments = parser.parse_args()
    if arguments.run:
        run(*arguments.run)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.counts:
            photographs = pathlib.Path(folder) / str(count)
            out = pathlib.Path(folder) / f"out{count}"
            draw(photographs, count)
            first, again = child(photographs, out), child(photographs, out)
            parts = [*(out / "parts").glob("*.npz")]
            size = sum(part.stat().st_size for part in parts) / 2**20
            rows.append(
                [
                    *(f"{count:,}", f"{first['peak']:.0f}", f"{first['seconds']:.1f}"),
                    f"{again['seconds'] - again['before']:.1f}",
                    f"{again['before']:.1f}",
                    *(f"{again['peak']:.0f}", str(len(parts)), f"{size:.0f}"),
                ]
            )
            print(rows[-1], flush=True)
    header = ["photographs", "peak, MB", "s", "again, s", "imports, model, s"]
    header += ["again, peak", "files", "MB of files"]
    seconds, peak = bootstrap(50_000, 36)
    report.write(
        "large_sets",
        "Large sets",
        [
            ("18 methods, two curves", report.markdown(header, rows)),
            ("", f"Bootstrap of 50,000 x 36: {seconds:.1f} s, peak {peak:.0f} MB."),
        ],
        0,
    )


if __name__ == "__main__":
    main()
