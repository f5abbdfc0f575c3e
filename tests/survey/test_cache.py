"""Each map is measured once: the same numbers with the cache, and never old or spoiled ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import bare
import numpy as np
import pytest

import igaviz
from igaviz.dump import open_dump
from igaviz.dump.data import Mask
from igaviz.metrics import Measurement, Replay, measure_heads
from igaviz.metrics.data import Unplaced
from igaviz.survey.diagnose import diagnose
from igaviz.survey.kept import cache as cache_module
from igaviz.survey.kept import codec
from igaviz.survey.kept.cache import Cache
from igaviz.survey.measuring.layers import measure_layers
from igaviz.survey.plan import Choice, plan
from igaviz.survey.work import cluster
from igaviz.survey.work.opening import open_by
from igaviz.survey.work.workers import Workers


def settle(path):
    """Make the file an hour old: what changed a moment ago is not kept."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))
    return path


@pytest.fixture
def shard(tmp_path):
    (tmp_path / "run").mkdir()
    return settle(bare.write(tmp_path / "run" / "a.h5", layers=2, heads=3))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_digests", {})
    return Cache(tmp_path / "cache")


@pytest.fixture
def measured(monkeypatch):
    """The maps that were really measured."""
    real, seen = measure_heads, []

    def counted(maps, pairs):
        seen.extend(found.id for found in maps)
        return real(maps, pairs)

    monkeypatch.setattr("igaviz.survey.measuring.layers.measure_heads", counted)
    return seen


def numbers(path, cache, *, radius=8.0, **chosen):
    dump = open_dump(path)
    groups = measure_layers(
        plan(dump, Choice.of(**chosen)), radius=radius, jobs=Workers(cache=cache)
    )
    return [m for group in groups for m in group.measurements]


def entries(cache, kind):
    return sorted(path for path in (cache.folder / kind).rglob("*") if path.is_file())


def test_a_second_pass_measures_nothing_and_says_the_same(shard, cache, measured):
    plain = numbers(shard, None)
    first, second = numbers(shard, cache), numbers(shard, cache)
    assert len(measured) == 12
    assert plain == first == second
    assert diagnose(open_dump(shard), jobs=Workers(cache=cache)) == diagnose(open_dump(shard))
    one_head = numbers(shard, cache, head="1")
    assert [m for m in plain if m.id.head == 1] == one_head
    assert len(measured) == 18


def test_what_numbers_depend_on_is_measured_anew(shard, cache, measured, monkeypatch):
    numbers(shard, cache, layer="0")
    numbers(shard, cache, layer="0", radius=10.0)
    assert len(measured) == 6
    assert numbers(shard, cache, layer="0", radius=10.0) == numbers(
        shard, None, layer="0", radius=10.0
    )
    measured.clear()
    monkeypatch.setattr(cache_module, "measuring_code", lambda: "other code")
    numbers(shard, cache, layer="0")
    assert len(measured) == 3
    measured.clear()
    size = shard.stat().st_size
    settle(bare.write(shard, layers=2, heads=3, gamma=0.5))
    assert shard.stat().st_size == size
    assert numbers(shard, cache, layer="0") == numbers(shard, None, layer="0")
    assert len(measured) == 6


def test_a_shard_that_is_replaced_while_its_layers_are_read_is_opened_anew(
    tmp_path, cache, monkeypatch
):
    """As rsync -t does it, with the new file's own time: its numbers are kept, not the old ones."""
    (tmp_path / "run").mkdir()
    shard = settle(bare.write(tmp_path / "run" / "a.h5", layers=16, heads=1))
    later = settle(bare.write(tmp_path / "later.h5", layers=16, heads=1, gamma=3.0))
    real, seen = measure_heads, []

    def replacing(maps, pairs):
        seen.extend(maps)
        if len(seen) == 1:
            later.replace(shard)
        return real(maps, pairs)

    monkeypatch.setattr("igaviz.survey.measuring.layers.measure_heads", replacing)
    old, *new = numbers(shard, cache)
    assert old.values["gamma"] == 1.0
    assert {m.values["gamma"] for m in new} == {3.0}
    assert numbers(shard, cache) == numbers(shard, None)


def test_a_shard_is_known_by_its_content_wherever_it_lies(shard, cache, measured, tmp_path):
    numbers(shard, cache)
    (tmp_path / "moved").mkdir()
    copy = settle(Path(shutil.copy(shard, tmp_path / "moved" / "b.h5")))
    found = numbers(copy, cache)
    assert len(measured) == 6
    assert {m.id.run for m in found} == {"b.h5"}


