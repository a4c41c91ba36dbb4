"""How long a whole evaluation takes, and how many files it is, on 1 to 256 devices.

Nothing is computed but the plan. Hosts work through their chunks of images one after the
other: a chunk is decoded by threads, ahead of the devices by at most two, then explained
by 18 methods and scored on the devices of the host, then kept, a file a method. A device
that is taken away every so often loses what was not kept, and its host starts and compiles
again. Rates are options; by default they are measured ones.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from typing import NamedTuple

import numpy as np

from benchmarks import report

# Passes an image of default options: input gradients, and forward passes beside them.
PASSES = {
    "saliency": (1, 0),
    "input_x_gradient": (1, 0),
    "smoothgrad": (50, 0),
    "integrated_gradients": (50, 0),
    "expected_gradients": (50, 0),
    "grad_cam": (1, 0),
    "lrp": (1, 0),
    "deeplift": (2, 0),
    "guided_backprop": (1, 0),
    "excitation_backprop": (1, 0),
    "guided_ig": (15, 0),
    "mfaba": (50, 50),
    "agi": (800, 400),
    "attexplore": (200, 0),
    "attexplore_pp": (200, 0),
    "fampe": (200, 0),
    # Their search as the commands run it: deepfool, ddn and fab.
    "bsm": (251, 224),
    "big": (301, 224),
}
NUM_CURVES, CURVE_STEPS = 2, 224


class Rates(NamedTuple):
    """What was measured, or is assumed."""

    gradients: float
    """Input gradients a second and device."""
    forward: float
    """Forward passes a second and device."""
    decode: float
    """Photographs a second and core."""
    cores: int
    """Of a host, for decoding."""
    devices_a_host: int
    compile: float
    """Seconds for all programs of a method and its curves."""
    start: float
    """Seconds of a process before it works."""
    file: float
    """Seconds for one file of results, to the disk."""
    efficiency: float
    """Of the bare passes, what a method reaches."""


class Job(NamedTuple):
    """What is asked for."""

    images: int
    chunk: int
    loss_hours: float
    """A host is taken away every so many hours; 0 for never."""


def device_seconds(rates: Rates) -> float:
    """For one image, all methods and their curves."""
    gradients = sum(g for g, _ in PASSES.values())
    forward = sum(f for _, f in PASSES.values())
    forward += len(PASSES) * NUM_CURVES * (CURVE_STEPS + 1)
    bare = gradients / rates.gradients + forward / rates.forward
    return bare / rates.efficiency


def simulate(job: Job, rates: Rates, num_devices: int) -> tuple[float, float]:
    """Hours until the last host is done, and the share of them that devices work."""
    num_hosts = -(-num_devices // rates.devices_a_host)
    on_host = min(num_devices, rates.devices_a_host)
    num_chunks = -(-job.images // job.chunk)
    chunks = -(-num_chunks // num_hosts)  # of the host that has most
    decode = job.chunk / (rates.decode * rates.cores)
    explain = job.chunk * device_seconds(rates) / on_host
    keep = (len(PASSES) + 1) * rates.file
    begin = rates.start + len(PASSES) * rates.compile
    now = begin
    decoded = rates.start + decode
    since = 0.0
    for _ in range(chunks):
        start = max(now, decoded)
        # Decoding of the next but one begins when a place for it is free.
        decoded = max(decoded, start - explain) + decode
        now = start + explain + keep
        since += now - start
        if job.loss_hours and since > 3600 * job.loss_hours:
            # Half a chunk, what a call of one method was at, and the start are lost.
            now += begin + explain / len(PASSES) / 2
            since = 0.0
    worked = chunks * explain
    return now / 3600, worked / now


def measured_part(chunk: int) -> tuple[int, float]:
    """Bytes and seconds of a file of results of one method: scores and curves."""
    rng = np.random.default_rng(0)
    fields = {"place": np.arange(chunk), "image": np.zeros(chunk, "S16")}
    for i in range(NUM_CURVES):
        curve = rng.random((chunk, CURVE_STEPS + 1)).astype(np.float16)
        scores = rng.random((2, chunk)).astype(np.float32)
        fields |= {
            f"{i}.curve": curve,
            f"{i}.score": scores[0],
            f"{i}.shown": scores[1],
        }
    for flag in ("finite", "nonzero"):
        fields[f"maps.{flag}"] = np.ones(chunk, bool)
    buffer = io.BytesIO()
    np.savez(buffer, **fields)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(20):
            begin = time.perf_counter()
            with open(f"{folder}/{i}.npz", "wb") as file:
                np.savez(file, **fields)
                file.flush()
            seconds.append(time.perf_counter() - begin)
    return len(buffer.getvalue()), float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--gradients", type=float, default=7119.6, help="a second and device")
    add("--forward", type=float, default=18672.0, help="a second and device")
    add("--efficiency", type=float, default=0.9, help="of the bare passes")
    add("--decode", type=float, default=128.0, help="photographs a second and core")
    add("--cores", type=int, default=16, help="of a host, for decoding")
    add("--devices-a-host", type=int, default=8)
    add("--compile", type=float, default=15.0, help="seconds a method with its curves")
    add("--start", type=float, default=20.0, help="seconds before a process works")
    add("--sync", type=float, default=0.05, help="seconds to sync a file to the store")
    add("--chunk", type=int, default=256, help="images a file")
    add("--loss-hours", type=float, default=6.0, help="between two losses of a host")
    asked = parser.parse_args()
    size, seconds = measured_part(asked.chunk)
    rates = Rates(
        asked.gradients,
        asked.forward,
        asked.decode,
        asked.cores,
        asked.devices_a_host,
        asked.compile,
        asked.start,
        seconds + asked.sync,
        asked.efficiency,
    )
    rows, files = [], []
    for images in (50_000, 1_300_000):
        for devices in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            steady = simulate(Job(images, asked.chunk, 0.0), rates, devices)
            lossy = simulate(Job(images, asked.chunk, asked.loss_hours), rates, devices)
            rows.append(
                [
                    *(images, devices, f"{steady[0]:.2f}", f"{100 * steady[1]:.0f}"),
                    f"{lossy[0]:.2f}",
                ]
            )
        num_files = -(-images // asked.chunk) * (len(PASSES) + 1)
        gigabytes = num_files * size / 1e9
        files.append([images, num_files, f"{size / 1e3:.0f}", f"{gigabytes:.2f}"])
    gradients = sum(g for g, _ in PASSES.values())
    forward = sum(f for _, f in PASSES.values())
    curves = len(PASSES) * NUM_CURVES * (CURVE_STEPS + 1)
    one = device_seconds(rates)
    of_decoding = 1 / (rates.decode * rates.cores)
    assumed = [
        f"- {len(PASSES)} methods of default options, {gradients:,} input gradients and "
        f"{forward:,} forward passes an image; insertion and deletion in {CURVE_STEPS} "
        f"steps, {curves:,} forward passes: together {one:.2f} s an image and device",
        f"- a device: {rates.gradients:,.0f} gradients or {rates.forward:,.0f} forward "
        "passes a second (by default ResNet-50, bfloat16, batch 128 on an H200, of "
        f"zoo-gpu.md), of which methods reach {rates.efficiency:g}",
        f"- a host: {rates.devices_a_host} devices, {rates.cores} cores that decode "
        f"{rates.decode:g} photographs a second each (256 a second were measured on two): "
        f"{of_decoding * 1e3:.2f} ms an image, so decoding keeps up with "
        f"{one / of_decoding:,.0f} devices a host",
        f"- starting {rates.start:g} s, compiling {rates.compile:g} s a method; a file "
        f"of results {rates.file * 1e3:.0f} ms, {asked.sync * 1e3:.0f} of which are an "
        "assumption about the store",
        f"- losses: every host is taken away each {asked.loss_hours:g} hours, loses half "
        "a batch and starts and compiles again; without kept programs",
        "- hosts do not wait for each other; what `jaxattr merge` takes is not counted",
    ]
    report.write(
        "simulate_pod",
        "A simulation: a whole evaluation on 1 to 256 devices",
        [
            ("Assumed and measured", "\n".join(assumed)),
            (
                "Hours",
                report.markdown(
                    ["images", "devices", "hours", "devices busy %", "with losses"],
                    rows,
                ),
            ),
            (
                "Files",
                report.markdown(["images", "files", "kB a file", "GB in all"], files),
            ),
        ],
        0,
    )


if __name__ == "__main__":
    main()
