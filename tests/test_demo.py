"""The two commands of the README, from a fresh clone and an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

_OF_THIS_PROCESS = ("PYTHON", "PYTEST", "MAKE", "MFLAGS", "GIT_", "XDG_", "VIRTUAL_ENV")
"""Variables that would carry something of the surrounding checkout into the clone."""

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("make")), reason="git or make is not installed"
)


def run(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> dict[str, str]:
    """This process's environment with an empty home; pip's cache may be shared."""
    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OF_THIS_PROCESS)}
    kept["HOME"] = str(tmp_path_factory.mktemp("home"))
    if cache.returncode == 0:
        kept["PIP_CACHE_DIR"] = cache.stdout.strip()
    return kept


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What is committed, and nothing else."""
    there = tmp_path_factory.mktemp("clone") / "igaviz"
    git = ["git", "-c", f"safe.directory={ROOT}", "-c", "safe.directory=*"]
    head = subprocess.check_output([*git, "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()
    subprocess.run([*git, "clone", "--quiet", "--no-checkout", ROOT, there], check=True)
    subprocess.run([*git, "-C", there, "checkout", "--quiet", head], check=True)
    return there


def test_make_demo_draws_pictures_without_torch_and_says_what_to_type_next(clone, env):
    done = run(["make", "demo", f"PYTHON={sys.executable}"], clone, env)
    assert done.returncode == 0, done.stderr
    *before, look, last = done.stdout.splitlines()
    named = [line for line in before if line.endswith(".png")]
    assert named
    assert any(re.fullmatch(r"24 pictures of 8 maps \(.+\)", line) for line in before)
    pictures = list((clone / named[0]).parent.glob("*.png"))
    assert len(pictures) == 3 * 8
    assert all(picture.stat().st_size > 10_000 for picture in pictures)

    match = re.fullmatch(r"next: (?:open|xdg-open) (\S+\.png)", look)
    assert match, look
    assert clone / match[1] in pictures

    match = re.fullmatch(r"next: (\S+igaviz .+)", last)
    assert match, last
    following = run(match[1].split(), clone, env)
    assert following.returncode == 1, following.stderr
    assert "D202 diagonal-collapse" in following.stdout
    assert following.stderr == ""

    # what the README has typed next is drawn elsewhere; its page, from what was installed
    assert not (clone / "attention_vis").exists()
    igaviz = match[1].split()[0]
    page = clone / "demo_pictures" / "page.html"
    words = [igaviz, "summary", "sample_data/diagonal_collapse", "--html", str(page)]
    done = run([*words, "--figures", "1"], clone, env)
    assert done.returncode == 0, done.stderr
    assert page.stat().st_size > 1_000_000

    demo = clone / Path(match[1].split()[0]).parent / "python"
    torch = "import importlib.util as u; raise SystemExit(u.find_spec('torch') is not None)"
    assert run([str(demo), "-c", torch], clone, env).returncode == 0
    # what was installed is what is published: the schemas are in it
    schemas = "from igaviz.report.schema import VERBS, json_schema; print(*map(json_schema, VERBS))"
    assert "igaviz.summary/1" in run([str(demo), "-I", "-c", schemas], clone.parent, env).stdout
    status = subprocess.check_output(["git", "status", "--porcelain"], cwd=clone, text=True)
    assert status == "", "what make demo leaves is ignored by git"


def test_plain_make_says_what_each_target_does(clone, env):
    said = run(["make"], clone, env).stdout
    makefile = (clone / "Makefile").read_text("utf-8")
    targets = re.findall(r"^([a-z]+):", makefile, re.M)
    assert [line.split()[1] for line in said.splitlines()] == targets
    assert "make demo        draw the three figures of layer 3" in said


def test_what_make_test_would_run_is_there(clone, env):
    """It can't be run from within itself: its commands are looked at one by one."""
    done = run(["make", "-n", "test", f"PYTHON={sys.executable}"], clone, env)
    assert done.returncode == 0, done.stderr
    commands = [line.split() for line in done.stdout.splitlines()]
    assert {" ".join(command[1:3]) for command in commands} >= {
        *("-m venv", "install --quiet", "check igaviz", "format --check", "-m pytest"),
    }
    here = Path(sys.executable).parent
    for program, *arguments in commands:
        name = Path(program).name
        assert shutil.which(program) or (here / name).exists(), program
        for argument in arguments:
            assert argument not in ("igaviz", "tests") or (clone / argument).is_dir()
    extras = re.findall(r"\.\[([\w,]+)\]", done.stdout)
    project = (clone / "pyproject.toml").read_text("utf-8")
    assert extras
    assert all(f"\n{extra} = [" in project for found in extras for extra in found.split(","))
