"""What other programs read: structures, scripts and arrays of a map, and what can't be in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import bare
import gemmi
import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from igaviz.cli.main import main
from igaviz.dump import open_dump, read_maps
from igaviz.dump.data import Structure
from igaviz.errors import OutputError, SelectionError, UsageError
from igaviz.metrics.received import Received, strongest_pairs
from igaviz.selection import Residues
from igaviz.survey.export import SUFFIXES, Wanted, export, formats_of
from igaviz.survey.plan import Choice

ALL = Wanted(formats=tuple(SUFFIXES), pairs=20)
N = 40
LOST = 7
"""The residue without finite coordinates."""

NUMBERS = np.r_[np.arange(-3, 22), np.arange(5, 20)]
CHAINS = np.r_[np.zeros(25, int), np.full(15, 27)]
LETTERS = "MKTAYIAKQRQISFVKSHFSRQLEX" + "GAVLIMFWPSTCYNU"


def write(path, *, name="1abc_A", unit="nanometer", change=None, heads=2):
    """Two chains, A from -3 on and AB, in `unit`; one residue without finite coordinates."""
    ca = bare.helix(N)
    data = bare.terms(ca, heads, seed=1)
    ca[LOST, 1] = np.nan
    with h5py.File(path, "w") as file:
        bare.start(file, unit)
        item = bare.add_item(file, 100, 0, ca / {"nanometer": 10, "angstrom": 1}[unit])
        item.attrs["name"] = name
        item["residue_index"], item["chain_index"] = NUMBERS, CHAINS
        item["sequence"] = LETTERS
        gamma = np.linspace(0.5, 1, heads, dtype=np.float32)
        bare.add_layer(item, 3, gamma=gamma, **data)
        bare.finish(file)
        if change is not None:
            change(item)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of both heads by format, and the first map."""
    folder = tmp_path_factory.mktemp("export")
    dump = open_dump(write(folder / "x.h5"))
    exported = export(dump, out=folder / "out", wanted=ALL)
    assert not exported.failed
    files = {path.suffix[1:]: path for path in exported.maps[0].files}
    return files, next(read_maps(dump.entries[0])), exported


def slow_received(attention, queries):
    n = len(attention)
    return [n * sum(float(attention[i][j]) for i in queries) / len(queries) for j in range(n)]


def slow_pairs(attention, allowed):
    """Every pair i ≠ j, the largest first, ties by i, then j."""
    n = len(attention)
    pairs = [
        (-float(attention[i][j]), i, j)
        for i in range(n)
        for j in range(n)
        if i != j and attention[i][j] > 0 and allowed(i, j)
    ]
    return [(i, j) for _, i, j in sorted(pairs)]


def far(i, j):
    return CHAINS[i] != CHAINS[j] or abs(int(NUMBERS[i]) - int(NUMBERS[j])) >= 6


def label(position, chains=("A", "AB")):
    return chains[int(CHAINS[position] == 27)], int(NUMBERS[position])


def atoms_of(structure):
    return [
        (chain.name, residue.seqid.num, residue.name, atom.pos.tolist(), atom.b_iso)
        for chain in structure[0]
        for residue in chain
        for atom in residue
        if atom.name == "CA"
    ]


