"""Who may import what: the table of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import igaviz

PACKAGE = Path(igaviz.__file__).parent

READING = {
    "errors",
    "format",
    "signs",
    "softmax",
    "process",
    "selection",
    "dump",
    "metrics",
    "checks",
    "figures",
}
OWN = {
    "__init__": READING | {"_version", "record", "survey"},
    "__main__": {"cli", "process"},
    "_version": set(),
    "errors": set(),
    "format": set(),
    "signs": set(),
    "softmax": set(),
    "process": set(),
    "selection": {"errors", "format"},
    "dump": {"_version", "errors", "format", "softmax"},
    "metrics": {"format", "softmax", "dump"},
    "checks": {"errors", "format", "metrics"},
    "figures": {"errors", "format", "signs", "dump", "metrics"},
    "survey": READING | {"_version"},
    "report": {
        "errors",
        "format",
        "signs",
        "selection",
        "dump",
        "metrics",
        "checks",
        "survey",
        "figures",
    },
    "cli": READING | {"_version", "survey", "report"},
    "record": {"errors", "format", "dump", "metrics", "_version"},
    "reference": {"errors", "format", "dump", "metrics", "record"},
    "calibration": READING | {"record", "reference", "survey", "report"},
}
FRAMEWORKS = {"lightning", "transformers", "accelerate"}
THIRD_PARTY = {
    "softmax": {"numpy"},
    "dump": {"numpy", "h5py", "deflate"},
    "metrics": {"numpy"},
    "checks": {"numpy"},
    "figures": {"numpy", "matplotlib"},
    "survey": {"numpy", "platformdirs", "distributed", "threadpoolctl", "gemmi"},
    "report": {"rich", "numpy", "jinja2", "plotly"},
    "cli": {"typer", "rich"},
    "record": {"numpy", "torch", "yaml", *FRAMEWORKS},
    "reference": {"numpy", "torch"},
    "calibration": {"torch"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_table(path):
    module = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "igaviz":
            target = rest[0] if rest else "_version"
            assert target == module or target in OWN[module], f"{path} imports {name}"
        elif top not in sys.stdlib_module_names and top != "__future__":
            assert top in THIRD_PARTY.get(module, set()), f"{path} imports {name}"


def test_only_the_page_takes_more_than_rich():
    for path in (PACKAGE / "report").glob("*.py"):
        found = imported(path)
        assert not {name.split(".")[0] for name in found} & {"numpy", "jinja2", "plotly"}, path
        assert not any(name.startswith("igaviz.figures") for name in found), path


def test_the_metrics_know_the_data_classes_and_not_the_file_code():
    for path in (PACKAGE / "metrics").glob("*.py"):
        dump = {name for name in imported(path) if name.startswith("igaviz.dump")}
        assert dump <= {"igaviz.dump.data"}, path


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_reading_side_never_imports_torch():
    everything = "; ".join(
        f"import igaviz.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}"
        for path in FILES
        if path.relative_to(PACKAGE).parts[0]
        not in ("record", "reference", "calibration", "__main__.py")
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
