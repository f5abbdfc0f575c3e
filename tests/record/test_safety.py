"""Whatever happens to the recorder, training goes on, and what was published is whole."""

import json
import logging
import os
import random
import signal
import time

import h5py
import numpy as np
import programs
import pytest
import torch

from igaviz.errors import RecordingError
from igaviz.format import parse_shard_name
from igaviz.record import Recorder, tap

KILLS = int(os.environ.get("KILLS", "6"))
"""How many recording processes are killed; a hundred take half a minute and more."""


def tap_random(n=6, **changes):
    s, g = torch.randn(2, 1, 2, n, n)
    given = {
        "logits_before": s,
        "geo_bias": g,
        "attention": torch.softmax(s + g, -1),
        "ca": torch.randn(1, n, 3),
    }
    tap(layer=0, **given | changes)


def train(recorder, steps=4, **changes):
    """The number of steps that training ran to."""
    for step in range(steps):
        with recorder.step(step):
            tap_random(**changes)
    recorder.close()
    return steps


def run_file(folder, name="run.json"):
    return json.loads((folder / name).read_text())


def step_of(path):
    """The step that a shard holds, all of it read with nothing but h5py."""
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 1
        file.visititems(lambda _, thing: thing[()] if isinstance(thing, h5py.Dataset) else None)
        (step,) = file["steps"].values()
        return int(step.attrs["step"])


def errors(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_first_failure_is_said_once_with_its_stack_and_training_goes_on(tmp_path, caplog):
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    with recorder.step(0):
        tap_random()
    with recorder.step(1):
        tap_random(ca=torch.zeros(2))
    assert train(recorder) == 4
    (record,) = errors(caplog)
    assert record.exc_info is not None
    assert "ca has shape" in caplog.text
    (attempt,) = run_file(tmp_path)["attempts"]
    assert attempt["off"]["step"] == 1
    assert "ca has shape" in attempt["off"]["reason"]
    assert "Traceback" in attempt["off"]["traceback"]
    assert [path.name for path in tmp_path.glob("*.h5")] == ["step-000000000.rank-00000.h5"]


@pytest.mark.parametrize(
    "break_it",
    [
        {"interval": lambda step: 1 / 0},
        {"interval": 1, "heads": [7]},
        {"interval": 1, "store": ("logits_after", "attention"), "layers": [0]},
    ],
)
def test_no_setting_takes_training_along(tmp_path, caplog, break_it):
    recorder = Recorder(tmp_path, length_unit="nanometer", **break_it)
    assert train(recorder, attention=None) == 4
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize("unit_step", [np.int64(1), np.array(1), np.array([1]), torch.tensor([1])])
def test_a_step_is_an_integer_of_any_type(tmp_path, unit_step):
    how = {"at": [unit_step * 5], "max_residues": unit_step * 100, "trigger": None}
    recorder = Recorder(tmp_path, interval=2, length_unit="nanometer", strict=True, **how)
    for _ in range(2):  # a step is recorded once
        for step in range(6):
            with recorder.step(unit_step * step):
                tap_random()
    recorder.close()
    assert [step_of(path) for path in sorted(tmp_path.glob("*.h5"))] == [0, 2, 4, 5]
    (attempt,) = run_file(tmp_path)["attempts"]
    assert attempt["recorded_steps"] == 4
    assert (attempt["settings"]["at"], attempt["settings"]["max_residues"]) == ([5], 100)


@pytest.mark.parametrize("name", ["at", "layers", "heads", "items", "ranks"])
def test_positions_may_be_an_array(tmp_path, name):
    how = {"length_unit": "nanometer", "scalars_interval": 1}
    for of in (np.array, torch.tensor):
        with Recorder(tmp_path, **{name: of([1, 0])}, **how) as recorder, recorder.step(0):
            pass
        with pytest.raises(RecordingError, match=f"{name}=.* names nothing"):
            Recorder(tmp_path, **{name: of(1.5)}, **how)
    with pytest.raises(RecordingError, match=f"an entry of {name} is .*, not a whole number"):
        Recorder(tmp_path, **{name: np.array([-1])}, **how)
    assert run_file(tmp_path)["attempts"][-1]["settings"][name] == [0, 1]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("three", "step is 'three', not a whole number"),
        (torch.tensor(1.0), "step is a tensor of torch.float32 on cpu, shape ()"),
        (torch.zeros(2, dtype=torch.int64), "shape (2,), not a whole number"),
        (np.array([True]), "step is array([ True]), not a whole number"),
        (torch.tensor(1, device="meta"), "step is a tensor of torch.int64 on meta, shape ()"),
        (object(), "step is <object"),
    ],
)
def test_a_step_that_is_no_number_does_not_stop_training(tmp_path, caplog, step, said):
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    for _ in range(2):
        with recorder.step(step):
            tap_random()
    recorder.close()
    assert said in caplog.text
    assert len(errors(caplog)) == 1
    assert said in run_file(tmp_path)["attempts"][0]["off"]["reason"]


