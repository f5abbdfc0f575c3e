"""How long the command line takes to answer, beside a Typer program that does nothing.

Compare the rows: `igaviz --help` should take what `bare` takes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

BARE = '''
import typer
app = typer.Typer(add_completion=False)
@app.command()
def greet(name: str = "you") -> None:
    """Greet somebody."""
app()
'''
PROGRAMS = {
    "python": ["-c", "pass"],
    "bare": ["-c", BARE, "--help"],
    "igaviz": ["-m", "igaviz", "--help"],
    "igaviz render": ["-m", "igaviz", "render", "--help"],
    "import igaviz": ["-c", "import igaviz"],
}


@pytest.mark.benchmark(group="start", min_rounds=10)
@pytest.mark.parametrize("program", PROGRAMS)
def test_start(benchmark, program):
    command = [sys.executable, *PROGRAMS[program]]
    benchmark.pedantic(
        subprocess.run, [command], {"check": True, "capture_output": True}, rounds=10
    )
