"""Summaries of many shards as commands: rates, processes, the cache, memory, the page.

Rates are of shards as a recorder leaves them: six layers of eight heads, gzip-1 by head, of a model
trained on real chains. The floor is a process that reads the same bytes with h5py and does nothing
with them. Times are of whole commands, start of Python included. Those of one size are taken in
turns, so that their ratios hold on a machine that is busy with other things too: `extra_info` has
the best of each, and ratios of processor times, in which other processes count less.

What two processes can save at most is what the machine gives to two that have nothing to do with
each other: two commands side by side, each with half of the shards and one process.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import assembly
import bare
import h5py
import pytest

from igaviz import open_dump

ROOT = Path(__file__).parent.parent.parent
HEADS, MAPS = 8, 48
SHARDS = {128: 80, 256: 50, 512: 12}
DIFFERENT = 10
ROUNDS = 5
GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

FLOOR = """
import sys
from pathlib import Path
import h5py
def read(name, found):
    if name.rpartition("/")[2] in ("logits_before", "geo_bias", "attention"):
        for head in range(len(found)):
            found[head]
for path in sorted(Path(sys.argv[1]).glob("*.h5")):
    with h5py.File(path, locking=False) as file:
        file.visititems(read)
"""
SIDE_BY_SIDE = """
import subprocess, sys
from pathlib import Path
shards = sorted(Path(sys.argv[1]).glob("*.h5"))
words = [sys.executable, "-m", "igaviz", "summary", "--format", "csv", "--jobs", "1", "--no-cache"]
halves = [subprocess.Popen([*words, *shards[half::2]]) for half in (0, 1)]
sys.exit(max(half.wait() for half in halves))
"""
PEAK = """
import re, sys
from pathlib import Path
from igaviz import open_dump, summary_rows
print(sum(1 for _ in summary_rows(open_dump(sys.argv[1]))))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def store(folder: Path, shards: int, n: int, layers: int = 1) -> Path:
    """A run of `shards` files, eight heads a layer, stored with gzip-1 by head.

    Maps repeat after 10 of them, which nothing that reads a shard can make use of.
    """
    folder.mkdir()
    for step in range(min(shards, DIFFERENT)):
        plain = bare.write(folder / "plain", steps=(step,), layers=layers, heads=HEADS, n=n)
        with h5py.File(plain) as before, h5py.File(folder / f"{step:09d}.h5", "w") as after:
            after.attrs.update(before.attrs)

            def put(name, found, after=after):
                if isinstance(found, h5py.Group):
                    after.require_group(name).attrs.update(found.attrs)
                elif found.ndim == 3:
                    after.create_dataset(name, data=found[()], chunks=(1, n, n), **GZIP)
                else:
                    after[name] = found[()]

            before.visititems(put)
        plain.unlink()
    for step in range(DIFFERENT, shards):
        like = step % DIFFERENT
        move_step(shutil.copy(folder / f"{like:09d}.h5", folder / f"{step:09d}.h5"), like, step)
    time.sleep(2.1)  # what changed a moment ago is not kept
    return folder


def record(folder: Path, model: object, shards: int, n: int) -> Path:
    """A run of `shards` files as the recorder writes them: one item, six layers of eight heads.

    Of its noise there are ten kinds, which nothing that reads a shard can make use of.
    """
    folder.mkdir()
    for kind in range(min(shards, DIFFERENT)):
        (recorded,) = assembly.record(folder / f"{kind}", [n], model, step=kind, noise=kind).glob(
            "*.h5"
        )
        for step in range(kind, shards, DIFFERENT):
            move_step(shutil.copy(recorded, folder / f"{step:09d}.h5"), kind, step)
        shutil.rmtree(folder / f"{kind}")
    time.sleep(2.1)  # what changed a moment ago is not kept
    return folder


def move_step(shard: Path, before: int, after: int) -> None:
    """Make what `shard` holds of one step that of another, of the one run of a benchmark."""
    with h5py.File(shard, "r+") as file:
        file.attrs["run_id"] = "benchmark"
        if before != after:
            file.move(f"steps/{before:09d}", f"steps/{after:09d}")
        file[f"steps/{after:09d}"].attrs["step"] = after


def run(*words: object, **variables: object) -> str:
    """What a command of this Python prints, in an environment with these `variables`."""
    given = {name: str(value) for name, value in variables.items()}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **given}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Times(NamedTuple):
    """The best wall and processor time of a command, and how many processors it kept busy."""

    wall: float
    used: float
    busy: float