def test_a_step_after_the_end_is_said_once(tmp_path, caplog):
    recorder = Recorder(tmp_path, interval=2, length_unit="nanometer")
    train(recorder)
    assert caplog.messages == []
    train(recorder)
    (said,) = caplog.messages
    assert "step 0 comes after the recorder was closed and is not recorded" in said


def test_strict_raises_instead(tmp_path):
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True)
    with pytest.raises(RecordingError, match="ca has shape"):
        train(recorder, ca=torch.zeros(2))


def test_strict_never_hides_what_stopped_training(tmp_path):
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True)
    with pytest.raises(ZeroDivisionError), recorder.step(0):  # noqa: PT012
        tap_random(ca=None)  # can't be written, which comes out when the step ends
        1 / 0  # noqa: B018


def test_a_folder_that_may_not_be_written(tmp_path):
    train(Recorder(tmp_path / "warm", interval=1, length_unit="nanometer"))
    folder = tmp_path / "run"
    folder.mkdir(mode=0o555)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:  # root may write everywhere
            os.setuid(65534)
        logging.disable()
        os._exit(10 + train(Recorder(folder, interval=1, length_unit="nanometer")))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 14
    assert list(folder.iterdir()) == []


def test_a_folder_below_a_file(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert train(Recorder(tmp_path / "file" / "run", interval=1, length_unit="nanometer")) == 4
    assert len(errors(caplog)) == 1
    with pytest.raises(RecordingError, match="can't record into"):
        train(Recorder(tmp_path / "file" / "run", interval=1, length_unit="nanometer", strict=True))


def test_a_folder_that_goes_away(tmp_path, caplog):
    folder = tmp_path / "run"
    recorder = Recorder(folder, interval=1, length_unit="nanometer")
    with recorder.step(100):
        tap_random()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert train(recorder) == 4
    assert len([record for record in errors(caplog) if record.exc_info]) == 1


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from test_safety import Recorder, train
recorder = Recorder(sys.argv[1], interval=1, length_unit="nanometer")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))
print("trained", train(recorder))
"""


def test_a_full_disk_ends_recording_and_not_training(tmp_path):
    out, err = programs.start(FULL_DISK, tmp_path, programs.HERE).communicate(timeout=120)
    assert "trained 4" in out
    assert err.count("Traceback (most recent call last)") >= 1
    assert "File too large" in err
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert "File too large" in run_file(tmp_path)["attempts"][0]["off"]["reason"]


def test_max_bytes_ends_recording_in_good_order(tmp_path, caplog):
    recorder = Recorder(
        tmp_path, interval=1, length_unit="nanometer", max_bytes=100_000, strict=True
    )
    assert train(recorder, steps=20) == 20
    used = sum(path.stat().st_size for path in tmp_path.glob("*.h5"))
    assert 0 < used <= 100_000
    assert caplog.text.count("max_bytes=100000 is used up") == 1
    off = run_file(tmp_path)["attempts"][0]["off"]
    assert off["reason"] == "max_bytes=100000 is used up"


def test_a_recorder_resumes_beside_what_is_there(tmp_path):
    for _ in range(3):
        train(Recorder(tmp_path, interval=2, length_unit="nanometer"))
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == [
        "step-000000000.rank-00000.a01.h5",
        "step-000000000.rank-00000.a02.h5",
        "step-000000000.rank-00000.h5",
        "step-000000002.rank-00000.a01.h5",
        "step-000000002.rank-00000.a02.h5",
        "step-000000002.rank-00000.h5",
    ]
    content = run_file(tmp_path)
    assert [attempt["attempt"] for attempt in content["attempts"]] == [0, 1, 2]
    ids = set()
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            ids.add(file.attrs["run_id"])
            assert file.attrs["attempt"] == parse_shard_name(path.name).attempt
    assert ids == {content["run_id"]}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"attempts": 3}', '{"attempts": [null]}'])
def test_a_run_file_that_is_no_use_costs_nothing_but_itself(tmp_path, content):
    train(Recorder(tmp_path, interval=2, length_unit="nanometer"))
    (tmp_path / "run.json").write_text(content)
    train(Recorder(tmp_path, interval=2, length_unit="nanometer", strict=True))
    assert len(list(tmp_path.glob("*.a01.h5"))) == 2
    assert run_file(tmp_path)["attempts"][-1]["attempt"] == 1


def test_two_ranks_write_one_run(tmp_path):
    script = """
