"""Real processes: ranks, workers, forks, interrupts and ends of all kinds."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import programs
import pytest
from programs import finish

from igaviz.dump import open_dump
from igaviz.record import Recorder

PREAMBLE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import torch
from conftest import PlainModel, ToyModel, make_batch
from igaviz.record import Recorder
folder = sys.argv[2]
kind = {"taps": ToyModel, "watched": PlainModel}[sys.argv[3]]
"""


def start(script, folder, kind="watched", *others):
    return programs.start(PREAMBLE + script, programs.HERE, folder, kind, *others)


def steps_on_disk(folder):
    """The steps of all shards, each of them read whole."""
    found = []
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            file.visititems(lambda _, thing: thing[()] if isinstance(thing, h5py.Dataset) else None)
            (step,) = file["steps"].values()
            found.append(int(step.attrs["step"]))
    return found


def attempts(folder, name="run.json"):
    return json.loads((folder / name).read_text())["attempts"]


DDP = """
import datetime
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel as DDP

class Normed(torch.nn.Module):
    "Buffers, which DDP's own forward sends from rank to rank."
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(16)
        self.inner = kind(layers=1)
        for layer in self.inner.layers:
            layer.weights = torch.zeros(())
            if hasattr(layer, "drop"):
                layer.drop.p = 0.0
    def forward(self, x, ca, mask):
        return self.inner(self.norm(x.flatten(0, 1)).view_as(x), ca, mask)

def counted(calls):
    "Counts the collective calls of this process, whoever makes them."
    for name in ("all_reduce", "broadcast", "barrier", "all_gather", "all_gather_object",
                 "broadcast_object_list", "reduce", "gather", "scatter"):
        own = getattr(dist, name)
        def call(*given, own=own, name=name, **more):
            calls.append(name)
            return own(*given, **more)
        setattr(dist, name, call)

def train(ranks, compiled, recorder):
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = DDP(Normed())
    if compiled:
        model = torch.compile(model, backend="aot_eager")
    if recorder:
        recorder.attach(model)
        recorder.probe(make_batch(seed=99))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for step in range(3):
        data = make_batch(seed=10 * step + dist.get_rank())
        if recorder:
            with recorder.step(step, names=[f"rank{dist.get_rank()}"] * 3):
                loss = model(*data)
                loss.backward()
        else:
            loss = model(*data)
            loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(round(loss.item(), 5))
    return losses

def rank_main(rank, port, base):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=60))
    calls = []
    counted(calls)
    for compiled, ranks in CASES[kind]:
        del calls[:]
        expected = train(ranks, compiled, None)
        alone = list(calls)
        del calls[:]
        where = os.path.join(base, f"{ranks}-{compiled}")
        if ranks == "broken" and rank == 1:
            where = os.path.join(sys.argv[1], "conftest.py", "run")  # below a file
        recorder = Recorder(where, interval=2, length_unit="nanometer",
                            ranks="all" if ranks == "broken" else ranks)
        losses = train(ranks, compiled, recorder)
        recorder.close()
        assert losses == expected, (ranks, compiled, losses, expected)
        assert calls == alone, (calls, alone)
    dist.destroy_process_group()

CASES = {ToyModel: ((False, "broken"), (True, "all")), PlainModel: ((False, 0), (True, "broken"))}
import socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
import multiprocessing
context = multiprocessing.get_context("fork")
ranks = [context.Process(target=rank_main, args=(rank, port, folder)) for rank in (0, 1)]
for process in ranks:
    process.start()
for process in ranks:
    process.join()
sys.exit(max(process.exitcode for process in ranks))
"""


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        ("taps", {"broken-False": [0], "all-True": [0, 1]}),
        ("watched", {"0-False": [0], "broken-True": [0]}),
    ],
)
def test_two_ranks_train_as_without_a_recorder(tmp_path, kind, cases):
    """Plain and compiled; a probe; one rank, both, and one whose recorder fails at once."""
    code, _, err = finish(start(DDP, tmp_path, kind))
    assert code == 0, err
    assert err.count("recording failed and is off") == 1
    for name, expected in cases.items():
        for rank in (0, 1):
            names = [
                f"step-00000000{step}{phase}.rank-0000{rank}.h5"
                for step in (0, 2)
                for phase in ("", ".probe")
            ]
            found = sorted(path.name for path in (tmp_path / name).glob(f"*rank-0000{rank}.h5"))
            assert found == (sorted(names) if rank in expected else [])
        listed = subprocess.run(
            [sys.executable, "-m", "igaviz", "info", str(tmp_path / name), "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        (run,) = json.loads(listed.stdout)["runs"]
        assert run["ranks"] == expected


WORKERS = """
import h5py
from torch.utils.data import DataLoader, Dataset

class Chains(Dataset):
    "Reads HDF5 in forked workers, and would record in them if it could."
    def __len__(self):
        return 24
    def __getitem__(self, index):
        with h5py.File(data) as file:
            x = torch.from_numpy(file["x"][index])
        model(*make_batch())
        recorder.flush()
        return x

data = os.path.join(folder, "data.hdf5")
os.makedirs(folder)
with h5py.File(data, "w") as file:
    file.create_dataset("x", data=torch.randn(24, 12, 16).numpy(), chunks=(1, 12, 16),
                        compression="gzip")
model = kind(layers=2)
recorder = Recorder(os.path.join(folder, "run"), interval=1, length_unit="nanometer", strict=True)
recorder.attach(model)
_, ca, mask = make_batch()
step = 0
for epoch in range(2):
    for x in DataLoader(Chains(), batch_size=3, num_workers=2, multiprocessing_context="fork"):
        with recorder.step(step):
            model(x, ca, mask).backward()
            recorder._recording._background.submit(lambda: None)
            step += 1
assert step == 16
"""


def test_forked_workers_read_hdf5_while_the_recorder_writes(tmp_path):
    code, _, err = finish(start(WORKERS, tmp_path / "there"))
    assert code == 0, err
    assert steps_on_disk(tmp_path / "there" / "run") == list(range(16))
    assert len(attempts(tmp_path / "there" / "run")) == 1


FORKS = """
model = kind(layers=2)
recorder = Recorder(folder, interval=1, length_unit="nanometer")
recorder.attach(model)
x, ca, mask = make_batch((100, 100), 0)
for step in range(4):
    with recorder.step(step):
        model(x, ca, mask).backward()
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                model(x, ca, mask)
                recorder.note(step=1)  # a mistake, and of no consequence in a child
                with recorder.step("a mistake too"):
                    model(x, ca, mask)
                recorder.scalars()
                recorder.flush()
                if step % 2:
                    recorder.close()
                    os._exit(0)
                sys.exit(0)  # with all that the interpreter does at its end
            children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
recorder.close()
"""


def test_forks_while_the_thread_writes(tmp_path):
    """8 children of a process whose thread is nearly always writing: none waits for a lock."""
    code, _, err = finish(start(FORKS, tmp_path), timeout=60)
    assert code == 0, err
    assert steps_on_disk(tmp_path) == list(range(4))
    assert len(attempts(tmp_path)) == 1
    assert "off" not in attempts(tmp_path)[0]


ENDS = """
import multiprocessing, time
from igaviz.dump import write
from igaviz.record import recorder as _, writer

publish = writer.publish
def slowly(*given):
    time.sleep(0.05)
    return publish(*given)
writer.publish = slowly

def train():
    model = kind(layers=1)
    recorder = Recorder(folder, interval=1, length_unit="nanometer")
    recorder.attach(model)
    for step in range(1000):
        with recorder.step(step):
            model(*make_batch()).backward()
            if step == 10:
                END
        if step == 9:
            print("queued", flush=True)
    return recorder
START
"""
IN_THIS_PROCESS = "train()"
IN_A_CHILD = """
child = multiprocessing.get_context("fork").Process(target=train)
child.start()
child.join()
sys.exit(child.exitcode)
"""


@pytest.mark.parametrize(
    ("end", "where", "code", "said", "steps"),
    [
        ("sys.exit(3)", IN_THIS_PROCESS, 3, "", 10),
        ("1 / 0", IN_THIS_PROCESS, 1, "ZeroDivisionError", 11),
        ("return recorder", IN_THIS_PROCESS, 0, "", 11),
        ("return recorder", IN_A_CHILD, 0, "", 11),
        ("time.sleep(60)", IN_THIS_PROCESS, -signal.SIGINT, "KeyboardInterrupt", 10),
    ],
    ids=["exit", "exception", "end", "end-of-a-forked-process", "ctrl-c"],
)
def test_what_was_recorded_is_on_disk_however_training_ends(
    tmp_path, end, where, code, said, steps
):
    """No `close()`, and a disk so slow that nearly all of it waits in the queue by then."""
    process = start(ENDS.replace("END", end).replace("START", where), tmp_path)
    if code < 0:
        assert process.stdout.readline() == "queued\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    found, _, err = finish(process)
    assert found == code, err
    assert err.count("Traceback (most recent call last)") == bool(said)
    assert said in err
    assert steps_on_disk(tmp_path) == list(range(steps))
    (attempt,) = attempts(tmp_path)
    assert attempt["recorded_steps"] == steps
    assert "ended" in attempt


CTRL_C = """
import threading, time
model = kind(layers=2)
recorder = Recorder(folder, interval=1, length_unit="nanometer")
recorder.attach(model)
from igaviz.record import recording
interrupted = 0
step = 0
def waiting(*_):
    if step >= 3 and not interrupted:
        print("forward", flush=True)
        time.sleep(60)
model.layers[1].linear_k.register_forward_pre_hook(waiting)
for _ in range(6):
    try:
        with recorder.step(step):
            model(*make_batch()).backward()
    except KeyboardInterrupt:
        interrupted += 1
        assert not recording()
        assert not any("forward" in module.__dict__ for module in model.modules())
    step += 1
recorder.close()
print(interrupted)
"""


def test_after_ctrl_c_within_a_layer_a_notebook_may_go_on(tmp_path):
    process = start(CTRL_C, tmp_path)
    assert process.stdout.readline() == "forward\n"
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (0, "1\n"), err
    assert steps_on_disk(tmp_path) == [0, 1, 2, 4, 5]


def resume(folder, model, data, first, pipe):
    """A training child that goes on from step `first`, and says which steps it made."""
    recorder = Recorder(folder, interval=1, scalars_interval=1, length_unit="nanometer")
    recorder.attach(model)
    for step in range(first, 10**6):
        with recorder.step(step):
            model(*data).backward()
        os.write(pipe, f"{step}\n".encode())
        time.sleep(0.01)
    os._exit(1)


def test_a_killed_training_that_goes_on_leaves_one_time_line(tmp_path, toy, batch):
    """Killed in the midst of writing, resumed some steps before: as from a checkpoint."""
    for first, last in ((0, 17), (4, 19), (6, 18)):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            resume(tmp_path, toy(layers=1), batch((60, 60)), first, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert any(int(line) == last for line in pipe)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(steps_on_disk(tmp_path)) > 6
    (run,) = open_dump(tmp_path).runs
    assert run.attempts == (0, 1, 2)
    steps = [entry.id.step for entry in run.entries if entry.id.batch == 0]
    assert steps == sorted(set(steps))
    assert {0, 4, 6} <= set(steps)
    lines = [line.step for line in run.scalar_lines("train")]
    assert lines == list(range(len(lines)))
    assert {one.from_step for one in run.superseded} == {4, 6}


FULL = """
import igaviz.record.writer as writer
writer._FREE_BYTES = int(sys.argv[4])  # with less than none, nobody looks
model = kind(layers=2)
recorder = Recorder(folder, interval=1, length_unit="nanometer")
recorder.attach(model)
for step in range(40):
    with recorder.step(step):
        model(*make_batch((100, 100))).backward()
recorder.close()
print("trained", step)
"""


@pytest.mark.parametrize(
    ("reserve", "said"), [(-(1 << 40), "No space left on device"), (1 << 20, "are left")]
)
def test_a_disk_that_is_full(tmp_path, reserve, said):
    """A file system of 4 MB: filled to the brim, or to what is left to training itself."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        _, out, err = finish(start(FULL, disk / "run", "watched", reserve))
        assert out == "trained 39\n", err
        assert err.count("igaviz: recording") == 1
        assert said in err
        steps = steps_on_disk(disk / "run")
        assert steps == list(range(len(steps)))
        assert len(steps) > 1
        assert not list((disk / "run").glob(".*.tmp"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
