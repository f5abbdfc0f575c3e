"""What `verify` says of a whole dump is no more than it could see."""

from __future__ import annotations

import shutil

import bare
import pytest

from igaviz.cli.main import main

INVARIANTS = "numbers are finite, rows sum to 1, terms replay"


def without_attention(file):
    for layer in file["steps/000000100/batch/0/layers"].values():
        del layer["attention"]


def without_bias(file):
    del file["steps/000000100/batch/0/layers/0/geo_bias"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, f"8 maps, 0 scalars lines read; {INVARIANTS}"),
        (without_attention, "8 maps, 0 scalars lines read; numbers are finite"),
        (without_bias, f"read; {INVARIANTS} (judged on 4 maps)"),
    ],
)
def test_only_what_could_be_judged_holds(tmp_path, capsys, change, says):
    assert main(["verify", str(bare.write(tmp_path / "x.h5", change=change))]) == 0
    assert " ".join(capsys.readouterr().out.split()).endswith(says)


def test_of_numbers_alone_nothing_is_claimed(tmp_path, sample_data, capsys):
    shutil.copy(sample_data / "healthy" / "scalars.rank-00000.jsonl", tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "whole: 0 shards, 0 maps, 300 scalars lines read\n"
