"""What waits to be written: its memory is bounded, and training waits for it only if asked to."""

import gc
import json
import shutil
import threading
import time

import pytest
import torch

from igaviz.errors import RecordingError
from igaviz.record import Recorder, background, tap
from igaviz.record import recording as recording_now
from igaviz.record.host import HostCopy
from igaviz.record.writer import Writer

N = 32
MAP_BYTES = 2 * N * N * 4
STEP_BYTES = 3 * MAP_BYTES


def tap_maps():
    s, g = torch.randn(2, 1, 2, N, N)
    tap(layer=0, logits_before=s, geo_bias=g, attention=s + g, ca=torch.randn(1, N, 3))


def held_bytes():
    """The memory of all copies of maps that are alive in this process."""
    copies = [thing for thing in gc.get_objects() if type(thing) is HostCopy]
    return sum(copy.n_bytes for copy in copies if copy.n_bytes == MAP_BYTES)


@pytest.fixture
def slow_disk(monkeypatch):
    """Nothing is written until the event is set."""
    free = threading.Event()
    write_step = Writer.write_step

    def write(self, record):
        assert free.wait(60)
        return write_step(self, record)

    monkeypatch.setattr(Writer, "write_step", write)
    yield free
    free.set()


def counts(folder):
    return json.loads((folder / "run.json").read_text())["attempts"][0]


def test_a_long_wait_at_the_end_is_no_silent_one(tmp_path, slow_disk, caplog, monkeypatch, shards):
    monkeypatch.setattr(background, "PATIENCE", 0.05)
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    for step in range(2):
        with recorder.step(step):
            tap_maps()
    threading.Timer(0.3, slow_disk.set).start()
    recorder.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"igaviz: waiting until what was recorded is written: {2 * STEP_BYTES / 1e6:.1f} MB left"
    ]
    assert len(shards(tmp_path)) == 2


def test_a_slow_disk_drops_steps_and_never_stops_training(tmp_path, slow_disk, caplog, shards):
    recorder = Recorder(
        tmp_path,
        interval=1,
        scalars_interval=2,
        queue_bytes=3 * STEP_BYTES + 100,
        length_unit="nanometer",
    )
    for step in range(10):
        with recorder.step(step):
            tap_maps()
        assert held_bytes() <= 3 * STEP_BYTES + 100
        # A logger's numbers don't wait for the disk either.
        assert bool(recorder.scalars()) == (step % 2 == 0)
    slow_disk.set()
    recorder.flush()
    assert held_bytes() == 0
    with recorder.step(10):
        tap_maps()
    recorder.close()
    assert len(shards(tmp_path)) == 4
    assert caplog.text.count("dropped") == 1
    assert counts(tmp_path)["dropped_steps"] == 7
    assert counts(tmp_path)["recorded_steps"] == 4
    lines = (tmp_path / "scalars.rank-00000.jsonl").read_text().splitlines()
    assert len(lines) == 6


def test_a_recorder_that_waits_loses_nothing(tmp_path, slow_disk, shards):
    recorder = Recorder(
        tmp_path,
        interval=1,
        queue_bytes=2 * STEP_BYTES + 100,
        when_full="wait",
        length_unit="nanometer",
    )
    threading.Timer(0.3, slow_disk.set).start()
    start = time.monotonic()
    for step in range(8):
        with recorder.step(step):
            tap_maps()
        assert held_bytes() <= 2 * STEP_BYTES + 100
    assert time.monotonic() - start > 0.2
    recorder.close()
    assert len(shards(tmp_path)) == 8
    assert counts(tmp_path)["dropped_steps"] == 0


@pytest.mark.parametrize("when_full", ["drop", "wait"])
def test_a_step_that_never_fits_is_dropped_not_waited_for(tmp_path, when_full, shards, caplog):
    """Neither is one that waits for a step of the same thread."""
    recorder = Recorder(
        tmp_path,
        interval=1,
        queue_bytes=STEP_BYTES + 100,
        when_full=when_full,
        length_unit="nanometer",
    )
    with recorder.step(0):
        tap_maps()
        with recorder.step(0, phase="val"):
            tap_maps()
    recorder.flush()
    with recorder.step(1):
        tap_maps()
        for layer in (1, 2):
            tap(layer=layer, attention=torch.rand(1, 2, N, N))
    recorder.close()
    assert shards(tmp_path) == ["step-000000000.rank-00000.h5"]
    assert counts(tmp_path)["dropped_steps"] == 2


def test_without_a_thread_to_be_had_the_training_thread_writes(tmp_path, monkeypatch, shards):
    """A process at its limit of threads; an interpreter that is about to end."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        for step in range(2):
            with recorder.step(step):
                tap_maps()
            assert len(shards(tmp_path)) == step + 1
    assert counts(tmp_path)["recorded_steps"] == 2


def test_strict_raises_what_closing_meets_once_and_never_over_trainings_own(tmp_path):
    def recorded(name):
        recorder = Recorder(tmp_path / name, interval=1, length_unit="nanometer", strict=True)
        with recorder.step(0):
            tap_maps()
        shutil.rmtree(tmp_path / name)
        return recorder

    recorder = recorded("closed")
    with pytest.raises(RecordingError, match="recording failed"):
        recorder.close()
    recorder.close()
    with pytest.raises(RecordingError), recorded("left"):
        pass
    with pytest.raises(ZeroDivisionError), recorded("failed"):
        1 / 0  # noqa: B018


def test_nothing_stays_in_the_model_when_ctrl_c_comes_while_a_step_opens(
    tmp_path, monkeypatch, either, batch
):
    model = either(layers=1)
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    recorder.attach(model)
    from igaviz.record.watch import Watch

    opened = Watch.open

    def interrupted(self):
        opened(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "open", interrupted)
    with pytest.raises(KeyboardInterrupt), recorder.step(0):
        raise AssertionError
    assert not recording_now()
    assert not any("forward" in module.__dict__ for module in model.modules())
    recorder.close()
