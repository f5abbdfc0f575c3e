"""Summaries of many shards as commands: rates, processes, the cache, memory, the page.

The floor is a process that reads the same bytes with h5py and does nothing with them. Times are of
whole commands, start of Python included; `extra_info` has the rates.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import bare
import h5py
import pytest

ROOT = Path(__file__).parent.parent.parent
HEADS = 8
SHARDS = {128: 60, 256: 30, 512: 10}
GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

FLOOR = """
import sys
from pathlib import Path
import h5py
def read(name, found):
    if isinstance(found, h5py.Dataset) and found.ndim == 3:
        for head in range(len(found)):
            found[head]
for path in sorted(Path(sys.argv[1]).glob("*.h5")):
    with h5py.File(path, locking=False) as file:
        file.visititems(read)
"""
PEAK = """
import re, sys
from pathlib import Path
from igaviz import open_dump, summary_rows
print(sum(1 for _ in summary_rows(open_dump(sys.argv[1]))))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def store(folder: Path, shards: int, n: int) -> Path:
    """A run of `shards` files, one layer of eight heads each, stored with gzip-1 by head."""
    folder.mkdir()
    for step in range(shards):
        plain = bare.write(folder / "plain", steps=(step,), layers=1, heads=HEADS, n=n)
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
    return folder


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


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = {n: store(folder / str(n), shards, n) for n, shards in SHARDS.items()}
    time.sleep(2.1)  # what changed a moment ago is not kept
    return found


@pytest.mark.parametrize("n", SHARDS)
@pytest.mark.parametrize("way", ["floor", "one process", "two processes", "cached"])
def test_shards_from_disk(benchmark, folders, tmp_path, n, way):
    summary = ("-m", "igaviz", "summary", folders[n], "--format", "csv", "--jobs")
    words = {
        "floor": ("-c", FLOOR, folders[n]),
        "one process": (*summary, 1, "--no-cache"),
        "two processes": (*summary, 2, "--no-cache"),
        "cached": (*summary, 1),
    }[way]
    if way == "cached":
        run(*words, XDG_CACHE_HOME=tmp_path)
    benchmark.pedantic(lambda: run(*words, XDG_CACHE_HOME=tmp_path), rounds=3)
    best = benchmark.stats.stats.min
    benchmark.extra_info["shards per second"] = round(SHARDS[n] / best, 1)
    benchmark.extra_info["maps per second"] = round(SHARDS[n] * HEADS / best)


@pytest.mark.parametrize("shards", [10, 1000])
def test_memory(benchmark, tmp_path, shards):
    folder = store(tmp_path / "run", shards, 64)

    def peak():
        rows, kilobytes = run("-c", PEAK, folder).split()
        assert int(rows) == shards * HEADS
        return int(kilobytes) / 1024

    benchmark.extra_info["largest resident size, MB"] = round(benchmark.pedantic(peak, rounds=1))


def test_page(benchmark, tmp_path):
    """The interactive page of the sample runs, its figures drawn anew."""
    runs = [ROOT / "sample_data" / name for name in ("healthy", "gamma_too_small")]
    words = ("-m", "igaviz", "summary", *runs, "--no-cache", "--force", "--html")
    said = benchmark.pedantic(lambda: run(*words, tmp_path / "page.html"), rounds=1)
    assert re.search("page.html", said)
    size = (tmp_path / "page.html").stat().st_size
    benchmark.extra_info["size, MB"] = round(size / 1e6, 1)