import sys
sys.path.insert(0, sys.argv[3])
from test_safety import Recorder, train
ranks = "all" if sys.argv[2] == "all" else 0
train(Recorder(sys.argv[1], interval=2, ranks=ranks, length_unit="nanometer", strict=True))
"""
    for ranks in ("all", "0"):
        folder = tmp_path / ranks
        children = [
            programs.start(script, folder, ranks, programs.HERE, RANK=str(rank), WORLD_SIZE="2")
            for rank in (0, 1)
        ]
        for child in children:
            _, err = child.communicate(timeout=120)
            assert child.returncode == 0, err
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "run.json",
        "run.rank-00001.json",
        "step-000000000.rank-00000.h5",
        "step-000000000.rank-00001.h5",
        "step-000000002.rank-00000.h5",
        "step-000000002.rank-00001.h5",
    ]
    with h5py.File(tmp_path / "all" / "step-000000002.rank-00001.h5") as file:
        assert (file.attrs["rank"], file.attrs["world_size"]) == (1, 2)
    assert not list((tmp_path / "0").glob("*rank-00001*"))


def test_a_forked_child_records_nothing(tmp_path):
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    with recorder.step(0):
        tap_random()
        child = os.fork()
        if child == 0:
            tap_random()
            recorder.close()
            os._exit(0)
        os.waitpid(child, 0)
    child = os.fork()
    if child == 0:
        train(recorder)
        os._exit(0)
    os.waitpid(child, 0)
    recorder.flush()
    assert len(list(tmp_path.glob("*.h5"))) == 1
    assert "ended" not in run_file(tmp_path)["attempts"][0]


def test_what_was_published_is_whole_after_a_kill(tmp_path):
    """Children that record as fast as they can are killed at random moments, into one folder."""
    chance = random.Random(0)
    announced = []
    for attempt in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            record_and_announce(tmp_path, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            first = pipe.readline()  # on a busy machine this may take its time
            time.sleep(chance.uniform(0.0, 0.4))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines = (first + pipe.read()).split("\n")[:-1]
        announced += [(attempt, int(line)) for line in lines]
    found = {(parse_shard_name(path.name).attempt, step_of(path)) for path in tmp_path.glob("*.h5")}
    assert len(announced) >= KILLS
    assert set(announced) <= found
    train(Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True), steps=1)
    assert not list(tmp_path.glob(".*.tmp"))


def record_and_announce(folder, pipe):
    """A training child: says which steps were recorded, until it is killed."""
    torch.set_num_threads(1)
    recorder = Recorder(folder, interval=1, length_unit="nanometer", strict=True)
    for step in range(10**6):
        with recorder.step(step):
            tap_random(n=64)
        os.write(pipe, f"{step}\n".encode())
    os._exit(1)
