"""A trace as PDB and mmCIF files, written by gemmi."""

from __future__ import annotations

import string
import textwrap
from typing import TYPE_CHECKING

from igaviz.errors import OutputError
from igaviz.survey.drawing.pictures import safe_name
from igaviz.survey.formats.trace import Atom, Trace

if TYPE_CHECKING:
    import gemmi

_PDB_CHAINS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_PDB_NUMBERS = range(-999, 10_000)
_PDB_COORDINATES = (-999.9995, 9999.9995)
_PDB_LARGEST_B = 999.995
_REMARK = "REMARK   6 "
_REMARK_WIDTH = 80 - len(_REMARK)
_UNKNOWN = "UNK"


def pdb(trace: Trace) -> bytes:
    """The PDB file of `trace`: notes as REMARK 6, one-letter chains A–Z, a–z, 0–9.

    Raises `OutputError` where something doesn't fit the format's columns.
    """
    for atom in trace.atoms:
        _check_columns(atom)
    structure = _structure(trace, {a.chain: _PDB_CHAINS[a.chain_index] for a in trace.atoms})
    structure.raw_remarks = [
        _REMARK + line
        for note in (*trace.notes, f"item {safe_name(trace.item)}")
        for line in textwrap.wrap(note, _REMARK_WIDTH)
    ]
    return structure.make_pdb_string().encode("ascii")


def mmcif(trace: Trace) -> bytes:
    """The mmCIF file of `trace`: notes as `_igaviz.note`, whatever its size and numbers."""
    import gemmi

    structure = _structure(trace, {atom.chain: atom.chain for atom in trace.atoms})
    groups = gemmi.MmcifOutputGroups(False)
    groups.atoms = groups.block_name = groups.entry = True
    groups.entity = groups.entity_poly = groups.entity_poly_seq = groups.struct_asym = True
    groups.chem_comp = True
    document = structure.make_mmcif_document(groups)
    block = document.sole_block()
    loop = block.init_loop("_igaviz.", ["ordinal", "note"])
    for ordinal, note in enumerate((*trace.notes, f"item {safe_name(trace.item)}"), 1):
        loop.add_row([str(ordinal), gemmi.cif.quote(note)])
    return document.as_string().encode("ascii")


def _check_columns(atom: Atom) -> None:
    low, high = _PDB_COORDINATES
    if atom.chain_index >= len(_PDB_CHAINS):
        reason = f"chain {atom.chain} is beyond the {len(_PDB_CHAINS)} letters and digits"
    elif atom.number not in _PDB_NUMBERS:
        reason = f"residue number {atom.number} has more than four characters"
    elif not all(low < value < high for value in atom.xyz):
        reason = f"the coordinates of {atom.name} have more than eight characters"
    elif atom.b >= _PDB_LARGEST_B:
        reason = f"the B-factor of {atom.name} has more than six characters"
    else:
        return
    raise OutputError(f"PDB files can't hold it, mmCIF can: {reason}")


def _structure(trace: Trace, names: dict[str, str]) -> gemmi.Structure:
    """The atoms as gemmi has them, chains called by `names`, in the order of their first atom."""
    import gemmi

    by_chain: dict[str, list[Atom]] = {name: [] for name in names}
    for atom in trace.atoms:
        by_chain[atom.chain].append(atom)
    structure = gemmi.Structure()
    structure.name = f"{safe_name(trace.item)}_layer{trace.id.layer}_head{trace.id.head}"
    model = gemmi.Model(1)
    for number, (label, atoms) in enumerate(by_chain.items(), 1):
        chain = gemmi.Chain(names[label])
        for place, atom in enumerate(atoms, 1):
            chain.add_residue(_residue(atom, place, chain.name))
        model.add_chain(chain)
        entity = gemmi.Entity(str(number))
        entity.entity_type = gemmi.EntityType.Polymer
        entity.polymer_type = gemmi.PolymerType.PeptideL
        entity.subchains = [chain.name]
        entity.full_sequence = [residue.name for residue in chain]
        structure.entities.append(entity)
    structure.add_model(model)
    structure.assign_serial_numbers()
    return structure


def _residue(atom: Atom, place: int, chain: str) -> gemmi.Residue:
    import gemmi

    kind = gemmi.ResidueKind.AA
    residue = gemmi.Residue()
    residue.name = gemmi.expand_one_letter(atom.letter, kind) or _UNKNOWN
    residue.seqid = gemmi.SeqId(atom.number, " ")
    residue.label_seq = place
    residue.subchain = chain
    residue.entity_type = gemmi.EntityType.Polymer
    ca = gemmi.Atom()
    ca.name, ca.element = "CA", gemmi.Element("C")
    ca.pos = gemmi.Position(*atom.xyz)
    ca.occ, ca.b_iso = 1.0, atom.b
    residue.add_atom(ca)
    return residue
