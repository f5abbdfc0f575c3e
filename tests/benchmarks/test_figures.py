"""The speed of figures, against plain pyplot and against an empty canvas, in one run.

A set is the three figures of one head at N = 256 and 150 dpi: real chains, seen by the reference
layer. `python -m pytest tests/benchmarks/test_figures.py` prints a table at its end.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import assembly
import plain_figures
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from igaviz.dump import open_dump, read_maps
from igaviz.figures import Painter
from igaviz.metrics import Pairs

SET = ("attention_overview", "attention_profiles", "distance_statistics")
N = 256
ROUNDS = 8
MEMORY_SETS = 500


@pytest.fixture(scope="module")
def dump_path(tmp_path_factory):
    torch.set_num_threads(1)
    return assembly.record(tmp_path_factory.mktemp("dump"), [N], assembly.model_after(60))


@pytest.fixture(scope="module")
def maps(dump_path):
    return [map for entry in open_dump(dump_path).entries[:2] for map in read_maps(entry)]


@pytest.fixture(scope="module")
def pairs(maps):
    return Pairs.of(maps[0].structure)


def draw_set(painter, map, pairs, folder, format="png"):
    for name in SET:
        figure = painter.paint(name, map, pairs, verdict="healthy", severity="healthy")
        painter.save(figure, folder / f"{name}.{format}", format)


def draw_nothing(sizes, folder):
    """The floor: canvases of the same sizes, empty, as matplotlib saves them."""
    for k, size in enumerate(sizes):
        figure = Figure(figsize=size, dpi=150)
        FigureCanvasAgg(figure)
        figure.savefig(folder / f"empty{k}.png", dpi=150)


def cpu_seconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def test_a_set_against_pyplot_and_the_floor(benchmark, maps, pairs, tmp_path):
    """In turns, so that what else the machine does falls on all three alike."""
    painter = Painter()
    sizes = [painter.paint(name, maps[0], pairs).get_size_inches() for name in SET]
    ways = {
        "igaviz": lambda map: draw_set(painter, map, pairs, tmp_path),
        "pyplot": lambda map: plain_figures.draw_set(map, pairs.distance, tmp_path),
        "empty": lambda _: draw_nothing(sizes, tmp_path),
    }
    for draw in ways.values():
        draw(maps[0])
    spent = {name: [] for name in ways}
    for map in maps[1 : ROUNDS + 1]:
        for name, draw in ways.items():
            spent[name].append(cpu_seconds(draw, map))
    seconds = {name: median(times) for name, times in spent.items()}
    benchmark.extra_info |= {f"{name}_cpu_s": value for name, value in seconds.items()}
    benchmark.extra_info["pyplot_ratio"] = seconds["pyplot"] / seconds["igaviz"]
    benchmark.extra_info["floor_ratio"] = seconds["igaviz"] / seconds["empty"]
    print("\nCPU seconds of a set:", {k: round(v, 3) for k, v in benchmark.extra_info.items()})
    benchmark.pedantic(draw_set, (painter, maps[0], pairs, tmp_path), rounds=5)


@pytest.mark.parametrize("format", ["svg", "pdf"])
def test_a_set_of_drawings(benchmark, maps, pairs, tmp_path, format):
    painter = Painter()
    draw_set(painter, maps[0], pairs, tmp_path, format)
    benchmark.pedantic(draw_set, (painter, maps[1], pairs, tmp_path, format), rounds=3)


def test_the_first_set_of_a_process(benchmark, maps, pairs, tmp_path):
    """Figures are built: what a worker pays once."""
    benchmark.pedantic(lambda: draw_set(Painter(), maps[0], pairs, tmp_path), rounds=3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_render_from_the_command_line(benchmark, dump_path, tmp_path, jobs):
    """48 heads from a dump to pictures: start, reading, measuring, verdicts, drawing."""

    def render():
        subprocess.run(
            [
                *(sys.executable, "-m", "igaviz", "render", str(dump_path), "--layer", "all"),
                *("--jobs", str(jobs), "--out", str(tmp_path), "--force"),
            ],
            check=True,
            capture_output=True,
        )

    benchmark.pedantic(render, rounds=2)
    benchmark.extra_info["seconds_a_set"] = benchmark.stats.stats.min / 48


@pytest.mark.timeout(0)
def test_memory_and_time_are_flat_over_many_sets(benchmark, maps, pairs, tmp_path):
    painter = Painter()
    spent, resident = [], []

    def draw_many():
        for k in range(MEMORY_SETS):
            spent.append(cpu_seconds(draw_set, painter, maps[k % len(maps)], pairs, tmp_path))
            resident.append(_resident_mb())

    benchmark.pedantic(draw_many, rounds=1)
    fifth = MEMORY_SETS // 5
    benchmark.extra_info |= {
        "first_fifth_cpu_s": median(spent[:fifth]),
        "last_fifth_cpu_s": median(spent[-fifth:]),
        "resident_mb_after_20_sets": resident[20],
        "resident_mb_at_the_end": resident[-1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print({k: round(v, 3) for k, v in benchmark.extra_info.items()})


def _resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