@pytest.mark.parametrize(("kind", "chains"), [("cif", ("A", "AB")), ("pdb", ("A", "b"))])
def test_structures_hold_what_the_map_does(made, kind, chains):
    """Chains, residue numbers, names, Å out of nm, and what each residue receives."""
    files, found, _ = made
    structure = gemmi.read_structure(str(files[kind]))
    structure.setup_entities()
    atoms = atoms_of(structure)
    kept = [position for position in range(N) if position != LOST]
    assert len(atoms) == N - 1 == structure[0].count_atom_sites()
    received = slow_received(found.attention, range(N))
    ca = bare.helix(N)
    for position, (chain, number, name, xyz, b) in zip(kept, atoms, strict=True):
        assert (chain, number) == label(position, chains)
        letter = LETTERS[position]
        assert name == gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA)
        assert xyz == pytest.approx(ca[position], abs=6e-4)
        assert b == pytest.approx(received[position], abs=6e-3)
    names = {number: name for chain, number, name, *_ in atoms if chain == "A"}
    assert (names[-3], names[-2], names[21]) == ("MET", "LYS", "UNK")
    text = files[kind].read_text()
    assert "N x mean over all queries" in text.replace("\nREMARK   6", "")
    assert "1 residues left out" in text
    if kind == "pdb":
        assert {len(line) for line in text.splitlines()} <= set(range(3, 81))
    else:
        notes = gemmi.cif.read(str(files[kind])).sole_block().find("_igaviz.", ["note"])
        assert [row.str(0) for row in notes][1].endswith("layer 3, head 0")


def test_arrays_open_without_pickle_and_hold_every_term(made):
    files, found, _ = made
    with np.load(files["npz"], allow_pickle=False) as arrays:
        held = dict(arrays)
    for name in ("attention", "logits_before", "geo_bias"):
        np.testing.assert_array_equal(held[name], getattr(found, name))
    np.testing.assert_array_equal(held["ca"], found.structure.ca)
    assert held["ca"][0] == pytest.approx(bare.helix(N)[0], abs=1e-4)
    assert held["residue_index"].tolist() == NUMBERS.tolist()
    assert held["chain_index"].tolist() == CHAINS.tolist()
    assert (str(held["sequence"]), str(held["item"])) == (LETTERS, "1abc_A")
    assert (str(held["length_unit"]), str(held["recorded_length_unit"])) == (
        *("angstrom", "nanometer"),
    )
    assert [int(held[name]) for name in ("step", "batch", "layer", "head")] == [100, 0, 3, 0]
    assert held["gamma"] == pytest.approx(0.5)
    assert held["received"] == pytest.approx(slow_received(found.attention, range(N)))
    assert not {"pair_bias", "logits_after", "sigma", "queries", "flow_time"} & held.keys()
    assert {array.dtype.kind for array in held.values()} <= set("fiUb")


ATOM = r"#1/([A-Z]+):(-?\d+)@CA"
CHIMERAX = [
    r"close session",
    r"open layer3_attention_(?:from_[\w-]+_)?b0_h\d\.cif",
    r"set bgColor white",
    r"show #1 atoms",
    r"style #1 sphere",
    rf"size (?:#1|{ATOM}) atomRadius [\d.]+",
    r"cartoon #1",
    r"cartoon suppress false",
    r"color byattribute bfactor #1 palette blue:white:red range 0,2",
    rf"color {ATOM} #[0-9a-f]{{6}} atoms",
    rf"pbond {ATOM} {ATOM} color #[0-9a-f]{{6}} radius (\d\.\d+) dashes 0 name attention",
    r"view",
    r"# [ -~]*",
]
"""Every line that a ChimeraX script may have, by the commands' documentation."""


def chimerax_pairs(text):
    """((query), (key), radius) of each pseudobond; each line must be one of `CHIMERAX`."""
    for line in text.splitlines():
        assert any(re.fullmatch(known, line) for known in CHIMERAX), line
    found = re.findall(CHIMERAX[-3], text)
    return [((a, int(i)), (b, int(j)), float(r)) for a, i, b, j, r in found]


def test_chimerax_draws_the_strongest_pairs_from_query_to_key(made):
    files, found, exported = made
    pairs = chimerax_pairs(files["cxc"].read_text())
    wanted = slow_pairs(found.attention, lambda i, j: LOST not in (i, j))[:20]
    assert [(query, key) for query, key, _ in pairs] == [(label(i), label(j)) for i, j in wanted]
    weights = [float(found.attention[pair]) for pair in wanted]
    assert [r for *_, r in pairs] == pytest.approx([0.6 * w**0.5 for w in weights], abs=6e-4)
    assert exported.maps[0].pairs == 20
    assert exported.maps[0].long_range == sum(far(*pair) for pair in wanted)


