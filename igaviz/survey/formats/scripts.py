"""A trace as scripts that PyMOL and ChimeraX run: the structure coloured, pairs as bonds.

What stands in them is numbers, chain letters and the name of the file to load, which igaviz made
itself: no text out of a dump.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from igaviz.survey.formats.trace import Atom, Bond, Trace

COLOUR_RANGE = (0, 2)
"""The B-factors where colours end: blue and red; uniform attention, in the middle, is white."""

_PAIR_COLOUR = "e69f00"
_QUERY_COLOUR = "009e73"
_WIDEST = 0.6
"""Å: the radius of the bond of a pair that has all of its query's attention."""


def pymol(trace: Trace, structure: str) -> bytes:
    """The PyMOL script (.pml) that shows the file `structure`, which lies beside it."""
    return _text("#", trace, _pymol_lines(trace, structure))


def chimerax(trace: Trace, structure: str) -> bytes:
    """The ChimeraX script (.cxc) that shows the file `structure`, which lies beside it."""
    return _text("#", trace, _chimerax_lines(trace, structure))


def radius(bond: Bond) -> float:
    """The radius of a pair's bond in Å: its cross-section grows with the weight, alike in all."""
    return round(_WIDEST * math.sqrt(min(bond.weight, 1.0)), 3)


def _text(comment: str, trace: Trace, lines: Iterator[str]) -> bytes:
    low, high = COLOUR_RANGE
    notes = (
        *trace.notes,
        f"colours: blue at {low}, white at {(low + high) / 2:g}, red at {high} and above",
        f"{len(trace.bonds)} strongest pairs, query first: radius {_WIDEST} x sqrt(A_ij) angstrom",
    )
    return "".join(f"{line}\n" for line in (*(f"{comment} {n}" for n in notes), *lines)).encode(
        "ascii"
    )


def _pymol_lines(trace: Trace, structure: str) -> Iterator[str]:
    name = structure.rsplit(".", 1)[0]
    low, high = COLOUR_RANGE
    yield from (
        "python",
        "import os",
        'here = os.path.dirname(globals().get("__script__") or "")',
        f'cmd.load(os.path.join(here, "{structure}"), "{name}")',
        "python end",
        f"hide everything, {name}",
        f"set cartoon_trace_atoms, 1, {name}",
        f"cartoon tube, {name}",
        f"show cartoon, {name}",
        f"spectrum b, blue_white_red, {name}, minimum={low}, maximum={high}",
    )
    for atom in trace.queries:
        query = _pymol_atom(name, atom)
        yield f"show spheres, {query}"
        yield f"set sphere_scale, 0.6, {query}"
        yield f"set sphere_color, 0x{_QUERY_COLOUR}, {query}"
    short = f"L{trace.id.layer}_b{trace.id.batch}_h{trace.id.head}"
    digits = len(str(len(trace.bonds)))
    for number, bond in enumerate(trace.bonds, 1):
        pair = f"{short}_{number:0{digits}d}_{_plain(bond.query)}_to_{_plain(bond.key)}"
        yield f"# {bond.query.name} to {bond.key.name}: {bond.weight:.4g}"
        yield f"distance {pair}, {_pymol_atom(name, bond.query)}, {_pymol_atom(name, bond.key)}"
        yield f"set dash_radius, {radius(bond)}, {pair}"
    if trace.bonds:
        every = f"{short}_*_to_*"
        yield f"hide labels, {every}"
        yield f"set dash_gap, 0, {every}"
        yield f"color 0x{_PAIR_COLOUR}, {every}"
        yield f"group {name}_pairs, {every}"
    yield f"orient {name}"


def _pymol_atom(name: str, atom: Atom) -> str:
    """The atom as PyMOL selects it; a bare minus would be read as a range."""
    number = str(atom.number).replace("-", "\\-")
    return f"{name} and chain {atom.chain} and resi {number} and name CA"


def _plain(atom: Atom) -> str:
    """The residue in the name of an object: A57, and Am3 for A/-3."""
    return f"{atom.chain}{atom.number}".replace("-", "m")


def _chimerax_lines(trace: Trace, structure: str) -> Iterator[str]:
    low, high = COLOUR_RANGE
    yield from (
        "close session",
        f"open {structure}",
        "set bgColor white",
        "show #1 atoms",
        "style #1 sphere",
        "size #1 atomRadius 0.7",
        "cartoon #1",
        "cartoon suppress false",
        f"color byattribute bfactor #1 palette blue:white:red range {low},{high}",
    )
    for atom in trace.queries:
        yield f"size {_chimerax_atom(atom)} atomRadius 1.2"
        yield f"color {_chimerax_atom(atom)} #{_QUERY_COLOUR} atoms"
    for bond in trace.bonds:
        yield f"# {bond.query.name} to {bond.key.name}: {bond.weight:.4g}"
        yield (
            f"pbond {_chimerax_atom(bond.query)} {_chimerax_atom(bond.key)} "
            f"color #{_PAIR_COLOUR} radius {radius(bond)} dashes 0 name attention"
        )
    yield "view"


def _chimerax_atom(atom: Atom) -> str:
    return f"#1/{atom.chain}:{atom.number}@CA"
