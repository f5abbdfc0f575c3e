"""The recorder's numbers are the reader's: torch against numpy on the same float32 inputs."""

from __future__ import annotations

import bare
import numpy as np
import pytest
import torch

from igaviz.dump.data import AttentionMap, Structure
from igaviz.format import MapId
from igaviz.metrics import Pairs, measure
from igaviz.record import numbers
from igaviz.record.numbers import NAMES, head_numbers, merge_items

HEADS = 3


def _plain(data, ca):
    return data


def _masked(data, ca):
    data["logits_before"][:, :, 4] = -np.inf
    data["attention"] = bare.softmax(data["logits_before"] + data["geo_bias"])
    return data


def _broken(data, ca):
    data["logits_before"][1, 3, 5] = np.nan
    data["attention"][2, 7, 0] = np.inf
    return data


def _peaked(data, ca):
    data["logits_before"] *= 40
    data["attention"] = bare.softmax(data["logits_before"] + data["geo_bias"])
    return data


def _without(*names):
    def change(data, ca):
        for name in names:
            del data[name]
        return data

    return change


CASES = {
    "plain": (40, _plain),
    "masked keys": (40, _masked),
    "non-finite": (40, _broken),
    "one-hot": (40, _peaked),
    "attention derived": (40, _without("attention")),
    "no bias": (40, _without("geo_bias")),
    "no logits": (40, _without("logits_before")),
    "attention alone": (40, _without("logits_before", "geo_bias")),
    "two residues": (2, _plain),
    "one residue": (1, _plain),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sign", [1, -1])
def test_torch_gives_what_numpy_gives(name, sign):
    n, change = CASES[name]
    ca = bare.helix(n)
    data = change(bare.terms(ca, HEADS, seed=3), ca)
    if "geo_bias" in data:
        data["geo_bias"] = sign * data["geo_bias"]
    chain = (np.arange(n) > n // 2).astype(np.int64)
    gamma = np.array([0.5, 1.0, 2.0], np.float32)
    measured = head_numbers(
        ca=torch.from_numpy(ca.astype(np.float32) / 10)[None],
        length_unit="nanometer",
        gamma=torch.from_numpy(gamma),
        geo_bias_sign=sign,
        chain_index=torch.from_numpy(chain)[None],
        **{term: torch.from_numpy(values)[None] for term, values in data.items()},
    )
    found = merge_items(measured)
    structure = Structure(
        name="",
        ca=(ca.astype(np.float32) / 10).astype(np.float64) * 10,
        residue_index=np.arange(n),
        chain_index=chain,
        length_unit="nanometer",
    )
    pairs = Pairs.of(structure)
    for head in range(HEADS):
        terms = {term: values[head] for term, values in data.items()}
        recorded = "attention" in terms
        if not recorded:
            terms["attention"] = bare.softmax(terms["logits_before"] + sign * terms["geo_bias"])
        expected = measure(
            AttentionMap(
                MapId("", "train", 0, 0, 0, 0, head),
                structure,
                gamma=float(gamma[head]),
                geo_bias_sign=sign,
                attention_recorded=recorded,
                **terms,
            ),
            pairs,
        )
        for metric in NAMES:
            value, other = expected.number(metric), found[metric][head]
            if value is None:
                assert other is None, (metric, other)
            else:
                assert other == pytest.approx(value, rel=1e-4, abs=2e-7), metric


def batch_of(names, **changes):
    """Cases beside each other, padded to the longest with what must not count."""
    items = []
    for seed, name in enumerate(names):
        n, change = CASES[name]
        ca = bare.helix(n, seed)
        items.append({"ca": ca / 10, **change(bare.terms(ca, HEADS, seed=seed), ca)})
    longest = max(len(item["ca"]) for item in items)
    batch = {"valid": torch.zeros(len(items), longest, dtype=torch.bool)}
    batch |= {
        field: torch.full((len(items), *shape), torch.nan)
        for field, shape in {
            "ca": (longest, 3),
            **{term: (HEADS, longest, longest) for term in items[0] if term != "ca"},
        }.items()
    }
    places = []
    for row, item in enumerate(items):
        n = len(item["ca"])
        # Some of the padding comes first, and a hole is in the middle.
        place = np.delete(np.arange(longest), [0, longest // 2][: longest - n])[:n]
        places.append(torch.from_numpy(place))
        batch["valid"][row, place] = True
        batch["ca"][row, place] = torch.from_numpy(item["ca"]).float()
        for term in item.keys() - {"ca"}:
            batch[term][row][:, place[:, None], place] = torch.from_numpy(item[term])
    return batch, places


@pytest.mark.parametrize("without", [None, "attention", "geo_bias", "logits_before"])
@pytest.mark.parametrize("at_once", [None, 1, 1 << 30])
def test_items_have_the_same_numbers_in_a_batch_as_alone(without, at_once, monkeypatch):
    if at_once:  # as on a device that isn't a CPU
        monkeypatch.setattr(numbers, "_ONE_BY_ONE", frozenset())
        monkeypatch.setattr(numbers, "_AT_ONCE", at_once)
    names = ("plain", "masked keys", "two residues", "non-finite", "one residue", "one-hot")
    batch, places = batch_of(names)
    batch.pop(without, None)
    gamma = torch.tensor([0.5, 1.0, 2.0])
    how = {"gamma": gamma, "length_unit": "nanometer"}
    together = head_numbers(**batch, **how)
    for row, place in enumerate(places):
        alone = {
            name: values[row, ..., place[:, None], place][None]
            for name, values in batch.items()
            if name not in ("ca", "valid")
        }
        expected = head_numbers(ca=batch["ca"][row, place][None], **alone, **how)
        torch.testing.assert_close(
            together[row], expected[0], rtol=1e-6, atol=1e-9, equal_nan=True, msg=names[row]
        )


def test_items_are_merged_by_the_rule_of_the_format():
    def merged(*items, name):
        """The value of one metric, over items that have no other."""
        stacked = torch.full((len(items), len(NAMES), 1), torch.nan)
        stacked[:, NAMES.index(name), 0] = torch.tensor(items)
        found = merge_items(stacked)
        assert found.keys() == {*NAMES}
        return found[name]

    assert merged(0.1, 0.3, name="sink") == [pytest.approx(0.3)]
    assert merged(1.0, 3.0, name="gamma") == [2.0]
    assert merged(2.0, 3.0, name="nonfinite") == [5.0]
    assert merged(torch.nan, name="sink") == [None]
    assert merged(torch.nan, 1.0, name="gamma") == [1.0]
