"""Who may import what: the table of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import igaviz

PACKAGE = Path(igaviz.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
FRAMEWORKS = {"lightning", "transformers", "accelerate"}


def module_of(path: Path) -> str:
    """The name of a file, `igaviz.` left out; of a package that of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts if len(parts) == 1 else [part for part in parts if part != "__init__"])


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


class Row(NamedTuple):
    """What a module or package may import, beside the standard library and what lies in it."""

    own: set[str]
    third_party: set[str]


def rows() -> dict[str, Row]:
    section = PAGE.read_text(encoding="utf-8").partition("## Who may import what")[2]
    found = {}
    for line in section.partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            names, *allowed = (
                set(re.findall(r"`([\w.]+)`", cell)) for cell in line.split("|")[1:4]
            )
            found.update(dict.fromkeys(names, Row(*allowed)))
    return found


TABLE = rows()


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def row_of(name: str) -> str:
    return max((place for place in TABLE if within(name, place)), key=len)


def imported(path: Path) -> set[str]:
    """The modules that a file imports, those of igaviz as what they are: `from igaviz import m`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name.removeprefix("igaviz.") in FILES}
            found.update(modules if modules == inner else {node.module, *modules})
    return found


@pytest.mark.parametrize("name", FILES)
def test_imports_follow_the_table(name):
    place = row_of(name)
    allowed = {place, *TABLE[place].own}
    for target in imported(FILES[name]):
        top, _, rest = target.partition(".")
        if top == "igaviz":
            rest = rest or "_version"
            assert any(within(rest, there) for there in allowed), f"{name} imports {target}"
        elif top not in sys.stdlib_module_names and top != "__future__":
            assert top in TABLE[place].third_party, f"{name} imports {target}"


def test_the_table_names_modules_that_there_are_and_goes_one_way():
    assert {"dump", "cli", "survey.work", "survey"} <= TABLE.keys()
    needs = {place: {row_of(name) for name in row.own} for place, row in TABLE.items()}
    assert {*TABLE, *(name for row in TABLE.values() for name in row.own)} <= FILES.keys()
    assert set(TopologicalSorter(needs).static_order()) == TABLE.keys()  # raises on a circle


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_reading_side_never_imports_torch():
    everything = "; ".join(
        f"import igaviz.{name}"
        for name in FILES
        if name.split(".")[0] not in ("record", "reference", "calibration", "__main__")
    ).replace(".__init__", "")
    assert "torch" not in modules_after(everything)


def test_no_framework_is_imported_but_by_its_adapter():
    for path in (PACKAGE / "record").rglob("*.py"):
        if path.parent.name != "frameworks":
            assert not {name.split(".")[0] for name in imported(path)} & FRAMEWORKS, path
    loaded = modules_after("import igaviz.record, igaviz.reference.train")
    assert not loaded & {*FRAMEWORKS, "pytorch_lightning"}


def test_help_imports_no_heavy_library():
    loaded = modules_after("from igaviz.cli.main import main; main(['render', '--help'])")
    loaded |= modules_after("from igaviz.cli.main import main; main(['export', '--help'])")
    assert not loaded & {"numpy", "h5py", "matplotlib", "torch", "gemmi"}


def test_importing_igaviz_loads_nothing_heavy():
    assert not modules_after("import igaviz") & {"numpy", "h5py", "matplotlib", "torch", "typer"}
