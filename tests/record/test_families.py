"""Layers that are read from outside: what the file says of them is what formulas say."""

import math

import numpy as np
import pytest
import torch
from formulas import (
    HEADS,
    HIDDEN,
    PAIR,
    POINTS,
    WIDTH,
    assert_terms,
    linear,
    point_term,
    random_inputs,
    randomised,
    softmax,
    softplus,
)
from invariant_point_attention import InvariantPointAttention, IPABlock
from transformers.models.esm.configuration_esm import StructureModuleConfig
from transformers.models.esm.modeling_esmfold import (
    EsmFoldInvariantPointAttention,
    EsmFoldStructureModule,
)
from transformers.models.esm.openfold_utils import Rigid, Rotation

from igaviz.record import Recorder


def esm_config(**changes):
    sizes = {"sequence_dim": WIDTH, "pairwise_dim": PAIR, "ipa_dim": HIDDEN, "resnet_dim": 8}
    points = {"num_heads_ipa": HEADS, "num_qk_points": POINTS, "num_v_points": 3}
    return StructureModuleConfig(**(sizes | points | {"num_blocks": 3} | changes))


def esm_terms(layer, s, z, rotations, translations, keep):
    """The terms of one item, from the layer's weights alone: algorithm 22 in float64."""
    s, z = (x.numpy().astype(np.float64) for x in (s[keep], z[keep][:, keep]))
    rotations, translations = rotations[keep].numpy(), translations[keep].numpy()
    n, heads = len(s), layer.num_heads

    def per_head(features):
        return features.reshape(n, heads, -1)

    def points(features):
        """The three coordinates are three blocks of the features."""
        local = features.reshape(n, 3, heads, -1).transpose(0, 2, 3, 1)
        return np.einsum("nxy,nhpy->nhpx", rotations, local) + translations[:, None, None]

    q = per_head(linear(layer.linear_q, s))
    k = per_head(linear(layer.linear_kv, s))[..., :HIDDEN]
    pair_bias = linear(layer.linear_b, z).transpose(2, 0, 1) / math.sqrt(3)
    gamma = softplus(layer.head_weights) * math.sqrt(2 / (27 * POINTS))
    keys = points(linear(layer.linear_kv_points, s))[:, :, :POINTS]
    return {
        "logits_before": np.einsum("ihc,jhc->hij", q, k) / math.sqrt(3 * HIDDEN) + pair_bias,
        "geo_bias": point_term(points(linear(layer.linear_q_points, s)), keys, gamma),
        "pair_bias": pair_bias,
        "gamma": gamma,
        "ca": translations,
    }


@pytest.mark.parametrize("keywords", [False, True])
@pytest.mark.parametrize(
    ("batch", "n", "heads"),
    [((3,), 7, 3), ((), 6, 3), ((2, 2), 5, 3), ((2,), 4, 4), ((2,), 1, 3), ((4,), 4, 4)],
    ids=["batch", "no batch", "two axes", "as many heads", "one residue", "all the same"],
)
def test_point_attention_of_esmfold(precise, read, batch, n, heads, keywords):
    layer = randomised(EsmFoldInvariantPointAttention(esm_config(num_heads_ipa=heads)))
    assert precise.attach(layer) == {layer.__class__.__name__: "invariant point attention"}
    s, z, rotations, translations, mask = random_inputs(*batch, n=n)
    frames = Rigid(Rotation(rot_mats=rotations), translations)
    with precise.step(0):
        if keywords:
            layer(mask=mask, r=frames, z=z, s=s)
        else:
            layer(s, z, frames, mask)
    items = [x.reshape(-1, *x.shape[len(batch) :]) for x in (s, z, rotations, translations)]
    for item, valid in enumerate(mask.reshape(-1, n).bool()):
        expected = esm_terms(layer, *(x[item] for x in items), valid.nonzero().flatten())
        assert_terms(read(item=item), **expected)


def test_what_has_no_batch_axis_of_its_own_belongs_to_every_item(precise, read):
    layer = randomised(EsmFoldInvariantPointAttention(esm_config()))
    precise.attach(layer)
    s = random_inputs(2)[0]
    _, z, rotations, translations, mask = random_inputs()
    with precise.step(0):
        layer(s, z, Rigid(Rotation(rot_mats=rotations), translations), mask)
    keep = mask.nonzero().flatten()
    for item in range(2):
        assert_terms(read(item=item), **esm_terms(layer, s[item], z, rotations, translations, keep))


