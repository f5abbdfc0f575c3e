"""Makes the modules beside and above importable by their names: tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent

for path in (HERE.parent / "assembly.py", HERE / "plain_figures.py", HERE / "turns.py"):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
