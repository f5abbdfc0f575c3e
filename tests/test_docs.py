"""What the pages say is so: commands run or are parsed, Python runs, links lead somewhere."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main
from typer.exceptions import TyperException

from igaviz import diagnose, open_dump
from igaviz.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    ROOT / "sample_data/README.md",
]

GROUP = typer.main.get_command(app)
VERBS = GROUP.commands
SHELLS = {"console", "bash", "sh", "shell"}
PROGRAMS = {"igaviz", "python", "python3", "pip", "make", "git", "cd", "export"}


class Command(NamedTuple):
    """A command that a page shows, and where."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def shown(page: Path):
    """(line number, code, language of its fence) of a page: blocks, inline and indented code."""
    fence = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = line.strip("` ").split(" ")[0] if fence is None else None
        elif fence in ("", *SHELLS):
            yield number, line.strip(), fence
        elif fence is None and line.startswith("    "):
            yield number, line.strip(), ""
        elif fence is None:
            for code in re.findall(r"(?<!`)`([^`]+)`", line):
                yield number, code.strip(), ""


def commands(page: Path):
    """The commands of a page: all of a shell block, those behind `$` of a console, and all else
    that begins with a program or a verb."""
    for number, code, language in shown(page):
        text = code.removeprefix("$ ")
        words = text.split()
        if not words or words[0].startswith("#"):
            continue
        known = words[0] in PROGRAMS or words[0] in VERBS
        if text != code or known or language in SHELLS - {"console"}:
            yield Command(page.relative_to(ROOT).as_posix(), number, text)


COMMANDS = [command for page in PAGES for command in commands(page)]
OPTIONS = sorted(
    {
        (page.name, option)
        for page in PAGES
        for _, text, _ in shown(page)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
    }
)
RUN = [
    command
    for command in COMMANDS
    if command.text.startswith("igaviz ")
    and (" sample_data/" in command.text or command.text.startswith("igaviz explain"))
]
SICK = ("gamma_too_small", "diagonal_collapse")


def parse_igaviz(words: list[str]) -> None:
    """Parse without running. A verb that is only mentioned may lack what it works on."""
    while words and words[0].startswith("-"):
        option, *words = words
        assert option in {"--help", *(name for p in GROUP.params for name in p.opts)}
    if not words:
        return
    assert words[0] in VERBS, f"no verb {words[0]}"
    verb, *arguments = words
    try:
        VERBS[verb].make_context(verb, arguments)
    except TyperException as error:
        if not error.format_message().startswith("Missing"):
            raise
        VERBS[verb].make_context(verb, [*arguments, "DUMP"])


def check_mention(words: list[str]) -> None:
    """`diagnose --fail-on`: a verb of igaviz and its options, without values."""
    verb, *options = words
    known = {name for parameter in VERBS[verb].params for name in parameter.opts}
    assert {option for option in options if option.startswith("-")} <= known


class _Parsed(Exception):  # noqa: N818 (no error)
    """The arguments were of the grammar."""


MODULES = {
    "igaviz.reference.train": "igaviz.reference.train",
    "igaviz.calibration": "igaviz.calibration.__main__",
}
"""What `python -m` runs, and the module whose `main` it calls."""


