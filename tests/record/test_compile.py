from contextlib import nullcontext

import programs
import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from igaviz.record import Recorder, recording, tap


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


class Counting:
    """A compiler that keeps the graphs it is given, and runs them: of forward and of backward.

    Those of forward only, where `eager`, in a fraction of the time.
    """

    def __init__(self, *, eager=False):
        self.graphs = []
        self._eager = eager

    def __call__(self, graph, inputs):
        if self._eager:
            self.graphs.append(graph)
            return graph.forward
        return aot_autograd(fw_compiler=self._keep, bw_compiler=self._keep)(graph, inputs)

    def _keep(self, graph, inputs):
        self.graphs.append(graph)
        return make_boxed_func(graph.forward)

    @property
    def sizes(self):
        """How many operations each graph has."""
        return [len(graph.graph.nodes) for graph in self.graphs]

    @property
    def of_the_recorder(self):
        """The operations that were traced from code of the recorder."""
        nodes = [node for graph in self.graphs for node in graph.graph.nodes]
        return [node for node in nodes if "igaviz/record/" in node.meta.get("stack_trace", "")]


def compile_whole(model, backend):
    return torch.compile(model, backend=backend, fullgraph=True)


def compile_in_place(model, backend):
    model.compile(backend=backend, fullgraph=True)
    return model


def compile_layers_in_place(model, backend):
    for layer in model.layers:
        layer.compile(backend=backend, fullgraph=True)
    return model


def compile_layers(model, backend):
    for index, layer in enumerate(model.layers):
        model.layers[index] = torch.compile(layer, backend=backend, fullgraph=True)
    return model


def compile_forwards_of_layers(model, backend):
    for layer in model.layers:
        layer.forward = torch.compile(layer.forward, backend=backend, fullgraph=True)
    return model


WAYS = [
    (compile_whole, "after"),
    (compile_in_place, "before"),
    (compile_layers_in_place, "after"),
    (compile_layers, "after"),
    (compile_forwards_of_layers, "before"),
]


def train(model, data, recorder=None, steps=5):
    """The losses of some steps in training and evaluation."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for step in range(steps):
        with recorder.step(step) if recorder else nullcontext():
            loss = model(*data)
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        with torch.no_grad(), recorder.step(step, phase="val") if recorder else nullcontext():
            losses += [loss.item(), model(*data).item()]
    return losses


def compiled_training(kind, compile_model, data, recorder=None, attach=None):
    """What was compiled, and the losses."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    model, backend = kind(layers=1), Counting()
    for layer in model.layers:
        layer.weights = torch.zeros(
            ()
        )  # what the forward sets must be there, or it is compiled anew
        if hasattr(layer, "drop"):
            layer.drop.p = 0.0  # compiled code draws other random numbers
    if attach == "before":
        recorder.attach(model)
    compiled = compile_model(model, backend)
    if attach == "after":
        recorder.attach(compiled)
    losses = train(compiled, data, recorder)
    assert not counters["graph_break"]
    return backend, dict(counters["stats"]), losses


@pytest.mark.parametrize(("compile_model", "attach"), WAYS)
def test_recording_adds_nothing_to_what_is_compiled(
    tmp_path, either, batch, shards, read_layer, compile_model, attach
):
    """The very first step is due, and so is a later one: nothing was compiled at one of them."""
    data = batch()
    alone, statistics, expected = compiled_training(either, compile_model, data)
    with Recorder(tmp_path, interval=3, length_unit="nanometer", strict=True) as recorder:
        beside, found, losses = compiled_training(either, compile_model, data, recorder, attach)
    assert beside.sizes == alone.sizes
    assert beside.of_the_recorder == []
    assert found["unique_graphs"] == statistics["unique_graphs"]
    assert losses == pytest.approx(expected, rel=1e-5)
    assert shards(tmp_path) == [
        f"step-00000000{step}{phase}.rank-00000.h5" for step in (0, 3) for phase in ("", ".val")
    ]
    stored = read_layer(tmp_path / shards(tmp_path)[2])
    assert stored["attention"].shape == (4, 8, 8)
    assert stored["gamma_gradient_norm"] > 0
    assert stored["module"] == "layers.0"


def test_a_recorder_makes_nothing_be_compiled_again(tmp_path, either, batch, shards):
    """Attached and first due in the midst of a training whose code is compiled already."""
    model, backend, data = either(layers=2), Counting(), batch()
    for layer in model.layers:
        layer.weights = torch.zeros(())
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    train(compiled, data)
    graphs = len(backend.graphs)
    with (
        torch._dynamo.config.patch(error_on_recompile=True),
        Recorder(tmp_path, at=[0, 2, 3], length_unit="nanometer", strict=True) as recorder,
    ):
        recorder.attach(compiled)
        recorder.probe(data)
        train(compiled, data, recorder)
        recorder.close()
        train(compiled, data, recorder)
    assert len(backend.graphs) == graphs
    assert len(shards(tmp_path)) == 9


def test_the_reference_model_is_recorded_compiled(tmp_path, denoiser, shards, read_layer):
    model, chains = denoiser
    del model.blocks[1]
    backend = Counting(eager=True)
    compiled = torch.compile(model, backend=backend)

    def step():
        compiled(chains)[-1].translation.square().sum().backward()

    step()
    graphs, breaks = len(backend.graphs), sum(counters["graph_break"].values())
    with Recorder(tmp_path, interval=2, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(compiled)
        for number in range(4):
            with recorder.step(number):
                step()
    assert len(backend.graphs) == graphs
    assert sum(counters["graph_break"].values()) == breaks == 0
    assert backend.of_the_recorder == []
    assert len(shards(tmp_path)) == 2
    assert "sigma" in read_layer(tmp_path / shards(tmp_path)[1])


FIRST_COMPILED_IN_A_STEP = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from conftest import PlainModel, make_batch
from igaviz.record import Recorder
model, data = PlainModel(layers=1), make_batch()
with Recorder(sys.argv[2], interval=3, length_unit="nanometer", strict=True) as recorder:
    recorder.attach(model)
    assert "torch._dynamo" not in sys.modules
    for step in range(4):
        with recorder.step(step):
            if step == 0:
                compiled = torch.compile(model, backend="eager")
            compiled(*data).backward()
from torch._dynamo.utils import counters
assert not counters["graph_break"]
print(counters["stats"]["unique_graphs"])
"""


def test_what_is_first_compiled_within_a_due_step_is_whole(tmp_path, shards):
    """No compiler was there when the step began, so it compiles: the layer, and nothing of ours."""
    started = programs.start(FIRST_COMPILED_IN_A_STEP, programs.HERE, tmp_path)
    _, out, err = programs.finish(started)
    assert out == "2\n", err  # once within the step, once after it
    assert "step 0 was due but nothing was tapped" in err
    assert shards(tmp_path) == ["step-000000003.rank-00000.h5"]


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
