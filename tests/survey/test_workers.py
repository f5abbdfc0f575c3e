"""Worker processes: each is as the others, whenever it was started."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bare
import pytest

from igaviz.cli.main import main
from igaviz.survey.work.calls import pack_call, result_of
from igaviz.survey.work.processes import Processes
from igaviz.survey.work.staff import staying
from igaviz.survey.work.starting import seconds_to_start
from igaviz.survey.work.workers import WORTH, Workers, run_tasks

STATE = (
    "__import__('time').sleep(0.2) or (__import__('os').getpid(), "
    "__import__('os').environ.get('OMP_NUM_THREADS'), "
    "2 in __import__('signal').pthread_sigmask(__import__('signal').SIG_BLOCK, []))"
)

LINUX = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="Linux alone lists threads, and copies processes"
)

# How workers start in a process with so many threads: copies know what it does.
START = """
import json, sys, threading, time
if __name__ == "__main__":
    sys.known = True
    command, threads, state = json.loads(sys.argv[1])
    from igaviz.process import begin_command
    if command:
        begin_command()
    from igaviz.survey.work.workers import run_tasks
    for _ in range(threads - 1):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    ask = f"hasattr(__import__('sys'), 'known'), {state}"
    print({done.result for done in run_tasks(eval, [ask] * 12, 2)})
"""

# A program that copies itself in the middle of a pass, which the copy drops.
COPIED = """
import os, sys
if __name__ == "__main__":
    from igaviz.survey.work.workers import run_tasks
    results = run_tasks(eval, [sys.argv[1]] * 12, 2)
    pids = {next(results).result[0]}
    if os.fork() == 0:
        del results
        os._exit(0)
    os.wait()
    print(len(pids | {done.result[0] for done in results}))
"""

# A command, and how it started processes.
WAYS = """
import multiprocessing, sys
from igaviz.__main__ import main
ways, context = [], multiprocessing.get_context
multiprocessing.get_context = lambda way: ways.append(way) or context(way)
if __name__ == "__main__":
    main()
    print(ways)
"""


@pytest.mark.parametrize("jobs", [2, 3])
def test_every_worker_has_one_thread_and_is_deaf_to_ctrl_c(monkeypatch, jobs):
    """Those too that start with a later task: else maps are measured by threads that fight."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    states = {done.result for done in run_tasks(eval, [STATE] * 12, jobs)}
    assert len(states) == jobs
    assert {(threads, deaf) for _, threads, deaf in states} == {("1", True)}


