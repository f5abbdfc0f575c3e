"""Recorders in the loops of Lightning, Hugging Face's Trainer and Accelerate, each for real."""

import logging

import accelerate
import h5py
import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
import transformers
from torch import nn
from torch.utils.data import DataLoader, Dataset

from igaviz.errors import RecordingError
from igaviz.record import Recorder, active, tap
from igaviz.record.frameworks import huggingface
from igaviz.record.frameworks import lightning as callbacks
from igaviz.record.frameworks.accelerate import AcceleratorSteps

N, WIDTH = 9, 16


class Proteins(Dataset):
    """Items of one shape, each with a hole in its mask."""

    def __init__(self, items=8):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(items, N, WIDTH, generator=generator)
        self.ca = torch.randn(items, N, 3, generator=generator)
        self.mask = torch.ones(N, dtype=torch.bool)
        self.mask[3] = False

    def __len__(self):
        return len(self.x)

    def __getitem__(self, item):
        return {"x": self.x[item], "ca": self.ca[item], "mask": self.mask, "number": item}


class Watched(nn.Module):
    """A layer that doesn't tap itself: q·k and a distance term, in the original's shape."""

    class Frames:
        def __init__(self, ca):
            self.ca = ca

        def get_trans(self):
            return self.ca

    def __init__(self, heads=2):
        super().__init__()
        self.linear_q, self.linear_k = nn.Linear(WIDTH, 8 * heads), nn.Linear(WIDTH, 8 * heads)
        self.geo_scale = nn.Parameter(torch.zeros(heads))
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, s, z, r, mask):
        q, k = (f(s).unflatten(-1, (-1, 8)) for f in (self.linear_q, self.linear_k))
        logits = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = nn.functional.softplus(self.geo_scale)[:, None, None]
        logits = logits - gamma * torch.cdist(r.get_trans(), r.get_trans())[:, None]
        pairs = (mask[:, :, None] & mask[:, None, :])[:, None]
        return s + torch.einsum("bhij,bjc->bic", self.softmax(logits - 1e5 * ~pairs), s)


class Network(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.layers = nn.ModuleList(Watched() for _ in range(layers))

    def forward(self, x, ca, mask, number=None, labels=None):
        for layer in self.layers:
            x = layer(s=x, z=None, r=Watched.Frames(ca), mask=mask)
        return {"loss": x.square().mean()}


def recorded(folder):
    """(phase, step) → the step's attributes, its items' names and its layers."""
    found = {}
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            (step,) = file["steps"].values()
            names = [item.attrs.get("name") for item in step["batch"].values()]
            layers = sorted(map(int, step["batch/0/layers"]))
            found[step.attrs["phase"], int(step.attrs["step"])] = dict(step.attrs), names, layers
    return found


def assert_nothing_is_left(model):
    assert not active.listeners
    assert not active.steps_entered
    for module in model.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks


def names_of(batch):
    return {"names": [f"protein {number}" for number in batch["number"].tolist()]}


# Lightning


class _Lit:
    """What a LightningModule does, of either package."""

    def __init__(self, compiled=False):
        super().__init__()
        self.network = Network()
        self.fail_at = None
        self.decays = False
        if compiled:
            for layer in self.network.layers:
                layer.compile(backend="eager")

    def training_step(self, batch, batch_idx):
        if batch_idx == self.fail_at:
            self.network(**batch)
            raise self.error
        return self.network(**batch)

    def validation_step(self, batch, batch_idx):
        self.network(**batch)

    def configure_optimizers(self):
        optimiser = torch.optim.SGD(self.parameters(), lr=0.01)
        if not self.decays:
            return optimiser
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


class Lit(_Lit, pl.LightningModule):
    pass


class OldNamedLit(_Lit, pytorch_lightning.LightningModule):
    pass


def fit(module, callback, folder, **settings):
    loader = DataLoader(Proteins(), batch_size=2)
    package = pytorch_lightning if isinstance(module, OldNamedLit) else pl
    trainer = package.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=callback,
        **settings,
    )
    trainer.fit(module, loader, DataLoader(Proteins(4), batch_size=2))
    return trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "compiled"), [(Lit, False), (Lit, True), (OldNamedLit, False)])
def test_lightning_steps_are_the_optimisers(tmp_path, kind, compiled):
    module = kind(compiled)
    with Recorder(tmp_path / "run", interval=2, length_unit="nanometer", strict=True) as recorder:
        callback = callbacks.RecorderCallback(recorder, validation=True, describe=names_of)
        fit(module, callback, tmp_path, max_epochs=3, accumulate_grad_batches=2)
    found = recorded(tmp_path / "run")
    # four batches are two steps of an epoch; validation comes after each epoch
    assert sorted(found) == [("train", 0), ("train", 2), ("train", 4)] + [
        ("val", step) for step in (2, 4, 6)
    ]
    attributes, names, layers = found["train", 2]
    assert names == ["protein 0", "protein 1"]
    assert layers == [0, 1]
    assert attributes["loss"] > 0
    assert attributes["learning_rate"] == 0.01
    assert attributes["epoch"] == 1
    assert_nothing_is_left(module)


