"""What docs/figures.md says of the figures is so."""

from __future__ import annotations

import re
import subprocess
import sys

from igaviz.checks import find_check
from igaviz.figures import FIGURES
from igaviz.metrics.heads import BLIND_EFFECT, DOMINANT, HEAD_TYPES, ONE_HOT_SHARE


def test_the_python_of_the_page_runs(root, tmp_path):
    page = (root / "docs/figures.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (tmp_path / "sample_data").symlink_to(root / "sample_data")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_every_type_stands_on_the_page_with_its_question(root):
    page = (root / "docs/figures.md").read_text(encoding="utf-8")
    for name, kind in FIGURES.items():
        assert f"`{name}`" in page
        assert f"| {kind.question} |" in page
    for name in HEAD_TYPES:
        assert f"\n| {name} | " in page
    assert f"`saturation` > {ONE_HOT_SHARE:g}" in page
    assert f"`geometry_effect` < {BLIND_EFFECT:g}" in page
    assert f"≥ {DOMINANT:g} × `geometry_effect`" in page


def test_types_have_the_bounds_of_the_checks():
    assert find_check("softmax-saturated").thresholds["share"] == ONE_HOT_SHARE
    assert find_check("gamma-too-small").thresholds["effect"] == BLIND_EFFECT
