"""Recorders in the loop of Hugging Face's Trainer, for real."""

import pytest
import torch
import transformers
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
from igaviz.record.frameworks import huggingface


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


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_which_nothing_is_recognised_is_trained_all_the_same(tmp_path, caplog):
    def train(recorder):
        network = Network()
        network.layers = nn.ModuleList([ForgetsToSay()])
        trainer_of(recorder, tmp_path / "out", network).train()

    assert_trained_though_nothing_is_recognised(train, tmp_path, caplog)


class BeforeInTrainer(Before, transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, model=None, optimizer=None, **others):
        self.keep(state.global_step, model, optimizer)


@pytest.mark.filterwarnings("ignore")
def test_a_step_is_told_by_its_own_weights_and_rate(tmp_path):
    before, folder = BeforeInTrainer(), tmp_path / "run"
    with Recorder(folder, interval=1, length_unit="nanometer", strict=True) as recorder:
        trainer = trainer_of(recorder, tmp_path / "out", learning_rate=0.1)
        trainer.add_callback(before)
        recorder.attach(trainer.model)
        recorder.probe(next(iter(DataLoader(Proteins(), batch_size=2))))
        trainer.train()
    assert_told_by_its_own_weights_and_rate(folder, before)


@pytest.mark.filterwarnings("ignore")
def test_validation_is_recorded_whatever_the_interval(tmp_path):
    folder = tmp_path / "run"
    with Recorder(folder, interval=100, length_unit="nanometer", strict=True) as recorder:
        settings = {"num_train_epochs": 2, "eval_strategy": "epoch", "eval_on_start": True}
        settings["label_names"] = ["number"]  # without one an evaluation computes no loss
        trainer = trainer_of(recorder, tmp_path / "out", validation=True, **settings)
        trainer.train()
        assert_nothing_is_left(trainer.model)
    found = recorded(folder)
    assert sorted(found) == [("train", 0), ("val", 0), ("val", 4), ("val", 8)]
    assert found["val", 8][1][0] == "protein 0"


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