def test_a_shared_layer_is_as_many_layers_as_it_has_calls(precise, tmp_path, shards, read_layer):
    module = randomised(EsmFoldStructureModule(esm_config())).eval()
    assert precise.attach(module) == {"ipa": "invariant point attention"}
    s, z, _, _, mask = random_inputs(2)
    for step in range(2):
        with precise.step(step):
            out = module({"single": s, "pair": z}, torch.zeros(2, 7, dtype=torch.long), mask)
            out["single"].sum().backward()
            gradient, module.ipa.head_weights.grad = module.ipa.head_weights.grad, None
    slope = torch.sigmoid(module.ipa.head_weights) * math.sqrt(2 / (27 * POINTS))
    norm = (gradient / slope).norm().item()
    precise.flush()
    for name in shards(tmp_path):
        layers = [read_layer(tmp_path / name, layer) for layer in range(3)]
        assert [layer["call"] for layer in layers] == [0, 1, 2]
        assert {layer["module"] for layer in layers} == {"ipa"}
        norms = [layer["gamma_gradient_norm"] for layer in layers]
        np.testing.assert_allclose(norms, norm, rtol=1e-4)  # all calls together
        moves = [layer["logits_before"] + layer["geo_bias"] for layer in layers]
        for logits, layer in zip(moves, layers, strict=True):
            np.testing.assert_allclose(softmax(logits), layer["attention"], atol=1e-4)
        assert np.abs(moves[1] - moves[2]).max() > 1e-3


def test_heads_and_items_that_are_asked_for(tmp_path, shards, read_layer):
    layer = randomised(EsmFoldInvariantPointAttention(esm_config()))
    s, z, rotations, translations, mask = random_inputs(3)
    chosen = {"heads": [0, 2], "items": [1], "attention_dtype": "float32"}
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True, **chosen) as recorder:
        recorder.attach(layer)
        with recorder.step(0):
            layer(s, z, Rigid(Rotation(rot_mats=rotations), translations), mask)
    keep = mask[1].nonzero().flatten()
    expected = esm_terms(layer, s[1], z[1], rotations[1], translations[1], keep)
    found = read_layer(tmp_path / shards(tmp_path)[0], item=1)
    assert list(found["head"]) == [0, 2]
    assert_terms(found, **{name: x if name == "ca" else x[[0, 2]] for name, x in expected.items()})


def folded_terms(layer, s, z, rotations, translations, keep, *, pairwise):
    """The terms of one item, from the weights of the package's layer alone."""
    s, rotations, translations = (x[keep].numpy() for x in (s, rotations, translations))
    n, terms = len(s), 3 if pairwise else 2

    def points(features):
        """Of each point its three coordinates, as a row; frames act from the right."""
        local = features.reshape(n, HEADS, POINTS, 3)
        return np.einsum("nhpx,nxy->nhpy", local, rotations) + translations[:, None, None]

    q, k = (linear(x, s).reshape(n, HEADS, HIDDEN) for x in (layer.to_scalar_q, layer.to_scalar_k))
    before = np.einsum("ihc,jhc->hij", q, k) / math.sqrt(terms * HIDDEN)
    pair_bias = None
    if pairwise:
        pair_bias = linear(layer.to_pairwise_attn_bias[0], z[keep][:, keep].numpy())
        pair_bias = pair_bias.transpose(2, 0, 1) / math.sqrt(3)
        before = before + pair_bias
    gamma = softplus(layer.point_weights) * math.sqrt(2 / (9 * terms * POINTS))
    q_points, k_points = (points(linear(x, s)) for x in (layer.to_point_q, layer.to_point_k))
    return {
        "logits_before": before,
        "geo_bias": point_term(q_points, k_points, gamma),
        "pair_bias": pair_bias,
        "gamma": gamma,
        "ca": translations,
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("block", [False, True])
def test_point_attention_of_the_package(precise, read, block, pairwise, masked):
    sizes = {"dim": WIDTH, "heads": HEADS, "scalar_key_dim": HIDDEN, "point_key_dim": POINTS}
    pairs = {"pairwise_repr_dim": PAIR, "require_pairwise_repr": pairwise}
    kind = IPABlock if block else InvariantPointAttention
    model = randomised(kind(**sizes, **pairs))
    (name,) = precise.attach(model)
    assert name == ("attn" if block else "InvariantPointAttention")
    s, z, rotations, translations, mask = random_inputs(2)
    about = {"rotations": rotations, "translations": translations}
    about |= {"pairwise_repr": z} if pairwise else {}
    about |= {"mask": mask.bool()} if masked else {}
    with precise.step(0):
        model(s, **about)
    layer = model.attn if block else model
    for item, valid in enumerate(mask if masked else torch.ones_like(mask)):
        given = (x[item] for x in (s, z, rotations, translations))
        keep = valid.nonzero().flatten()
        assert_terms(read(item=item), **folded_terms(layer, *given, keep, pairwise=pairwise))