def test_passes_in_several_threads_leave_the_environment_as_it_was(monkeypatch):
    """It is all threads': one put back what another had set, and kept what that one had."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with ThreadPoolExecutor(6) as threads:
        passes = [threads.submit(lambda: list(run_tasks(eval, [STATE] * 10, 2))) for _ in range(6)]
    assert {done.result[1] for found in passes for done in found.result()} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


@LINUX
@pytest.mark.parametrize(
    ("command", "threads", "copies"),
    [(True, 1, True), (True, 2, False), (False, 1, False)],
    ids=["a command", "beside another thread", "a program of somebody's"],
)
def test_workers_are_copies_where_that_is_safe(tmp_path, monkeypatch, command, threads, copies):
    """A copy starts in no time, but with each lock as other threads had it, and all open files."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    program = tmp_path / "program.py"
    program.write_text(START)
    words = [sys.executable, program, json.dumps([command, threads, STATE])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    states = ast.literal_eval(done.stdout)
    assert len(states) == 2
    assert {(copied, *state[1:]) for copied, state in states} == {(copies, "1", True)}


@LINUX
def test_a_command_starts_copies_beside_its_progress_too(tmp_path):
    """The bar on a terminal has threads, which are to start after the workers."""
    program = tmp_path / "program.py"
    program.write_text(WAYS)
    read, write = pty.openpty()
    shard = bare.write(tmp_path / "shard.h5", steps=range(12))  # one: opened by the command
    words = [sys.executable, program, "summary", shard, "--jobs", "2", "--no-cache"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=write, check=True)
    os.close(write)
    os.close(read)
    assert done.stdout.splitlines()[-1] == b"['fork', 'fork']"


@LINUX
def test_a_command_has_one_thread(monkeypatch, sample_data):
    """Others would turn idly beside it: a machine of two cores was busy with one summary."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    code = "import os, sys, igaviz.__main__ as it; it.main(); print(os.listdir('/proc/self/task'))"
    words = [sys.executable, "-c", code, "summary", sample_data / "healthy", "--jobs", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert len(ast.literal_eval(done.stdout.splitlines()[-1])) == 1


@pytest.mark.parametrize(
    ("workers", "starts", "elsewhere"),
    [
        (Workers(2), 0.5 * WORTH, True),
        (Workers(2, if_worth=True), 0.5 * WORTH, False),
        (Workers(2, if_worth=True), WORTH, True),
    ],
)
def test_processes_that_nobody_asked_for_start_where_they_save_time(workers, starts, elsewhere):
    seconds = starts * seconds_to_start(2)
    tasks = ["__import__('os').getpid()"] * 12
    where = {done.result for done in run_tasks(eval, tasks, workers, seconds=seconds)}
    assert (os.getpid() not in where) == elsewhere


def test_a_command_starts_its_processes_once(tmp_path, monkeypatch):
    """For opening shards and for measuring them: a start takes up to half a second."""
    (tmp_path / "run").mkdir()
    for step in range(12):
        bare.write(tmp_path / "run" / f"{step}.h5", steps=(step,))
    started = []
    start = Processes._start
    monkeypatch.setattr(Processes, "_start", lambda crew: started.append(crew) or start(crew))
    assert main(["summary", str(tmp_path / "run"), "--jobs", "2", "--no-cache"]) == 0
    assert len(started) == 1
    with staying():
        first, second = ({done.result for done in run_tasks(eval, [STATE] * 12, 2)} for _ in "ab")
        assert first == second
    assert not multiprocessing.active_children()


@LINUX
@pytest.mark.parametrize("files", [12, 24], ids=["for no process", "for a few of them"])
def test_no_room_for_processes_is_no_bug(tmp_path, files):
    """The system's limits on files and processes are the user's to know, as is --jobs."""
    shard = bare.write(tmp_path / "shard.h5", steps=range(12))
    command = [sys.executable, "-m", "igaviz", "summary", shard, "--jobs", "64", "--no-cache"]
    words = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash", *command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("igaviz: can't start worker processes: too many open files\n")


def test_workers_killed_while_they_write_cost_nothing():
    """As by the system, for want of memory: half of a result is on its way and that is all."""
    results = run_tasks(eval, ["1", *["bytes(10**7)"] * 12], 2)
    assert next(results).result == 1
    time.sleep(1)  # both write more than a pipe holds, and nobody reads
    for worker in multiprocessing.active_children():
        worker.kill()
    assert [len(done.result) for done in results] == [10**7] * 12


def test_workers_killed_between_two_passes_cost_nothing():
    with staying():
        for _ in range(2):
            assert {done.result for done in run_tasks(eval, ["5"] * 12, 2)} == {5}
            for worker in multiprocessing.active_children():
                worker.kill()


def test_workers_killed_with_nothing_to_do_cost_nothing():
    """Nobody gives them a call any more: it would be lost with them, and run anew at best."""
    with Processes.hired(2) as crew:
        asked = [crew.submit(pack_call(eval, STATE)) for _ in "ab"]
        assert len({result_of(outcome.result()) for outcome in asked}) == 2
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        assert result_of(crew.submit(pack_call(eval, "5")).result()) == 5


@LINUX
def test_a_copy_of_the_program_leaves_its_workers_alone(tmp_path):
    """It has the pass too, half done, and drops it: by then the workers were ended for both."""
    program = tmp_path / "program.py"
    program.write_text(COPIED)
    words = [sys.executable, program, STATE]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.parametrize(
    "kill",
    [
        "__import__('os')._exit(3)",
        "__import__('os').abort()",
        "__import__('os').closerange(3, 64) or __import__('time').sleep(60)",  # its pipe is gone
    ],
)
def test_who_dies_costs_its_own_task(kill):
    """Those before it, beside it and behind it in its own pipe come in their order."""
    tasks = [kill if number % 5 == 3 else f"{number}" for number in range(40)]
    results = [done.result for done in run_tasks(eval, tasks, 3)]
    assert results == [None if number % 5 == 3 else number for number in range(40)]


def test_a_program_that_each_worker_would_run_anew_is_told_so(tmp_path):
    """Without `if __name__ == "__main__"` a worker begins by starting workers, and so on."""
    program = tmp_path / "program.py"
    shard = bare.write(tmp_path / "shard.h5", steps=range(12))
    program.write_text(
        "import igaviz\n"
        "try:\n"
        f"    print(len(list(igaviz.summary_rows(igaviz.open_dump({str(shard)!r}), jobs=2))))\n"
        "except igaviz.errors.UsageError as error:\n"
        "    print(error, error.hint)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert "worker processes end as soon as they start" in done.stdout
    assert '__name__ == "__main__"' in done.stdout


def test_a_pass_that_ends_early_ends_its_workers():
    """Else Ctrl-C would wait for what they are at, or for ever for one that is stopped."""
    long = "__import__('time').sleep(30)"
    began = time.monotonic()
    with staying():
        done = run_tasks(eval, ["3", *[long] * 12], 2)
        assert next(done).result == 3
        first, *_ = multiprocessing.active_children()
        os.kill(first.pid, signal.SIGSTOP)
        done.close()
        assert not multiprocessing.active_children()
        assert next(run_tasks(eval, ["4"] * 12, 2)).result == 4
    assert time.monotonic() - began < 15
