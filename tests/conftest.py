"""What all tests share: `bare`, the writer of dumps by the page, and the sample data."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

# A process that is forked while OpenMP has threads may wait for them for ever; tests fork.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parent.parent

_spec = importlib.util.spec_from_file_location("bare", Path(__file__).with_name("bare.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["bare"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the project."""
    return ROOT


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The three recorded runs."""
    return ROOT / "sample_data"
