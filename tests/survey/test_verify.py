"""What `verify` says of a whole dump is no more than it could see."""

from __future__ import annotations

import json
import shutil

import bare
import numpy as np
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


def test_heads_of_a_layer_that_break_the_same_are_one_line(tmp_path, capsys):
    def spoil(file):
        layers = file["steps/000000100/batch/0/layers"]
        layers["0/geo_bias"][...] = np.nan
        layers["1/geo_bias"][2] = np.nan
        layers["1/geo_bias"][0, 0, :7] = np.nan
        layers["1/attention"][3] *= 1.1

    dump = str(bare.write(tmp_path / "x.h5", n=60, change=spoil))
    assert main(["verify", dump]) == 1
    said = capsys.readouterr().out
    place = f"{dump}:steps/000000100/batch/0/layers"
    assert said.splitlines()[:3] == [
        f"D001     {place}/0 (heads 0-3): numbers are broken (nonfinite 3,600)",
        f"D001     {place}/1 (heads 0, 2): numbers are broken (nonfinite 7–3,600)",
        f"D002     {place}/1 (head 3): rows do not sum to 1 (row_sum_error 0.1)",
    ]
    assert said.splitlines()[3].startswith("not whole: 0 pieces skipped, 7 maps with a broken")
    assert main(["verify", dump, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 7


def test_of_numbers_alone_nothing_is_claimed(tmp_path, sample_data, capsys):
    shutil.copy(sample_data / "healthy" / "scalars.rank-00000.jsonl", tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "whole: 0 shards, 0 maps, 300 scalars lines read\n"
    path = tmp_path / "scalars.rank-00000.jsonl"
    path.write_text(path.read_text().replace('"gamma":[', '"gamma":["x",', 1))
    assert main(["verify", str(tmp_path)]) == 1
    assert "line 1: `gamma` has 9 values for 8 heads; the rest" in capsys.readouterr().out