PYMOL = """
import json, sys
import pymol
pymol.finish_launching(["pymol", "-cq"])
from pymol import cmd

said = []
for script in sys.argv[1:]:
    cmd.reinitialize()
    cmd.do("@" + script)
    objects = cmd.get_names("objects")
    pairs = [name for name in objects if "_to_" in name]
    atoms, colours = [], []
    cmd.iterate_state(1, "name CA", "atoms.append((chain, int(resi), resn, x, y, z, b))",
                      space={"atoms": atoms, "int": int})
    cmd.iterate("name CA", "colours.append(color)", space={"colours": colours})
    cmd.select("shown", "rep spheres")
    said.append({
        "objects": objects,
        "atoms": atoms,
        "colours": [cmd.get_color_tuple(colour) for colour in colours],
        "spheres": cmd.count_atoms("shown"),
        "ends": [cmd.get_session(name)["names"][0][5][2][0][1] for name in pairs],
        "radii": [float(cmd.get("dash_radius", name)) for name in pairs],
    })
print("SAID", json.dumps(said))
"""


def run_pymol(folder, *scripts):
    """What PyMOL has after each script, run from `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", PYMOL, *map(str, scripts)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("no PyMOL on this machine")
    assert "Error" not in done.stdout + done.stderr
    return json.loads(done.stdout.rsplit("SAID", 1)[1])


def test_pymol_runs_its_scripts(made, tmp_path):
    """The real program, from another folder: atoms, colours, bonds between the right residues."""
    files, found, _ = made
    other = tmp_path / "out"
    asked = Wanted(formats=("pymol",), queries=Residues.parse("A/-3,AB/7"), pairs=5)
    shard = write(tmp_path / "x.h5", unit="angstrom")
    exported = export(open_dump(shard), out=other, wanted=asked)
    chosen = next(path for path in exported.maps[0].files if path.suffix == ".pml")
    whole, some = run_pymol(tmp_path, files["pml"], chosen)
    received = slow_received(found.attention, range(N))
    kept = [position for position in range(N) if position != LOST]
    assert [tuple(atom[:2]) for atom in whole["atoms"]] == [label(position) for position in kept]
    assert [atom[6] for atom in whole["atoms"]] == pytest.approx(
        [received[position] for position in kept], rel=1e-4
    )
    assert (whole["spheres"], some["spheres"]) == (0, 2)
    for atom, (red, _, blue) in zip(whole["atoms"], whole["colours"], strict=True):
        low, high = min(atom[6], 1.0), min(max(atom[6] - 1, 0), 1)
        assert (red, blue) == pytest.approx((low, 1 - high), abs=0.05)
    queries = {i for i in range(N) if label(i) in (("A", -3), ("AB", 7))}
    assert len(queries) == 2
    for said, count, allowed in (
        (whole, 20, lambda i, j: LOST not in (i, j)),
        (some, 5, lambda i, j: i in queries and j != LOST),
    ):
        wanted = slow_pairs(found.attention, allowed)[:count]
        ends = [found.structure.ca[[i, j]].ravel() for i, j in wanted]
        np.testing.assert_allclose(said["ends"], ends, atol=1e-3)
        weights = np.array([found.attention[pair] for pair in wanted])
        assert said["radii"] == pytest.approx(0.6 * weights**0.5, abs=6e-4)


def test_attention_of_chosen_queries(tmp_path):
    """B-factors and pairs are theirs; files of other queries have other names."""
    dump = open_dump(write(tmp_path / "x.h5"))
    wanted = Wanted(("chimerax", "npz"), Residues.parse("A/0,AB/5-7"), pairs=200, long_range=True)
    exported = export(dump, Choice.of(head="1"), out=tmp_path / "out", wanted=wanted)
    (found,) = exported.maps
    assert [path.name for path in found.files] == [
        f"layer3_attention_from_A_0_AB_5-7_b0_h1.{suffix}" for suffix in ("cif", "cxc", "npz")
    ]
    map = next(read_maps(dump.entries[0], (1,)))
    queries = [3, 25, 26, 27]
    atoms = atoms_of(gemmi.read_structure(str(found.files[0])))
    received = slow_received(map.attention, queries)
    kept = [position for position in range(N) if position != LOST]
    assert [b for *_, b in atoms] == pytest.approx([received[k] for k in kept], rel=1e-4)
    pairs = slow_pairs(
        map.attention, lambda i, j: i in queries and LOST not in (i, j) and far(i, j)
    )
    drawn = chimerax_pairs(found.files[1].read_text())
    assert [(a, b) for a, b, _ in drawn] == [(label(i), label(j)) for i, j in pairs[:200]]
    assert found.pairs == found.long_range == len(drawn) > 50
    with np.load(found.files[2]) as arrays:
        assert arrays["queries"].tolist() == queries
        assert arrays["received"] == pytest.approx(received)
    found.files[0].with_name("layer3_attention_from_A_99_b0_h0.cif").touch()
    with pytest.raises(SelectionError, match="no residue A/99"):
        export(dump, out=tmp_path / "out", wanted=Wanted(queries=Residues.parse("A/99")))
    with pytest.raises(OutputError, match="already there"):
        export(dump, out=tmp_path / "out", wanted=wanted)


NAMES_OF_STRANGERS = st.text(min_size=1, max_size=30) | st.sampled_from(
    ["x'; quit", "a\nquit\n", '"; cmd.quit()', "../../x", "python end\nrm", "_x\\", "#1; close"]
)


@pytest.fixture(scope="module")
def plain_scripts(tmp_path_factory):
    """The scripts of an item with a harmless name."""
    folder = tmp_path_factory.mktemp("plain")
    dump = open_dump(write(folder / "x.h5", name="x", heads=1))
    files = export(dump, out=folder / "out", wanted=replace(ALL, pairs=3)).maps[0].files
    return tuple(path.read_text() for path in files if path.suffix in (".pml", ".cxc"))


@settings(max_examples=12, deadline=None)
@given(name=NAMES_OF_STRANGERS)
@example(name="python end\nquit; rm -r ~\n#1 'x\\")
def test_no_name_gets_into_a_script(name, plain_scripts):
    """Scripts are the same bytes whatever the item is called, and structures stay readable."""
    with tempfile.TemporaryDirectory() as folder:
        dump = open_dump(write(Path(folder) / "x.h5", name=name.replace("\0", ""), heads=1))
        exported = export(dump, out=Path(folder) / "out", wanted=replace(ALL, pairs=3))
        assert not exported.failed
        files = {path.suffix: path for path in exported.maps[0].files}
        scripts = files[".pml"].read_text(), files[".cxc"].read_text()
        for suffix in (".cif", ".pdb"):
            text = files[suffix].read_text("ascii")
            assert all(c.isprintable() or c == "\n" for c in text)
            assert len(atoms_of(gemmi.read_structure(str(files[suffix])))) == N - 1
        with np.load(files[".npz"], allow_pickle=False) as arrays:
            assert arrays["item"].dtype.kind == "U"
    assert scripts == plain_scripts


def _set(name, values):
    def change(item):
        item[name][...] = values

    return change


def _far_away(item):
    item["ca"][3] = 1e6


def _sink(item):
    """One query of 1,200 residues looks at one key: N × 1."""
    for name in ("residue_index", "chain_index", "sequence", "ca", "layers"):
        del item[name]
    item["ca"] = np.random.default_rng(0).normal(size=(1200, 3))
    attention = np.zeros((1, 1200, 1200), np.float16)
    attention[:, :, 5] = 1
    bare.add_layer(item, 3, attention=attention)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("chain_index", np.where(CHAINS, 62, 0)), "chain BK is beyond the 62 letters"),
        (_set("residue_index", np.arange(9970, 9970 + N)), "residue number 10000 has more than"),
        (_set("residue_index", np.arange(-1000, -1000 + N)), "residue number -1000 has more"),
        (_far_away, "the coordinates of A/0 have more than eight characters"),
        (_sink, "the B-factor of A/5 has more than six characters"),
    ],
)
def test_what_pdb_columns_cannot_hold_is_refused_and_mmcif_holds_it(
    change, reason, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.h5", change=change, heads=1)
    assert main(["export", "x.h5", "--format", "pdb,mmcif", "--pairs", "3"]) == 1
    said = capsys.readouterr()
    place = "attention_export/step_000000100/layer3_attention_b0_h0"
    assert said.err.startswith(f"igaviz: {place}.pdb: PDB files can't hold it, mmCIF can: {reason}")
    assert len(said.err.splitlines()) == 1
    assert "1 file of 1 map" in said.out
    assert not list(tmp_path.rglob("*.pdb"))
    whole = atoms_of(gemmi.read_structure(f"{place}.cif"))
    (map,) = read_maps(open_dump("x.h5").entries[0])
    finite = np.isfinite(map.structure.ca).all(axis=1)
    assert [number for _, number, *_ in whole] == map.structure.residue_index[finite].tolist()
    np.testing.assert_allclose([xyz for *_, xyz, _ in whole], map.structure.ca[finite], rtol=1e-5)
    assert [b for *_, b in whole] == pytest.approx(
        map.attention[:, finite].sum(axis=0, dtype=float), rel=1e-4
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("layers/3/attention", np.nan), "no query has finite attention"),
        (_set("ca", np.nan), "no residue has finite coordinates"),
        (_set("residue_index", 5), "two residues are A/5"),
        (_set("chain_index", -1), "chain -1 has no letter"),
        (_set("residue_index", np.arange(N) + 2**40), "is beyond 32 bits"),
    ],
)
def test_maps_that_are_no_structure_are_arrays_still(change, reason, tmp_path, capsys):
    write(tmp_path / "x.h5", change=change, heads=1)
    arguments = ["export", str(tmp_path / "x.h5"), "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--format", "pymol,npz"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [Path(path).suffix for path in said["maps"][0]["files"]] == [".npz"]
    assert [Path(failed["path"]).suffix for failed in said["failed"]] == [".cif", ".pml"]
    assert all(reason in failed["reason"] for failed in said["failed"])
    assert main([*arguments, "--force"]) == 2
    assert json.loads(capsys.readouterr().out)["maps"] == []


def test_rows_that_are_not_finite_are_left_out_and_counted(tmp_path):
    shard = write(tmp_path / "x.h5", change=_set("layers/3/attention", 1 / N), heads=1)
    with h5py.File(shard, "r+") as file:
        attention = file["steps/000000100/batch/0/layers/3/attention"]
        attention[0, 2, 9] = np.nan
        attention[0, 4, 9] = np.inf
    exported = export(open_dump(shard), out=tmp_path / "out", wanted=ALL)
    (found,) = exported.maps
    assert (found.rows_left_out, found.left_out) == (2, 1)
    assert {b for *_, b in atoms_of(gemmi.read_structure(str(found.files[0])))} == {1.0}
    assert "# 2 queries left out: their rows are not finite" in found.files[2].read_text()


def test_a_damaged_head_costs_its_own_files_only(tmp_path, capsys):
    path = bare.write_with_broken_head(tmp_path / "a.h5")
    out = tmp_path / "out"
    assert main(["export", str(path), "--layer", "0", "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "head 1" in said.err
    assert "6 files of 2 maps" in said.out
    assert sorted(p.name for p in out.rglob("*.cif")) == [
        f"layer0_attention_b0_h{head}.cif" for head in (0, 2)
    ]
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


def test_processes_write_the_same_files(tmp_path):
    dump = open_dump(bare.write(tmp_path / "x.h5", layers=10, heads=2, n=20))
    heard = []
    for jobs in (1, 2):
        exported = export(
            dump,
            Choice.of(layer="all"),
            out=tmp_path / str(jobs),
            wanted=Wanted(pairs=5),
            jobs=jobs,
            progress=lambda done, total: heard.append((done, total)),
        )
        assert len(exported.maps) == 20
    assert heard == [(done, 20) for done in range(2, 21, 2)] * 2
    one, two = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*.*")}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two
    assert len(one) == 60


def test_the_sample_data(sample_data, tmp_path, capsys):
    arguments = ["export", str(sample_data / "healthy"), "--layer", "3", "--out", str(tmp_path)]
    assert main([*arguments, "--format", "all", "--longrange", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "40 files of 8 maps" in said
    assert f"open one with: pymol {tmp_path}" in said
    structures = [gemmi.read_structure(str(p)) for p in sorted(tmp_path.rglob("*.pdb"))]
    assert len(structures) == 8
    one = [gemmi.find_tabulated_residue(r.name).one_letter_code for r in structures[0][0]["A"]]
    assert "".join(one).startswith("SNTISEKIVLMRKSEYLSRQQLADLTGVPYGTLSYYESGRSTPP")
    for structure in structures:
        assert np.mean([b for *_, b in atoms_of(structure)]) == pytest.approx(1, abs=0.01)
    for script in tmp_path.rglob("*.cxc"):
        pairs = chimerax_pairs(script.read_text())
        assert len(pairs) == 50
        assert all(abs(query[1] - key[1]) >= 6 for query, key, _ in pairs)


def test_fewer_pairs_than_none_are_refused():
    with pytest.raises(UsageError, match="-1 pairs"):
        Wanted(pairs=-1)


def test_formats():
    assert formats_of("npz, pdb") == ("pdb", "npz")
    assert formats_of("chimerax") == ("mmcif", "chimerax")
    assert formats_of("all") == tuple(SUFFIXES)
    with pytest.raises(UsageError, match="no format 'xml'") as raised:
        formats_of("pdb,xml")
    assert raised.value.hint == "there are mmcif, pdb, pymol, chimerax, npz, and all"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_received_and_strongest_pairs_against_a_slow_second_implementation(data):
    n = data.draw(st.integers(1, 12))
    weights = st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0, np.nan, np.inf])
    values = data.draw(st.lists(weights, min_size=n * n, max_size=n * n))
    attention = np.array(values, np.float32).reshape(n, n)
    numbers = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)))
    chains = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    queries = data.draw(st.none() | st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    structure = Structure("", np.zeros((n, 3)), numbers, chains, "angstrom")
    asked = range(n) if queries is None else queries
    rows = [i for i in asked if np.isfinite(attention[i]).all()]
    received = Received.of(attention, queries)
    assert (received.queries, received.left_out) == (len(rows), len(asked) - len(rows))
    if rows:
        assert received.values == pytest.approx(slow_received(attention, rows))
    else:
        assert np.isnan(received.values).all()
    among = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    only_far = data.draw(st.booleans())
    count = data.draw(st.integers(0, 30))

    def apart(i, j):
        return bool(chains[i] != chains[j] or abs(numbers[i] - numbers[j]) >= 6)

    finite = np.where(np.isfinite(attention), attention, 0)
    wanted = slow_pairs(
        finite,
        lambda i, j: i in asked and among[i] and among[j] and (apart(i, j) or not only_far),
    )
    found = strongest_pairs(
        attention, structure, count, queries=queries, among=among, long_range=only_far
    )
    assert [(p.query, p.key) for p in found] == wanted[:count]
    assert [p.long_range for p in found] == [apart(*pair) for pair in wanted[:count]]
    assert [p.weight for p in found] == [attention[pair] for pair in wanted[:count]]
