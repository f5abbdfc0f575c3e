"""A real Dask cluster on loopback says the same, bit for bit, and outlives a killed worker."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import bare
import dask.config
import pytest
from distributed import LocalCluster
from folders import files

from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.errors import DumpError, WorkerError
from igaviz.survey.drawing.pictures import Style
from igaviz.survey.plan import Choice
from igaviz.survey.render import render
from igaviz.survey.summary import summary_rows
from igaviz.survey.work.cluster import ClusterError
from igaviz.survey.work.workers import Workers, run_tasks

# Every worker runs this at its start: it is killed when a picture is whole but for its name, and
# has a bug that shows where a shard is called bug.h5.
DEADLY = """
import os, pathlib, signal
def deadly(self, target, replace=pathlib.Path.replace):
    if pathlib.Path(target).match("deadly/*/layer1_grid_b0.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
pathlib.Path.replace = deadly

import threading
import igaviz.survey.work.opening
def buggy(shard, index=igaviz.survey.work.opening.try_to_index):
    if shard.name == "bug.h5":
        raise ValueError("not thought of", threading.Lock())
    return index(shard)
igaviz.survey.work.opening.try_to_index = buggy
"""


def started(**options):
    return LocalCluster(processes=True, dashboard_address=":0", **options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    deadly = tmp_path_factory.mktemp("preload") / "deadly.py"
    deadly.write_text(DEADLY)
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                # 15 s after a death the cluster of a test would let a worker go for ever, with all
                # that it does by then, if another death has just hit it
                "distributed.deploy.lost-worker-timeout": "1h",
            }
        ),
        started(n_workers=2, threads_per_worker=2, preload=[str(deadly)]) as running,
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


PICTURES = ("--figure", "effect,grid,heads,trajectory", "--dpi", "20")
CHOSEN = ("--layer", "all", "--step", "3")


@pytest.mark.parametrize(
    ("verb", "drawn"),
    [
        (("summary", "--format", "json"), 0),
        (("diagnose", "--json"), 0),
        (("render", "--json", *PICTURES, *CHOSEN), 7),
        (("render", "--step", "2", "--figure", "heads", "--dpi", "20"), 0),
        (("compare", "--json", "--layer", "1", "--out", "out"), 2),
    ],
)
def test_the_cluster_says_and_draws_what_one_process_does(verb, drawn, run, cluster, capsys):
    def said(*options):
        # a folder where a picture belongs: that one can't be written
        Path("attention_vis/step_000000002/heads_type.png").mkdir(parents=True)
        Path("attention_vis/step_000000003/heads_type.png").mkdir(parents=True)
        force = ["--force"] if verb[0] == "render" else []
        code = main([*verb, str(run), "--no-cache", *force, *options])
        found = files(Path("attention_vis")) | files(Path("out"))
        shutil.rmtree("attention_vis")
        shutil.rmtree("out", ignore_errors=True)
        return code, *capsys.readouterr(), found

    far = said("--scheduler", cluster.scheduler_address)
    assert far == said("--jobs", "1")
    assert len(far[-1]) == drawn
    assert "bad.h5" in far[2]


def test_no_scheduler_is_said(run, capsys, monkeypatch):
    monkeypatch.setattr("igaviz.survey.work.cluster._SECONDS", 1)
    assert main(["summary", str(run)]) == 1
    assert "bad.h5" in capsys.readouterr().err
    # all of it is known by now
    assert main(["summary", str(run), "--scheduler", "foo"]) == 2
    assert "no Dask scheduler answers at foo" in capsys.readouterr().err
    assert main(["summary", str(run), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["summary", str(run), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "pip install '.[cluster]'" in capsys.readouterr().err
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


def test_a_killed_worker_costs_no_picture_and_one_that_kills_itself_only(run, cluster):
    far = Workers(scheduler=cluster.scheduler_address)
    living = [nanny.pid for nanny in cluster.workers.values() if nanny.pid is not None]

    def drawn(out, jobs, heard=None):
        style = Style(figures=("effect", "grid"), dpi=20)
        choice = Choice.of(step="3", batch="all", layer="all")
        found = render(open_dump(run), choice, out=out, style=style, jobs=jobs, progress=heard)
        return found, files(out)

    def kill_one(done, total):
        if done == 1:
            os.kill(living[0], signal.SIGKILL)

    whole, pictures = drawn(Path("whole"), 1)
    assert len(pictures) == len(whole.pictures) == 6
    killed, found = drawn(Path("killed"), far, kill_one)
    assert [one.shown for one in killed.pictures] == [one.shown for one in whole.pictures]
    assert found == pictures
    deadly, found = drawn(Path("deadly"), far)
    lost = "step_000000003/layer1_grid_b0.png"
    assert deadly.failed == ((Path("deadly", lost), "the process that drew it died"),)
    del pictures[lost]
    assert found == pictures  # whole ones, and no piece of one


def test_a_task_that_kills_costs_itself_only(cluster):
    """Dask gives tasks up that were with the worker; each is tried alone, and one kills again."""
    tasks = [KILL if number == 3 else f"{number} ** 2" for number in range(8)]
    done = list(run_tasks(eval, tasks, Workers(scheduler=cluster.scheduler_address)))
    assert [one.task for one in done] == tasks
    assert [one.result for one in done] == [0, 1, 4, None, 16, 25, 36, 49]


RAISED = "(_ for _ in ()).throw({})"
UNPACKED_NOWHERE = "__import__('urllib.error').error.HTTPError('a', 404, 'lost', None, None)"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("__import__('threading').Lock()", "TypeError: cannot pickle"),  # a result
        (RAISED.format("ValueError(3, __import__('threading').Lock())"), "ValueError: .*lock"),
        (RAISED.format("type('Own', (Exception,), {})('mine')"), "Own: mine"),
        (RAISED.format(UNPACKED_NOWHERE), "HTTPError: HTTP Error 404: lost"),
        (RAISED.format("__import__('concurrent.futures').futures.CancelledError(3)"), "Cancelled"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("exit(5)", "SystemExit: 5"),
    ],
)
def test_what_is_raised_arrives_although_it_can_t_travel(bug, said, far, cluster):
    """Neither hidden as the death of a worker nor waited for for ever."""
    jobs = Workers(scheduler=cluster.scheduler_address) if far else 2
    with pytest.raises(WorkerError, match=said) as found:
        list(run_tasks(eval, ["abs(-3)", bug, *["3"] * 10], jobs))
    (note,) = found.value.__notes__
    assert "Traceback (most recent call last)" in note
    assert "igaviz/survey/work/calls.py" in note


def test_a_bug_in_a_worker_is_said_with_its_traceback(run, cluster, capsys):
    Path("run", "bug.h5").touch()
    words = ["summary", str(run), "--no-cache", "--scheduler", cluster.scheduler_address]
    assert main(words) == 3
    assert "a bug in igaviz: WorkerError: ValueError: ('not thought" in capsys.readouterr().err
    assert main(["--debug", *words]) == 3
    assert 'deadly.py", line' in capsys.readouterr().err


def test_igaviz_own_errors_travel_as_they_are(cluster):
    bad = "__import__('igaviz.errors').errors.DumpError('torn', path='a.h5', where='/x', hint='go')"
    with pytest.raises(DumpError) as found:
        list(run_tasks(eval, [RAISED.format(bad)], Workers(scheduler=cluster.scheduler_address)))
    assert (str(found.value), found.value.hint) == ("a.h5:/x: torn", "go")


def test_workers_that_lack_or_are_something_else_are_said(run, cluster, monkeypatch, capsys):
    words = ["summary", str(run), "--no-cache", "--scheduler"]
    with monkeypatch.context() as other:
        other.setattr("igaviz.survey.work.cluster.working_code", lambda: "that of another version")
        assert main([*words, cluster.scheduler_address]) == 2
    assert "a worker has another igaviz, numpy or matplotlib" in capsys.readouterr().err
    with started(n_workers=0) as idle, monkeypatch.context() as hasty:
        hasty.setattr("igaviz.survey.work.cluster._SECONDS", 1)
        assert main([*words, idle.scheduler_address]) == 2
    assert f"the scheduler at {idle.scheduler_address} has no worker" in capsys.readouterr().err
    monkeypatch.setattr("igaviz.survey.work.cluster._INSTALLED", "False")
    with pytest.raises(ClusterError, match="no igaviz where the workers"):
        list(run_tasks(abs, [1], Workers(scheduler=cluster.scheduler_address)))
