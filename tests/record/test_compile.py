import pytest
import torch
from torch._dynamo.utils import counters

from igaviz.record import Recorder, recording, tap


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


class Counting:
    """A compiler backend that runs what it is given and counts how often it compiled."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


def test_a_compiled_model_breaks_no_graph_and_is_recorded_where_due(
    tmp_path, toy, batch, shards, read_layer
):
    plain, backend = toy(layers=2), Counting()
    for layer in plain.layers:
        layer.weights = torch.zeros(())
    model = torch.compile(plain, backend=backend, fullgraph=True)
    data = batch()
    model(*data).backward()
    graphs = backend.graphs
    with Recorder(tmp_path, interval=3, length_unit="nanometer", strict=True) as recorder:
        for step in range(7):
            with recorder.step(step):
                model(*data).backward()
    assert backend.graphs == graphs
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == graphs
    assert shards(tmp_path) == [f"step-00000000{step}.rank-00000.h5" for step in (0, 3, 6)]
    assert read_layer(tmp_path / shards(tmp_path)[1], layer=1)["attention"].shape == (4, 8, 8)


def test_inside_compiled_code_a_tap_and_its_question_are_nothing(tmp_path):
    seen = []

    @torch.compile(backend="eager", fullgraph=True)
    def layer(x):
        if recording():
            seen.append(x)
        tap(layer=0, attention=x)
        return torch.softmax(x, -1)

    x = torch.randn(1, 2, 4, 4)
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        expected = layer(x)
        with recorder.step(0):
            pass
        torch.testing.assert_close(layer(x), expected)
    assert seen == []
    assert counters["stats"]["unique_graphs"] == 1
