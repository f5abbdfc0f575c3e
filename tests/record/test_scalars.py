import json

import numpy as np
import pytest
import torch

from igaviz.dump import open_dump
from igaviz.errors import RecordingError
from igaviz.metrics.table import METRICS
from igaviz.record import Recorder, tap

UNIT = {"length_unit": "nanometer", "strict": True}


def lines_of(folder):
    return [json.loads(line) for line in (folder / "scalars.rank-00000.jsonl").open()]


def tap_item(n=6, layer=0, heads=2, batch=1, **changes):
    s, g = torch.randn(2, batch, heads, n, n)
    given = {
        "logits_before": s,
        "geo_bias": g,
        "attention": torch.softmax(s + g, -1),
        "gamma": torch.ones(heads),
        "ca": torch.randn(batch, n, 3),
    }
    tap(layer=layer, **given | changes)


def test_a_line_per_layer_at_scalar_steps_and_shards_only_at_their_own(
    tmp_path, toy, batch, shards
):
    model = toy(layers=2, heads=4)
    with Recorder(
        tmp_path, at=[20], scalars_interval=10, items=1, heads=[2], layers=[0], **UNIT
    ) as recorder:
        for step in range(31):
            with recorder.step(step, phase="val"):
                model(*batch())
    found = lines_of(tmp_path)
    assert [(line["step"], line["layer"]) for line in found] == [
        (step, layer) for step in (0, 10, 20, 30) for layer in (0, 1)
    ]
    line = found[-1]
    assert (line["phase"], line["attempt"], line["maps"]) == ("val", 0, 3)
    assert line["heads"] == [0, 1, 2, 3]
    metrics = line.keys() - {"step", "phase", "attempt", "layer", "maps", "heads"}
    assert metrics <= {metric.name for metric in METRICS}
    assert {"gamma", "geometry_effect", "saturation", "local_attn"} <= metrics
    assert all(len(line[metric]) == 4 for metric in metrics)
    assert shards(tmp_path) == ["step-000000020.val.rank-00000.h5"]


def test_what_a_loop_notes_and_the_gradient_of_gamma_are_read_again(tmp_path, either, batch):
    model = either(layers=2)
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder:
        recorder.attach(model)
        for step in range(2):
            with recorder.step(step):
                loss = model(*batch())
                recorder.note(loss=loss, learning_rate=0.5)
                if step:
                    loss.backward()
    (run,) = open_dump(tmp_path).runs
    found = list(run.scalar_lines("train"))
    assert len(found) == 4
    for line in found:
        assert line.numbers.keys() == {"loss", "learning_rate"}
        assert line.numbers["learning_rate"] == 0.5
        assert (line.gamma_gradient_norm is None) == (line.step == 0)
        if line.step:  # the layers tap or have a parameter that γ is made of
            assert line.gamma_gradient_norm > 0
    assert found[-1].numbers["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_what_is_noted_and_is_no_number_is_left_out_and_named_once(tmp_path, caplog):
    bad = {"a": None, "b": [0.1, 0.2], "c": "0.5", "d": torch.ones(2), "e": 1j, "f": 10**400}
    names = {"": 1.0, "x\0y": 1.0, "z" * 65: 1.0, "epoch": 1.0}
    with Recorder(tmp_path, interval=1, scalars_interval=1, length_unit="nanometer") as recorder:
        for step in range(2):
            with recorder.step(step):
                recorder.note(**bad, **names, loss=0.25)
                tap_item()
    dump = open_dump(tmp_path)
    assert [line.numbers for line in dump.runs[0].scalar_lines("train")] == [{"loss": 0.25}] * 2
    assert [dict(entry.numbers) for entry in dump.entries] == [{"loss": 0.25}] * 2
    assert len(caplog.messages) == len(bad) + len(names)
    assert "'a' of recorder.note is left out: a number belongs there" in caplog.messages[0]
    assert caplog.messages[3].endswith("float32, shape (2,); recording goes on")
    strict = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match=r"'b' .* and not \[0.1, 0.2\]"), strict.step(0):
        strict.note(b=[0.1, 0.2])


def test_numbers_are_over_valid_residues_of_the_whole_batch(tmp_path):
    """Entropy of known weights: 2 valid residues attend half and half, 1 attends itself."""
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0, :2, :2] = 0.5
    weights[1, 0, 0, 0] = 1.0
    mask = torch.tensor([[True, True, False], [True, False, False]])
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder, recorder.step(0):
        tap(layer=0, attention=weights, ca=torch.randn(2, 3, 3), mask=mask)
    (line,) = lines_of(tmp_path)
    assert line["maps"] == 2
    assert line["entropy"] == [pytest.approx(np.log(2) / 2, rel=1e-5)]  # six digits
    assert line["self_mass"] == [pytest.approx(0.75)]
    assert line["gamma"] == [None]


def test_what_is_not_finite_is_null_and_counted(tmp_path):
    logits = torch.randn(1, 2, 6, 6)
    logits[0, 1] = torch.nan
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder, recorder.step(0):
        tap_item(logits_before=logits, attention=torch.softmax(logits, -1))
    (line,) = lines_of(tmp_path)
    assert line["nonfinite"] == [0, 72]
    assert recorder.scalars()["iga/layer0/nonfinite"] == 72
    assert line["entropy"][0] > 0
    assert line["entropy"][1] is None


