"""What the README says is so: its commands run on the sample data, its Python does too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`igaviz ((?:info|render|diagnose|explain|summary|verify) [^`]+)`", README)


def test_the_readme_shows_every_verb():
    done = subprocess.run(
        [sys.executable, "-m", "igaviz", "--help"], capture_output=True, text=True, check=True
    )
    verbs = {command.split()[0] for command in COMMANDS}
    assert verbs == {"info", "render", "diagnose", "explain", "summary", "verify"}
    assert all(verb in done.stdout for verb in verbs)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_readme_runs(command, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    done = subprocess.run(
        [sys.executable, "-m", "igaviz", *command.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == (1 if "gamma_too_small" in command else 0), done.stderr
    assert done.stdout


def test_the_python_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(from igaviz import diagnose.*?)```", README, flags=re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("error")
    assert "gamma-too-small" in done.stdout


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
