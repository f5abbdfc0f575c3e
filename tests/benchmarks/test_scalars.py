"""Opening and reading a scalars file: time per line, whatever their number."""

from __future__ import annotations

import json

import pytest

from igaviz.dump import open_dump

LINES = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sample_data):
    """Six layers at many steps, as the sample run has them."""
    lines = (sample_data / "healthy" / "scalars.rank-00000.jsonl").read_text().splitlines()[:6]
    tails = [line.split(",", 1)[1] for line in lines]
    made = tmp_path_factory.mktemp("scalars")
    with (made / "scalars.rank-00000.jsonl").open("w") as file:
        for step in range(LINES // 6):
            file.writelines(f'{{"step":{step},{tail}\n' for tail in tails)
    assert json.loads(f'{{"step":0,{tails[0]}')
    return made


@pytest.mark.benchmark(group="scalars")
def test_open(benchmark, folder):
    benchmark(open_dump, folder)


@pytest.mark.benchmark(group="scalars")
def test_read(benchmark, folder):
    (run,) = open_dump(folder).runs
    benchmark.pedantic(lambda: sum(1 for _ in run.scalar_lines("probe")), rounds=3)


@pytest.mark.benchmark(group="scalars")
def test_read_the_last_step(benchmark, folder):
    (run,) = open_dump(folder).runs
    last = {int(run.scalars[0].steps[-1])}
    benchmark(lambda: list(run.scalar_lines("probe", last)))