def test_residue_numbers_of_the_step_tell_what_is_long_range(tmp_path):
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder:
        for step, spread in enumerate((1, 10)):
            with recorder.step(step, residue_index=[np.arange(6) * spread]):
                tap_item(ca=torch.arange(18.0).reshape(1, 6, 3) * 0.2)
    near, far = lines_of(tmp_path)
    assert near["longrange_enrichment"] == [None, None]
    assert far["longrange_enrichment"] == pytest.approx(far["local_enrichment"])


def test_autocast_does_not_round_the_numbers(tmp_path):
    torch.manual_seed(0)
    s, g = torch.randn(2, 1, 2, 40, 40) * 5
    terms = {"logits_before": s, "geo_bias": g, "attention": torch.softmax(s + g, -1)}
    ca = torch.randn(1, 40, 3)
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder:
        with recorder.step(0):
            tap_item(40, ca=ca, **terms)
        with recorder.step(1), torch.autocast("cpu", torch.bfloat16):
            tap_item(40, ca=ca, **terms)
    plain, cast = lines_of(tmp_path)
    assert {**plain, "step": 1} == cast
    assert max(plain["replay_error"]) < 1e-5


def test_frames_given_by_the_first_layer_serve_the_next(tmp_path):
    torch.manual_seed(0)
    s, g = torch.randn(2, 1, 2, 6, 6)
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder, recorder.step(0):
        tap_item(logits_before=s, geo_bias=g)
        tap_item(layer=1, logits_before=s, geo_bias=g, ca=None)
    first, second = lines_of(tmp_path)
    assert first["geo_bias_std_near"] == second["geo_bias_std_near"]


@pytest.mark.parametrize(("items", "n"), [(2, 6), (2, 9), (1, 8)])
def test_frames_serve_a_layer_of_less_of_the_batch_or_other_padding(tmp_path, items, n):
    """Six valid residues of each item, padded to eight where the frames were given."""
    torch.manual_seed(0)
    s, g = torch.randn(2, 2, 2, 9, 9)
    mask = torch.arange(9)[None] < torch.tensor([[6], [6]])
    parts = [np.s_[:2, ..., :8], np.s_[:items, ..., :n]]
    ca = torch.randn(2, 9, 3)

    def tap_part(layer, part, ca):
        there = {"logits_before": s[part][..., : part[-1].stop, :], "mask": mask[part]}
        bias = g[part][..., : part[-1].stop, :]
        tap(layer=layer, geo_bias=bias, ca=ca, **there)

    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder, recorder.step(0):
        tap_part(0, parts[0], ca[:, :8])
        tap_part(1, parts[1], None)
        tap_part(2, parts[1], ca[:items, :n])
    _, without, own = lines_of(tmp_path)
    assert without["maps"] == items
    assert without | {"layer": 2} == own


def test_a_resuming_recorder_ends_a_torn_line_and_counts_its_attempt(tmp_path):
    path = tmp_path / "scalars.rank-00000.jsonl"
    for _ in range(2):
        with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder:
            for step in range(2):
                with recorder.step(step):
                    tap_item()
        path.write_bytes(path.read_bytes() + b'{"step": 2, "lay')
    (tmp_path / "run.json").unlink()  # the lines themselves know their attempt
    with Recorder(tmp_path, scalars_interval=1, **UNIT) as recorder, recorder.step(1):
        tap_item()
    text = path.read_text()
    assert text.endswith("}\n")
    torn = [line for line in text.splitlines() if not line.endswith("}")]
    assert torn == ['{"step": 2, "lay'] * 2
    whole = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    assert [(line["attempt"], line["step"]) for line in whole] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 1),
    ]


def expected_line(layer, heads=slice(None)):
    """The classic line of a toy layer on the one item of the batch, in plain numpy."""
    n = 9
    distance = 10 * np.linalg.norm(layer.ca[:, None] - layer.ca[None], axis=-1)
    pairs = ~np.eye(n, dtype=bool)
    local = pairs & (distance < 8.0)
    bias, weights = layer.bias[heads], layer.weights[0, heads].double().numpy()
    return (
        f"[IGA Vis Layer 1] Step 100: γ={layer.gamma[heads].mean():.3f}, "
        f"geo_bias={bias[:, pairs].mean():.3f}, "
        f"local_attn={weights[:, local].mean():.4f}, "
        f"global_attn={weights[:, pairs & ~local].mean():.4f}"
    )


@pytest.mark.parametrize("heads", [None, [2], [0, 3]])
def test_echo_prints_the_line_that_users_know(tmp_path, toy, batch, capsys, heads):
    model = toy(layers=2)
    x, ca, _ = batch((9,))
    mask = torch.ones(1, 9, dtype=torch.bool)
    with Recorder(
        tmp_path, at=[100], scalars_interval=50, layers=[1], heads=heads, echo=True, **UNIT
    ) as recorder:
        for step in (50, 100, 101):
            with recorder.step(step):
                model(x, ca, mask)
    layer = model.layers[1]
    layer.ca = ca[0].double().numpy()
    layer.gamma = torch.nn.functional.softplus(layer.scale).detach().double().numpy()
    squared = np.square(layer.ca[:, None] - layer.ca[None]).sum(-1)
    layer.bias = -layer.gamma[:, None, None] * squared
    chosen = slice(None) if heads is None else heads
    assert capsys.readouterr().out == expected_line(layer, chosen) + "\n"
    assert len(lines_of(tmp_path)) == 4


def test_without_scalars_there_is_no_file_of_them(tmp_path, capsys):
    with Recorder(tmp_path, interval=1, echo=True, **UNIT) as recorder, recorder.step(0):
        tap_item()
    assert capsys.readouterr().out.startswith("[IGA Vis Layer 0] Step 0: ")
    assert not list(tmp_path.glob("*.jsonl"))
