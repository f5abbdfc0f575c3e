"""A real Dask cluster on loopback says the same, bit for bit, and outlives a killed worker."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import bare
import dask.config
import pytest
from distributed import LocalCluster

from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.survey.cluster import ClusterError
from igaviz.survey.summary import summary_rows
from igaviz.survey.workers import Workers, run_tasks


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
        ) as running,
    ):
        yield running


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Twelve shards, which the workers must find although they run elsewhere."""
    (tmp_path / "run").mkdir()
    for step in range(12):
        bare.write(tmp_path / "run" / f"{step}.h5", steps=(step,), layers=2, heads=2)
    (tmp_path / "run" / "bad.h5").write_text("no shard")
    monkeypatch.chdir(tmp_path)
    return Path("run")


KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


@pytest.mark.parametrize("verb", [("summary", "--format", "json"), ("diagnose", "--json")])
def test_the_cluster_says_what_one_process_says(verb, run, cluster, capsys):
    def said(*options):
        code = main([*verb, str(run), "--no-cache", *options])
        return code, *capsys.readouterr()

    assert said("--scheduler", cluster.scheduler_address) == said("--jobs", "1")


def test_no_scheduler_is_said(run, capsys, monkeypatch):
    monkeypatch.setattr("igaviz.survey.cluster._SECONDS", 1)
    assert main(["summary", str(run), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["summary", str(run), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "igaviz[cluster]" in capsys.readouterr().err
    with pytest.raises(ClusterError):
        list(run_tasks(abs, [1], Workers(scheduler="tcp://127.0.0.1:9")))


def test_rows_are_the_same_when_a_worker_is_killed_on_the_way(run, cluster):
    dump = open_dump(run)
    whole = list(summary_rows(dump))
    rows = summary_rows(dump, jobs=Workers(scheduler=cluster.scheduler_address))
    found = [next(rows)]
    victim = next(iter(cluster.workers.values()))
    os.kill(victim.pid, signal.SIGKILL)
    assert [*found, *rows] == whole


def test_a_task_that_kills_costs_itself_only(cluster):
    """Dask gives tasks up that were with the worker; each is tried alone, and one kills again."""
    tasks = [KILL if number == 3 else f"{number} ** 2" for number in range(8)]
    done = list(run_tasks(eval, tasks, Workers(scheduler=cluster.scheduler_address)))
    assert [one.task for one in done] == tasks
    assert [one.result for one in done] == [0, 1, 4, None, 16, 25, 36, 49]


def test_workers_without_igaviz_are_said(cluster, monkeypatch):
    monkeypatch.setattr("igaviz.survey.cluster._INSTALLED", "False")
    with pytest.raises(ClusterError, match="no igaviz where the workers"):
        list(run_tasks(abs, [1], Workers(scheduler=cluster.scheduler_address)))