@pytest.mark.filterwarnings("ignore")
def test_lightning_leaves_nothing_behind_an_exception(tmp_path):
    class DivergedError(Exception):
        pass

    for error, raised in ((DivergedError(), DivergedError), (KeyboardInterrupt(), SystemExit)):
        module = Lit()
        module.fail_at, module.error = 1, error
        folder = tmp_path / raised.__name__
        with Recorder(folder, interval=1, length_unit="nanometer") as recorder:
            with pytest.raises((raised, KeyboardInterrupt)):
                fit(module, callbacks.RecorderCallback(recorder), tmp_path, max_epochs=1)
            assert_nothing_is_left(module)
            assert not module.network.training or torch.is_grad_enabled()
        steps = sorted(step for _, step in recorded(folder))
        # what was seen of the failing step may be what explains it; Ctrl-C explains itself
        assert steps == ([0, 1] if raised is DivergedError else [0])


@pytest.mark.filterwarnings("ignore")
def test_a_recorder_that_fails_stops_no_lightning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / "run", interval=1, length_unit="nanometer")
    trainer = fit(Lit(), callbacks.RecorderCallback(recorder), tmp_path, max_epochs=1)
    assert trainer.global_step == 4
    assert "can't record into" in caplog.text


class ForgetsToSay(Watched):
    """Its logits are no softmax of its own, and it taps without `taps_itself`."""

    def __init__(self):
        super().__init__()
        del self.geo_scale

    def forward(self, s, z, r, mask):
        weights = torch.softmax(-torch.cdist(r.get_trans(), r.get_trans())[:, None], -1)
        tap(layer=0, attention=weights, ca=r.get_trans(), mask=mask)
        return s + self.linear_q(s)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_a_model_of_which_nothing_is_recognised_is_trained_all_the_same(
    tmp_path, caplog, framework
):
    def train(recorder):
        if framework == "lightning":
            module = Lit()
            module.network.layers = nn.ModuleList([ForgetsToSay()])
            fit(module, callbacks.RecorderCallback(recorder), tmp_path, max_epochs=1)
        else:
            network = Network()
            network.layers = nn.ModuleList([ForgetsToSay()])
            trainer_of(recorder, tmp_path / "out", network).train()

    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer") as recorder:
        train(recorder)
    assert "nothing of this model is attached: no layer of" in caplog.text
    assert sorted(recorded(tmp_path / "run")) == [("train", step) for step in range(4)]
    with (
        pytest.raises(RecordingError, match="no layer of"),
        Recorder(tmp_path / "strict", interval=1, length_unit="nanometer", strict=True) as recorder,
    ):
        train(recorder)


@pytest.mark.filterwarnings("ignore")
def test_a_description_that_fails_costs_itself(tmp_path, caplog):
    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer") as recorder:
        callback = callbacks.RecorderCallback(recorder, describe=lambda batch: batch["no such"])
        fit(Lit(), callback, tmp_path, max_epochs=1)
    assert len(recorded(tmp_path / "run")) == 4
    assert "describe failed" in caplog.text


# Hugging Face's Trainer


class NamingTrainer(transformers.Trainer):
    recorder = None
    fail_at = None

    def compute_loss(self, model, inputs, **others):
        self.recorder.describe(**names_of(inputs))
        loss = super().compute_loss(model, inputs, **others)
        if self.fail_at is not None and self.state.global_step == self.fail_at:
            raise ZeroDivisionError
        return loss


def trainer_of(recorder, folder, model=None, validation=False, **settings):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        logging_strategy="no",
        **{"save_strategy": "no", "num_train_epochs": 1} | settings,
    )
    trainer = NamingTrainer(
        Network() if model is None else model,
        arguments,
        train_dataset=Proteins(),
        eval_dataset=Proteins(4),
        callbacks=[huggingface.RecorderCallback(recorder, validation=validation)],
    )
    trainer.recorder = recorder
    return trainer


