"""Recorders in the loops of Lightning, under both of its names, for real."""

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from loops import (
    Before,
    ForgetsToSay,
    Network,
    Proteins,
    assert_nothing_is_left,
    assert_told_by_its_own_weights_and_rate,
    assert_trained_though_nothing_is_recognised,
    names_of,
    recorded,
)
from torch import nn
from torch.utils.data import DataLoader

from igaviz.record import Recorder, active
from igaviz.record.frameworks import lightning as callbacks


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


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_which_nothing_is_recognised_is_trained_all_the_same(tmp_path, caplog):
    def train(recorder):
        module = Lit()
        module.network.layers = nn.ModuleList([ForgetsToSay()])
        fit(module, callbacks.RecorderCallback(recorder), tmp_path, max_epochs=1)

    assert_trained_though_nothing_is_recognised(train, tmp_path, caplog)


@pytest.mark.filterwarnings("ignore")
def test_a_description_that_fails_costs_itself(tmp_path, caplog):
    with Recorder(tmp_path / "run", interval=1, length_unit="nanometer") as recorder:
        callback = callbacks.RecorderCallback(recorder, describe=lambda batch: batch["no such"])
        fit(Lit(), callback, tmp_path, max_epochs=1)
    assert len(recorded(tmp_path / "run")) == 4
    assert "describe failed" in caplog.text


class BeforeInLightning(Before, pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.keep(trainer.global_step, pl_module.network, trainer.optimizers[0])


@pytest.mark.filterwarnings("ignore")
def test_a_step_is_told_by_its_own_weights_and_rate(tmp_path):
    before, module = BeforeInLightning(), Lit()
    module.decays = True
    folder = tmp_path / "run"
    with Recorder(folder, interval=1, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(module.network)
        recorder.probe(next(iter(DataLoader(Proteins(), batch_size=2))))
        callback = callbacks.RecorderCallback(recorder, module=module.network)
        fit(module, [callback, before], tmp_path, max_epochs=1, limit_val_batches=0)
    assert_told_by_its_own_weights_and_rate(folder, before)


@pytest.mark.filterwarnings("ignore")
def test_validation_is_recorded_whatever_the_interval(tmp_path):
    folder = tmp_path / "run"
    with Recorder(folder, interval=100, length_unit="nanometer", strict=True) as recorder:
        callback = callbacks.RecorderCallback(recorder, validation=True, describe=names_of)
        fit(Lit(), callback, tmp_path, max_epochs=2)
    assert sorted(recorded(folder)) == [("train", 0), ("val", 4), ("val", 8)]


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
