"""What all tests share: dumps written by the page (`bare`, `refused`), `folders`, sample data."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

# A process that is forked while OpenMP has threads may wait for them for ever; tests fork.
os.environ["OMP_NUM_THREADS"] = "1"
# What is printed is as wide as tests say, not as the terminal that they run in.
os.environ.pop("COLUMNS", None)
# An installed igaviz is compiled; here, processes that tests start find what the first compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Shells start what runs in the background deaf to Ctrl-C, and children inherit it; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests measure is kept for them alone, and for as long as they run.
_CACHE = tempfile.TemporaryDirectory(prefix="igaviz-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

ROOT = Path(__file__).parent.parent

_LONGEST = (
    "test_painter.py",
    "test_demo.py",
    "test_drawing.py",
    "test_processes.py",
    "test_docs.py",
    "test_page.py",
    "test_compile.py",
    "test_cluster.py",
)
"""Files that begin first: one that begins last is waited for by the other worker."""


def _share(name: str) -> None:
    """Make `tests/NAME.py` importable by its name: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_share("bare")
_share("diverged")
_share("folders")
_share("refused")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the project."""
    return ROOT


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The three recorded runs."""
    return ROOT / "sample_data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: k for k, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