def test_a_trainers_steps_are_the_optimisers_and_go_on_after_a_checkpoint(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}
    for resume in (None, True):
        with Recorder(
            tmp_path / "run", interval=1, length_unit="nanometer", strict=True
        ) as recorder:
            trainer = trainer_of(
                recorder, tmp_path / "out", max_steps=2 if resume is None else 4, **settings
            )
            trainer.train(resume_from_checkpoint=resume)
            assert_nothing_is_left(trainer.model)
    assert sorted(path.name for path in (tmp_path / "run").glob("*.h5")) == [
        "step-000000000.rank-00000.h5",
        "step-000000001.rank-00000.h5",
        "step-000000002.rank-00000.a01.h5",
        "step-000000003.rank-00000.a01.h5",
    ]
    attributes, names, layers = recorded(tmp_path / "run")["train", 0]
    assert len(names) == 1
    assert names[0].startswith("protein ")
    assert layers == [0, 1]
    assert attributes["learning_rate"] > 0


def test_what_an_exception_leaves_in_a_trainers_model_goes_with_the_recorder(tmp_path):
    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer") as recorder:
        trainer = trainer_of(recorder, tmp_path / "out")
        trainer.fail_at = 1
        with pytest.raises(ZeroDivisionError):
            trainer.train()
        trainer.fail_at = None
        trainer.train()
        assert_nothing_is_left(trainer.model)
        trainer.fail_at = 3
        with pytest.raises(ZeroDivisionError):
            trainer.train()
    for module in trainer.model.modules():
        assert "forward" not in vars(module)


# Accelerate


def test_accelerate_counts_the_optimisers_steps(tmp_path):
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    network = Network()
    model, optimiser, loader = accelerator.prepare(
        network, torch.optim.SGD(network.parameters(), lr=0.01), DataLoader(Proteins(7))
    )
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(model)
        steps = AcceleratorSteps(recorder, accelerator, first=100)
        for batch in loader:
            with steps.step(**names_of(batch)), accelerator.accumulate(model):
                accelerator.backward(model(**batch)["loss"])
                optimiser.step()
                optimiser.zero_grad()
    # seven batches are four steps: the last of a loader is one by itself
    assert steps.number == 104
    found = recorded(tmp_path)
    assert [names for _, names, _ in (found["train", s] for s in range(100, 104))] == [
        [f"protein {number}"] for number in (0, 2, 4, 6)
    ]
    assert_nothing_is_left(model)