def parse_module(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m MODULE`, as far as its argparse parser."""
    module, *arguments = words
    assert module in MODULES, f"teach this test to check {module}"
    main = importlib.import_module(MODULES[module]).main

    real = argparse.ArgumentParser.parse_args

    def stop(parser, given=None, namespace=None):
        real(parser, given, namespace)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(_Parsed):
        main(arguments)


def check_pip(words: list[str]) -> None:
    """An installation is not run; the extras that it names are there."""
    assert words[0] == "install"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert all(f"\n{name} = [" in project for name in extra.split(","))


def check_make(words: list[str]) -> None:
    """test_demo.py runs `make demo`; here the targets are there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{word}:", makefile, re.M) for word in words)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_each_command_is_one(command, monkeypatch):
    """A command that this test doesn't know how to check fails it: teach it, or run it."""
    program, *words = shlex.split(command.text, comments=True)
    if program in VERBS:
        check_mention([program, *words])
    elif program == "igaviz":
        parse_igaviz(words)
    elif program.startswith("python") and words[:1] == ["-m"]:
        parse_module(words[1:], monkeypatch)
    elif program == "pip":
        check_pip(words)
    elif program == "make":
        check_make(words)
    else:
        pytest.fail(f"{command}: no way to check {program!r}")


@pytest.mark.parametrize(("page", "option"), OPTIONS)
def test_each_option_that_a_page_names_is_one(page, option):
    known = {name for verb in (GROUP, *VERBS.values()) for p in verb.params for name in p.opts}
    for module in MODULES.values():
        text = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        known |= set(re.findall(r'"(--[a-z-]+)"', text))
    assert option in known | {"--help"}


def test_nothing_escapes(tmp_path, monkeypatch):
    """Wherever a page puts a command, and however wrong it is, the tests above see it."""
    (tmp_path / "page.md").write_text(
        "Say `igaviz info --nonsense x`, or\n\n    igaviz rendr x\n\n"
        "```console\n$ frobnicate x\noutput\n```\n```bash\nfrobnicate y\n```\n"
        "```python\nigaviz = 1\n```\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    found = [command.text for command in commands(tmp_path / "page.md")]
    assert found == [
        *("igaviz info --nonsense x", "igaviz rendr x", "frobnicate x", "frobnicate y")
    ]
    with pytest.raises(TyperException):
        parse_igaviz(found[0].split()[1:])
    with pytest.raises(AssertionError, match="no verb rendr"):
        parse_igaviz(found[1].split()[1:])


def test_the_readme_shows_every_verb():
    assert {command.text.split()[1] for command in RUN} >= set(VERBS)


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """The folder in which a reader types all of it, one after the other."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "sample_data").symlink_to(ROOT / "sample_data")
    return folder


@pytest.mark.parametrize("command", RUN, ids=str)
def test_each_command_on_the_sample_data_runs(command, beside):
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command.text)],
        capture_output=True,
        text=True,
        check=False,
        cwd=beside,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    finds = command.text.startswith(("igaviz diagnose", "igaviz compare")) and any(
        run in command.text for run in SICK
    )
    assert done.returncode == int(finds), done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("name", "prints"),
    [
        ("reading", r"1500 \w+ 0\.\d+\n"),
        ("export", r"\(.*\.pml.*\) \(\) \(\)\n"),
        ("figures", ""),
        ("report", r"report\.html \d+ \(\)\n"),
    ],
)
def test_the_python_of_a_page_runs_after_its_commands(name, prints, beside):
    page = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=beside
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(prints, done.stdout)


A_LAYER_OF_ONES_OWN = """
import math
import torch
from torch import nn
{imported}

class Attention(nn.Module):
    def __init__(self, layer_idx, width=16, heads=2):
        super().__init__()
        self.layer_idx = layer_idx
        self.query_key = nn.Linear(width, 2 * width)
        self.scale = nn.Parameter(torch.zeros(heads))

    def forward(self, x, trans, mask):
        q, k = self.query_key(x).unflatten(-1, (2, len(self.scale), -1)).unbind(-3)
        s = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(q.shape[-1])
        gamma = nn.functional.softplus(self.scale)
        g = -gamma[:, None, None] * torch.cdist(trans, trans)[:, None]
        a = (s + g).masked_fill(~mask[:, None, None], -1e9).softmax(-1)
        {tap}
        return x + torch.einsum("bhij,bjd->bid", a, x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Attention(number) for number in range(4))

    def forward(self, batch):
        x, trans, mask = batch
        for layer in self.layers:
            x = layer(x, trans, mask)
        return x[mask].square().mean()


mask = torch.ones(2, 20, dtype=torch.bool)
mask[1, 12:] = False
model = Model()
optimiser = torch.optim.SGD(model.parameters(), 0.01)
loader = [(torch.randn(2, 20, 16), torch.randn(2, 20, 3), mask)] * 101
"""


def test_the_recording_of_the_readme_runs_with_a_layer_of_ones_own(tmp_path):
    """Its two blocks as they stand: the one in a layer's forward, the other as the loop."""
    loop, within = re.findall(
        r"```python\n(from igaviz import (?:Recorder|tap).*?)```", README, re.S
    )
    imported, tap = within.split("\n", 1)
    layer = A_LAYER_OF_ONES_OWN.format(imported=imported, tap=tap.strip())
    code = layer + loop.replace("recorder.attach(model)", "print(recorder.attach(model))")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("taps itself") == 4
    assert done.stderr == ""
    dump = open_dump(tmp_path / "dumps/run1")
    assert {entry.id.step for entry in dump.entries} == {0, 100}
    assert {entry.module for entry in dump.entries} == {f"layers.{n}" for n in range(4)}
    assert not {"D001", "D002", "D003"} & {finding.id for finding in diagnose(dump).findings}


def test_the_python_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(from igaviz import diagnose.*?)```", README, flags=re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("error")
    assert "gamma-too-small" in done.stdout


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(
        r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")
    ):
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}#{anchor}"
