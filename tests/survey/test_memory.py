"""How much memory a diagnosis takes, measured on a real process."""

from __future__ import annotations

import subprocess
import sys

import bare
import pytest

PEAK = """
import sys
from pathlib import Path
from igaviz.cli.main import main
main(["diagnose", *sys.argv[1:], "--fail-on", "never", "--jobs", "1", "--format", "github"])
# VmHWM, not ru_maxrss: that one counts the process that this was forked from
(line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
print(line.split()[1])
"""


def peak(path):
    """The largest resident size, in MB, of `igaviz diagnose` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_1500_residues_take_less_than_300_mb_however_many_the_maps(tmp_path):
    few = peak(bare.write(tmp_path / "few.h5", layers=1, heads=1, n=1500))
    more = peak(bare.write(tmp_path / "more.h5", layers=2, heads=3, n=1500))
    assert few < 300
    assert more < few + 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_heads_that_share_a_chunk_take_less_than_300_mb(tmp_path):
    def in_one_chunk(file):
        layer = file["steps/000000100/batch/0/layers/0"]
        for name in ("logits_before", "geo_bias", "attention"):
            values = layer[name][:]
            del layer[name]
            layer.create_dataset(name, data=values, chunks=values.shape, compression=1)

    path = tmp_path / "a.h5"
    assert peak(bare.write(path, layers=1, heads=8, n=1024, change=in_one_chunk)) < 300


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_larger_maps_are_taken_in_blocks(tmp_path):
    # two maps of 3,000 residues, 72 MB each as stored and 108 MB in float32
    assert peak(bare.write(tmp_path / "large.h5", layers=1, heads=2, n=3000)) < 320
