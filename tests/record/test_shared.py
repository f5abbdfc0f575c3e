import json

import h5py
import programs
import pytest
import torch

from igaviz.errors import RecordingError
from igaviz.record import Recorder, count_forward, shared, shared_recorder, tap


@pytest.fixture(autouse=True)
def nothing_shared():
    yield
    for recorder in shared._shared.values():
        recorder.close()
    shared._shared.clear()


def forward(folder, layers=(0, 1), interval=2, training=True):
    """A forward of layers that were given enable_vis."""
    for layer in layers:
        count_forward(folder, interval=interval, layer=layer, training=training)
        s, g = torch.randn(2, 1, 2, 5, 5)
        weights = torch.softmax(s + g, -1)
        tap(layer=layer, logits_before=s, geo_bias=g, attention=weights, ca=torch.randn(1, 5, 3))


def recorded(folder):
    """The steps on disk, and the layers of each."""
    for recorder in shared._shared.values():
        recorder.recorder.flush()
    found = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            assert file.attrs["length_unit"] == "nanometer"
            ((_, step),) = file["steps"].items()
            layers = step["batch/0/layers"]
            found[step.attrs["phase"], int(step.attrs["step"])] = sorted(map(int, layers))
    return found


def test_the_lowest_layer_counts_its_training_forwards(tmp_path):
    for _ in range(5):
        forward(tmp_path)
        forward(tmp_path, training=False)
    forward(tmp_path)
    assert recorded(tmp_path) == {("train", step): [0, 1] for step in (0, 2, 4)}


def test_layers_called_from_the_top_down_are_one_step_all_the_same(tmp_path):
    forward(tmp_path, layers=(1, 0), interval=1)
    forward(tmp_path, layers=(0, 1), interval=1)
    forward(tmp_path, training=False, interval=1)
    assert recorded(tmp_path) == {("train", 0): [0, 1], ("train", 1): [0, 1]}


def test_within_a_step_of_any_recorder_the_taps_are_that_steps(tmp_path):
    with Recorder(tmp_path / "own", interval=5, length_unit="angstrom", strict=True) as recorder:
        for step in range(4, 7):
            with recorder.step(step):
                forward(tmp_path / "vis", interval=1)
    assert [path.name for path in (tmp_path / "own").glob("*.h5")] == [
        "step-000000005.rank-00000.h5"
    ]
    assert not (tmp_path / "vis").exists()


def test_the_shared_recorder_takes_steps_by_number(tmp_path):
    recorder = shared_recorder(tmp_path, interval=10)
    for step in (9, 10):
        with recorder.step(step, phase="val"):
            forward(tmp_path, interval=10)
    assert recorded(tmp_path) == {("val", 10): [0, 1]}


def test_one_recorder_per_folder_however_it_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorder = shared_recorder("vis", interval=10)
    assert shared_recorder(tmp_path / "vis", interval=10) is recorder
    assert shared_recorder("other", interval=10) is not recorder


def test_another_interval_begins_a_new_attempt(tmp_path):
    shared_recorder(tmp_path, interval=2)
    forward(tmp_path, interval=2)
    shared_recorder(tmp_path, interval=1)
    forward(tmp_path, interval=1)
    forward(tmp_path, interval=1, training=False)
    shared_recorder(tmp_path, interval=1).flush()
    attempts = json.loads((tmp_path / "run.json").read_text())["attempts"]
    assert ["ended" in attempt for attempt in attempts] == [True, False]
    assert len(list(tmp_path.glob("*.a01.h5"))) == 1


def test_wrong_arguments_are_refused_where_the_layer_is_made(tmp_path):
    with pytest.raises(RecordingError):
        shared_recorder(tmp_path, interval=0)


def test_the_last_step_is_written_at_exit(tmp_path):
    script = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_shared import forward
for _ in range(3):
    forward(Path(sys.argv[1]), interval=1)
"""
    code, _, err = programs.finish(programs.start(script, tmp_path, programs.HERE))
    assert code == 0, err
    assert [step for _, step in recorded(tmp_path)] == [0, 1, 2]
    assert "ended" in json.loads((tmp_path / "run.json").read_text())["attempts"][0]