def test_describe_says_what_it_can_not_use(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    recorder.describe(names=["not in a step"])
    with recorder.step(0):
        recorder.describe(name=["1abc"])
    assert "'name'" in caplog.text


# What all three must agree on


class Before:
    """γ of the first layer and the learning rate, as each step begins."""

    def __init__(self):
        self.gamma, self.rate = {}, {}

    def keep(self, step, network, optimiser):
        scale = network.layers[0].geo_scale.detach()
        self.gamma[step] = nn.functional.softplus(scale).tolist()
        self.rate[step] = optimiser.param_groups[0]["lr"]


class BeforeInLightning(Before, pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.keep(trainer.global_step, pl_module.network, trainer.optimizers[0])


class BeforeInTrainer(Before, transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, model=None, optimizer=None, **others):
        self.keep(state.global_step, model, optimizer)


def gamma_of(folder, phase, step):
    (path,) = folder.glob(f"step-{step:09d}.{phase}.*" if phase else f"step-{step:09d}.rank*")
    with h5py.File(path) as file:
        return file[f"steps/{step:09d}/batch/0/layers/0/gamma"][:].tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("framework", ["lightning", "transformers"])
def test_a_step_is_told_by_its_own_weights_and_rate(tmp_path, framework):
    before = BeforeInLightning() if framework == "lightning" else BeforeInTrainer()
    folder = tmp_path / "run"
    batch = next(iter(DataLoader(Proteins(), batch_size=2)))
    with Recorder(folder, interval=1, length_unit="nanometer", strict=True) as recorder:
        if framework == "lightning":
            module = Lit()
            module.decays = True
            recorder.attach(module.network)
            recorder.probe(batch)
            callback = callbacks.RecorderCallback(recorder, module=module.network)
            fit(module, [callback, before], tmp_path, max_epochs=1, limit_val_batches=0)
        else:
            trainer = trainer_of(recorder, tmp_path / "out", learning_rate=0.1)
            trainer.add_callback(before)
            recorder.attach(trainer.model)
            recorder.probe(batch)
            trainer.train()
        steps = sorted(before.gamma)
        assert len(steps) == 4
    assert before.gamma[0] != before.gamma[3]
    assert before.rate[0] != before.rate[3]
    found = recorded(folder)
    for step in steps:
        assert gamma_of(folder, "", step) == before.gamma[step]
        assert gamma_of(folder, "probe", step) == before.gamma[step]
        assert found["train", step][0]["learning_rate"] == before.rate[step]


@pytest.mark.filterwarnings("ignore")
def test_validation_is_recorded_whatever_the_interval(tmp_path):
    expected = [("train", 0), ("val", 4), ("val", 8)]
    with Recorder(tmp_path / "a", interval=100, length_unit="nanometer", strict=True) as recorder:
        callback = callbacks.RecorderCallback(recorder, validation=True, describe=names_of)
        fit(Lit(), callback, tmp_path, max_epochs=2)
    assert sorted(recorded(tmp_path / "a")) == expected
    with Recorder(tmp_path / "b", interval=100, length_unit="nanometer", strict=True) as recorder:
        settings = {"num_train_epochs": 2, "eval_strategy": "epoch", "eval_on_start": True}
        settings["label_names"] = ["number"]  # without one an evaluation computes no loss
        trainer = trainer_of(recorder, tmp_path / "out", validation=True, **settings)
        trainer.train()
        assert_nothing_is_left(trainer.model)
    found = recorded(tmp_path / "b")
    assert sorted(found) == sorted([*expected, ("val", 0)])
    assert found["val", 8][1][0] == "protein 0"


def test_with_scalars_alone_validation_gives_scalars_alone(tmp_path):
    with Recorder(tmp_path, scalars_interval=5, length_unit="nanometer", strict=True) as recorder:
        network = Network()
        recorder.attach(network)
        batch = next(iter(DataLoader(Proteins(), batch_size=2)))
        for step in (3, 5):
            with recorder.step(step, phase="val", always=step == 3):
                network(**batch)
            assert "iga/val/layer0/gamma" in recorder.scalars()
    assert recorded(tmp_path) == {}


class Breaks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ZeroDivisionError


def test_closing_a_recorder_leaves_a_step_that_a_trainer_left_open(tmp_path):
    class BreaksInBackward(Network):
        def forward(self, **batch):
            return {"loss": Breaks.apply(super().forward(**batch)["loss"])}

    torch.compile(lambda x: x, backend="eager")(torch.ones(1))
    recorder = Recorder(tmp_path / "run", interval=1, length_unit="nanometer", strict=True)
    trainer = trainer_of(recorder, tmp_path / "out", BreaksInBackward())
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert active.steps_entered == 1
    recorder.close()
    assert_nothing_is_left(trainer.model)
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_copies_of_a_model_on_several_gpus_are_not_recorded_and_it_is_said(tmp_path, caplog):
    recorder = Recorder(tmp_path / "run", interval=1, length_unit="nanometer", strict=True)
    trainer = trainer_of(recorder, tmp_path / "out", max_steps=1)
    trainer.args._n_gpu = 2
    assert trainer.train().global_step == 1
    assert "start it with torchrun" in caplog.text
    assert recorded(tmp_path / "run") == {}


@pytest.mark.filterwarnings("ignore")
def test_a_batch_that_the_model_skips_leaves_no_step_open(tmp_path):
    module, seen = Lit(), []
    module.on_train_batch_start = lambda batch, batch_idx: -1 if batch_idx == 1 else None
    module.on_validation_epoch_start = lambda: seen.append(active.steps_entered)
    module.on_train_epoch_end = lambda: seen.append(active.steps_entered)
    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer", strict=True) as recorder:
        fit(module, callbacks.RecorderCallback(recorder), tmp_path, max_epochs=1)
    assert set(seen) == {0}
    assert sorted(recorded(tmp_path / "run")) == [("train", 0)]


@pytest.mark.filterwarnings("ignore")
def test_the_loss_is_that_of_the_training_step(tmp_path):
    from lightning.pytorch.plugins import MixedPrecision

    losses = []

    class Kept(Lit):
        def training_step(self, batch, batch_idx):
            out = super().training_step(batch, batch_idx)
            losses.append(out["loss"].item())
            return out

    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer", strict=True) as recorder:
        fit(
            Kept(),
            callbacks.RecorderCallback(recorder),
            tmp_path,
            max_steps=1,
            accumulate_grad_batches=2,
            plugins=[MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))],
        )
    assert recorded(tmp_path / "run")["train", 0][0]["loss"] == pytest.approx(losses[0], rel=1e-3)


def test_validation_is_no_step_of_accelerates_optimiser_nor_is_a_batch_that_raises(tmp_path):
    accelerator = accelerate.Accelerator(cpu=True)
    network = accelerator.prepare(Network())
    batch = next(iter(DataLoader(Proteins(), batch_size=2)))
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(network)
        steps = AcceleratorSteps(recorder, accelerator)
        with pytest.raises(ZeroDivisionError), steps.step():
            raise ZeroDivisionError
        with steps.step(phase="val"):
            network(**batch)
        assert steps.number == 0
        with steps.step():
            network(**batch)
        assert steps.number == 1
    assert ("val", 0) in recorded(tmp_path)
