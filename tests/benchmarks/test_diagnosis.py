"""Metrics and diagnosis: maps of 256 residues per second of one core's time, and memory.

`extra_info` has the rate; the memory is the largest resident size of a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time

import bare
import h5py
import numpy as np
import pytest

from igaviz import diagnose, open_dump, read_maps
from igaviz.metrics import Pairs, measure

N = 256
LAYERS, HEADS = 4, 8
MAPS = LAYERS * HEADS

FILTERS = {
    "no filter": {},
    "gzip-1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}


def store(source, target, options):
    """The same dump, its maps stored head by head with a filter."""
    with h5py.File(source, "r") as before, h5py.File(target, "w") as after:
        after.attrs.update(before.attrs)

        def put(name, found):
            if isinstance(found, h5py.Group):
                after.require_group(name).attrs.update(found.attrs)
            elif found.ndim == 3:
                half = name.endswith("attention")
                data = found[()].astype(np.float16 if half else np.float32)
                after.create_dataset(name, data=data, chunks=(1, N, N), **options)
            else:
                after[name] = found[()]

        before.visititems(put)
    return target


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dumps")
    plain = bare.write(folder / "plain.h5", layers=LAYERS, heads=HEADS, n=N, gamma=0.3)
    return {name: store(plain, folder / f"{name}.h5", o) for name, o in FILTERS.items()}


def rate(benchmark, maps):
    benchmark.extra_info["maps per second"] = round(maps / benchmark.stats.stats.min)


def maps_of(path):
    return [found for entry in open_dump(path).entries for found in read_maps(entry)]


def stream(path):
    for entry in open_dump(path).entries:
        for _ in read_maps(entry):
            pass


@pytest.mark.benchmark(group="one map after another", timer=time.process_time)
def test_metrics_alone(benchmark, dumps):
    maps = maps_of(dumps["no filter"])
    pairs = Pairs.of(maps[0].structure)
    measure(maps[0], pairs)
    benchmark(lambda: [measure(found, pairs) for found in maps])
    rate(benchmark, MAPS)


@pytest.mark.benchmark(group="one map after another", timer=time.process_time)
@pytest.mark.parametrize("stored", FILTERS)
def test_reading_alone(benchmark, dumps, stored):
    benchmark(stream, dumps[stored])
    rate(benchmark, MAPS)


@pytest.mark.benchmark(group="one map after another", timer=time.process_time)
@pytest.mark.parametrize("stored", FILTERS)
def test_diagnosis_from_disk(benchmark, dumps, stored):
    """One pass over the data for all checks, in one process."""
    benchmark(lambda: diagnose(open_dump(dumps[stored])))
    rate(benchmark, MAPS)


PEAK = """
import re, sys
from pathlib import Path
from igaviz import diagnose, open_dump
print(diagnose(open_dump(sys.argv[1])).maps)
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's at the fork
print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


@pytest.mark.benchmark(group="memory")
@pytest.mark.parametrize(("n", "maps"), [(256, 32), (1500, 2), (1500, 12), (3000, 2)])
def test_memory(benchmark, tmp_path, n, maps):
    path = bare.write(tmp_path / "x.h5", layers=max(1, maps // 4), heads=min(maps, 4), n=n)

    def peak():
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
        )
        counted, megabytes = done.stdout.split()
        assert int(counted) == maps
        return int(megabytes)

    benchmark.extra_info["largest resident size, MB"] = benchmark.pedantic(peak, rounds=1)