def test_what_changed_a_moment_ago_is_not_kept(shard, cache):
    os.utime(shard)
    numbers(shard, cache)
    assert not entries(cache, "maps")


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: b"x" + raw])
def test_a_spoiled_entry_is_counted_and_made_anew(shard, cache, measured, spoil):
    whole = numbers(shard, cache)
    for path in entries(cache, "maps")[:1] + entries(cache, "files"):
        path.write_bytes(spoil(path.read_bytes()))
    cache_module._digests.clear()
    assert numbers(shard, cache) == whole
    assert cache.spoiled == 2
    measured.clear()
    assert numbers(shard, cache) == whole
    assert not measured


def test_a_damaged_map_is_looked_at_every_time(shard, cache, tmp_path):
    path = bare.write_with_broken_head(tmp_path / "bad.h5")
    settle(path)
    for _ in range(2):
        found = diagnose(open_dump(path), jobs=Workers(cache=cache))
        assert ["head 1" in piece.where for piece in found.damaged] == [True]
        assert found.maps == 5


def test_indexes_are_kept_and_follow_the_path(shard, cache, monkeypatch):
    workers = Workers(cache=cache)
    first = open_by(shard.parent, jobs=workers)
    assert first == open_dump(shard.parent)
    monkeypatch.setattr("igaviz.survey.work.opening.try_to_index", None)
    assert open_by(shard.parent, jobs=workers) == first
    monkeypatch.chdir(shard.parent)
    (entry, *_) = open_by(shard.name, jobs=workers).entries
    assert entry.path == "a.h5"


def test_many_at_once_share_a_folder(shard, cache):
    whole = numbers(shard, None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: numbers(shard, cache), range(16)))
    assert all(numbers == whole for numbers in found)
    assert cache.spoiled == 0
    assert not list(cache.folder.rglob("*.tmp"))


def test_it_stays_below_its_cap_and_lets_go_what_was_not_used_for_longest(shard, cache):
    numbers(shard, cache, layer="0")
    old = [*entries(cache, "maps"), *entries(cache, "files")]
    for path in old:
        os.utime(path, (0, 0))
    numbers(shard, cache, layer="1")
    (new,) = set(entries(cache, "maps")) - set(old)
    cache.prune(new.stat().st_size)
    assert entries(cache, "maps") == [new]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    shard, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    from igaviz.cli.main import main

    assert main(["diagnose", str(shard), "--fail-on", "never", "--jobs", "1"]) == 0
    assert "nothing can be kept in the cache" in capsys.readouterr().err


def test_the_command_line_measures_once_and_prints_the_same(shard, tmp_path, capsys, measured):
    from igaviz.cli.main import main

    def said(*options):
        main(["summary", str(shard), "--format", "json", "--jobs", "1", *options])
        return capsys.readouterr().out

    plain = said("--no-cache")
    assert len(measured) == 6
    assert said() == said() == plain
    assert len(measured) == 12


def test_any_measurement_comes_back_as_it_was():
    whole = Measurement(
        id=igaviz.format.MapId("r\u0301 \udcff", "train", 1, 0, 2, 3, 4),
        item="x",
        n_residues=3,
        length_unit="angstrom",
        values={"a": 0.1 + 0.2, "b": None, "geo_range": "beyond", "c": 5e-324, "n": 3},
        reasons={"b": "why"},
        flow_time=float("inf"),
        replay=Replay(1e-300, 1, 2, 0.5, fits=None, error_of_all=float("-inf")),
        mask=Mask(float("-inf"), pairs=4, keys=2),
        unplaced=Unplaced(missing=1, piled=2, local_share=0.1 + 0.2, no_extent=False),
    )
    assert codec.loads(Measurement, codec.dumps(whole)) == whole
    nan = replace(whole, log_det_min=float("nan"), ca_step=np.float32(0.1))
    back = codec.loads(Measurement, codec.dumps(nan))
    assert np.isnan(back.log_det_min)
    assert back.ca_step == nan.ca_step
    with pytest.raises((TypeError, KeyError)):
        codec.loads(Measurement, "{}")


def test_the_key_follows_the_code_of_the_metrics(tmp_path):
    """Nobody must remember to say that numbers changed."""
    shutil.copytree(Path(igaviz.__file__).parent, tmp_path / "igaviz")

    def key():
        code = "from igaviz.survey.kept.cache import measuring_code; print(measuring_code())"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    before = key()
    assert before == key()
    table = tmp_path / "igaviz" / "metrics" / "table.py"
    table.write_text(table.read_text().replace("SATURATED: Final = 0.9", "SATURATED: Final = 0.8"))
    assert key() != before


@pytest.mark.parametrize("pattern", [*cache_module._CODE, *cluster._DRAWING])
def test_each_pattern_of_a_digest_names_files(pattern):
    """One that names none would leave code out of the digest, and nobody would hear of it."""
    assert list(Path(igaviz.__file__).parent.glob(pattern))


def test_lines_are_json(shard):
    (first, *_) = numbers(shard, None)
    assert json.loads(codec.dumps(first))["values"] == first.values