def in_turns(ways: dict[str, tuple[object, ...]], cache: Path) -> dict[str, Times]:
    """The times of each of some commands, run in turns; of `busy` the median."""
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, words in ways.items():
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            run(*words, XDG_CACHE_HOME=cache)
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times[way].append((wall, used))
    return {
        way: Times(
            min(wall for wall, _ in found),
            min(used for _, used in found),
            median(used / wall for wall, used in found),
        )
        for way, found in times.items()
    }


@pytest.fixture(scope="module")
def model():
    return assembly.model_after(60)


@pytest.mark.parametrize("n", SHARDS)
def test_shards_from_disk(benchmark, tmp_path, model, n):
    folder = record(tmp_path / str(n), model, SHARDS[n], n)
    summary = ("-m", "igaviz", "summary", folder, "--format", "csv", "--jobs")
    ways = {
        "floor": ("-c", FLOOR, folder),
        "one process": (*summary, 1, "--no-cache"),
        "two processes": (*summary, 2, "--no-cache"),
        "two commands": ("-c", SIDE_BY_SIDE, folder),
        "cached": (*summary, 1),
    }
    run(*ways["cached"], XDG_CACHE_HOME=tmp_path)
    found = benchmark.pedantic(lambda: in_turns(ways, tmp_path), rounds=1)
    names = ("floor", "one process", "two processes", "two commands")
    floor, one, two, side_by_side = (found[way] for way in names)
    said = {way: f"{times.wall:.2f} s" for way, times in found.items()}
    said["one by floor"] = round(one.wall / floor.wall, 2)
    said["one by floor, of processors"] = round(one.used / floor.used, 2)
    said["one by two"] = round(one.wall / two.wall, 2)
    said["two commands by two processes"] = round(side_by_side.wall / two.wall, 2)
    said["one by two, of processors"] = round(one.used / two.used, 2)
    said["busy with two"] = round(two.busy, 2)
    assert sum(len(entry.heads) for entry in open_dump(folder).entries) == SHARDS[n] * MAPS
    said["maps"] = SHARDS[n] * MAPS
    said["maps per second"] = round(SHARDS[n] * MAPS / one.wall)
    benchmark.extra_info.update(said)


def test_thousand_shards_from_the_cache(benchmark, tmp_path):
    """48,000 maps that were measured before: opened, judged, and printed as rows."""
    folder = store(tmp_path / "run", 1000, 20, layers=6)
    words = ("-m", "igaviz", "summary", folder, "--format", "csv")
    run(*words, XDG_CACHE_HOME=tmp_path)
    cached = {"cached": (*words, "--jobs", 1)}
    (found,) = benchmark.pedantic(lambda: in_turns(cached, tmp_path), rounds=1).values()
    benchmark.extra_info.update({"best, s": found.wall, "of processors, s": found.used})


@pytest.mark.parametrize("shards", [10, 1000])
def test_memory(benchmark, tmp_path, shards):
    folder = store(tmp_path / "run", shards, 64)

    def peak():
        rows, kilobytes = run("-c", PEAK, folder).split()
        assert int(rows) == shards * HEADS
        return int(kilobytes) / 1024

    benchmark.extra_info["largest resident size, MB"] = round(benchmark.pedantic(peak, rounds=1))


RUNS, STEPS, LAYERS, PAGE_HEADS = 10, 200, 8, 16


@pytest.mark.parametrize("from_scalars", [False, True])
def test_page(benchmark, tmp_path, from_scalars):
    """The page of the sample runs, their figures drawn anew; that of ten long runs of numbers."""
    runs = [ROOT / "sample_data" / name for name in ("healthy", "gamma_too_small")]
    if from_scalars:
        runs = [_numbers_alone(tmp_path / f"run{number}", runs[0]) for number in range(RUNS)]
    words = ("-m", "igaviz", "summary", *runs, "--no-cache", "--force", "--html")
    said = benchmark.pedantic(lambda: run(*words, tmp_path / "page.html"), rounds=1)
    assert re.search("page.html", said)
    size = (tmp_path / "page.html").stat().st_size
    benchmark.extra_info["size, MB"] = round(size / 1e6, 1)


def _numbers_alone(folder: Path, like: Path) -> Path:
    """A run of 200 steps, 8 layers and 16 heads in a scalars file."""
    folder.mkdir()
    (first, *_) = (like / "scalars.rank-00000.jsonl").read_text().splitlines()
    line = json.loads(first)
    line = {name: 2 * held if isinstance(held, list) else held for name, held in line.items()}
    line["heads"] = list(range(PAGE_HEADS))
    with (folder / "scalars.rank-00000.jsonl").open("w") as file:
        for step in range(STEPS):
            for layer in range(LAYERS):
                print(json.dumps({**line, "step": 100 * step, "layer": layer}), file=file)
    return folder
