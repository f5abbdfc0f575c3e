"""Numbers of scalar steps: what they set off, what a logger gets, what a reader reads."""

import json

import pytest
import torch

from igaviz.record import Recorder, tap

UNIT = {"length_unit": "nanometer", "strict": True}


def tap_logits(scale, layer=0):
    generator = torch.Generator().manual_seed(layer)
    s, g = scale * torch.randn(2, 1, 2, 8, 8, generator=generator)
    ca = torch.randn(1, 8, 3, generator=generator)
    tap(
        layer=layer,
        logits_before=s,
        geo_bias=g,
        attention=torch.softmax(s + g, -1),
        ca=ca,
        gamma=torch.ones(2),
    )


@pytest.mark.parametrize(
    "trigger",
    [{"saturation": 0.5}, lambda line: line["layer"] == 1 and max(line["saturation"]) > 0.5],
    ids=["level", "function"],
)
def test_full_maps_of_the_step_whose_numbers_ask_for_them(tmp_path, shards, trigger):
    """A spike of layer 1 at steps 4 and 5: 5 is no scalar step; maps are due anyway at 6."""
    with Recorder(tmp_path, at=[6], scalars_interval=2, trigger=trigger, **UNIT) as recorder:
        for step in range(10):
            with recorder.step(step):
                tap_logits(0.1)
                tap_logits(1000.0 if step in (4, 5) else 0.1, layer=1)
    assert shards(tmp_path) == [f"step-00000000{step}.rank-00000.h5" for step in (4, 6)]
    lines = (tmp_path / "scalars.rank-00000.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_a_trigger_that_fails_ends_recording_and_not_training(tmp_path, caplog):
    recorder = Recorder(
        tmp_path, scalars_interval=1, trigger=lambda line: 1 / 0, length_unit="nanometer"
    )
    for step in range(3):
        with recorder.step(step):
            tap_logits(0.1)
    recorder.close()
    assert caplog.text.count("recording failed") == 1
    off = json.loads((tmp_path / "run.json").read_text())["attempts"][0]["off"]
    assert "ZeroDivisionError" in off["reason"]


def test_a_logger_gets_each_scalar_step_once_with_all_its_phases(tmp_path, either, batch):
    model = either(layers=2)
    seen = {}
    with Recorder(tmp_path, interval=3, scalars_interval=2, echo=True, **UNIT) as recorder:
        recorder.attach(model)
        recorder.probe(batch())
        for step in range(5):
            with recorder.step(step):
                loss = model(*batch())
                loss.backward()
                recorder.note(loss=loss, learning_rate=torch.tensor([0.1]))
            if numbers := recorder.scalars():
                seen[step] = numbers
            assert recorder.scalars() == {}
        with recorder.step(6):
            model(*batch())
    assert {"iga/layer0/gamma", "iga/layer1/gamma", "iga/probe/layer1/gamma"} <= seen[4].keys()
    assert seen.keys() == {0, 2, 4}
    assert seen[4]["iga/layer1/gamma_gradient_norm"] > 0
    assert len(recorder.scalars()) > 0  # of step 6, after the end too
    lines = [json.loads(line) for line in (tmp_path / "scalars.rank-00000.jsonl").open()]
    of_training = [line for line in lines if line["step"] == 4 and line["phase"] == "train"]
    assert [line["layer"] for line in of_training] == [0, 1]
    for line in of_training:
        gamma = sum(line["gamma"]) / len(line["gamma"])
        assert seen[4][f"iga/layer{line['layer']}/gamma"] == pytest.approx(gamma)
        assert line["numbers"] == {
            "loss": pytest.approx(loss.item()),
            "learning_rate": pytest.approx(0.1),
        }
        assert line["gamma_gradient_norm"] > 0
