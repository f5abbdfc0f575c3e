"""`igaviz render` as a process of its own: dying workers, Ctrl-C, progress, files already there."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLY = "layer1_distance_statistics_b0_h3.png"

# Every process imports this at its start. The one that is to write the deadly picture is killed
# by the system when half of it is written.
SITE = f"""
import os, signal
from igaviz.aside import unfinished
from igaviz.figures import painter
publish = painter.publish
def half(path, data):
    if path.name == {DEADLY!r}:
        unfinished(path).write_bytes(data[:len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    publish(path, data)
painter.publish = half
"""


def command(sample_data, out, *more):
    return [
        *(sys.executable, "-m", "igaviz", "render", str(sample_data / "healthy")),
        *("--layer", "0-1", "--head", "all", "--out", str(out), *more),
    ]


def pictures(out):
    return sorted(path for path in out.rglob("*") if path.is_file())


def whole(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.read_bytes().endswith(
        b"IEND\xaeB`\x82"
    )


def test_a_worker_that_dies_costs_the_picture_that_kills_it(sample_data, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)
    out = tmp_path / "out"
    python_path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command(
            *(sample_data, out, "--figure", "overview,distance_statistics"),
            *("--jobs", "2", "--dpi", "30", "--json"),
        ),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": python_path},
    )
    assert done.returncode == 1, done.stderr
    printed = json.loads(done.stdout)
    assert [Path(lost["path"]).name for lost in printed["failed"]] == [DEADLY]
    assert "died" in printed["failed"][0]["reason"]
    assert DEADLY in done.stderr
    assert "Traceback" not in done.stderr
    drawn = pictures(out)
    assert len(drawn) == len(printed["pictures"]) == 2 * 8 * 2 - 1
    assert all(map(whole, drawn))


def of_group(group):
    """The processes of a process group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_until(reached, seconds=60.0):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def to_one(process, sent):
    os.kill(process.pid, sent)


def to_all(process, sent):
    os.killpg(process.pid, sent)  # as a terminal does it


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("jobs", "when", "send", "sent", "code"),
    [
        ("1", "drawing", to_one, signal.SIGINT, 130),
        ("2", "drawing", to_one, signal.SIGINT, 130),
        ("2", "drawing", to_all, signal.SIGINT, 130),
        ("2", "copied", to_all, signal.SIGINT, 130),
        ("2", "starting", to_all, signal.SIGINT, 130),
        ("2", "drawing", to_one, signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_an_end_in_the_middle_leaves_whole_pictures_only(
    sample_data, tmp_path, jobs, when, send, sent, code
):
    words = command(sample_data, tmp_path, "--jobs", jobs)
    if when == "starting":  # where workers can't be copies, as on other systems
        words[1:3] = ["-c", "import sys; from igaviz.cli.main import main; sys.exit(main())"]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if when == "copied":
        wait_until(lambda: len(of_group(process.pid)) == 3)
    elif when == "starting":
        wait_until(lambda: len(of_group(process.pid)) == 4)  # two workers, multiprocessing's own
        time.sleep(0.3)  # they import
    else:
        wait_until(lambda: len(pictures(tmp_path)) > 2)
    send(process, sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert sent != signal.SIGINT or said == "igaviz: interrupted\n"
    wait_until(lambda: not of_group(process.pid))
    drawn = pictures(tmp_path)
    assert len(drawn) < 2 * 8 * 3
    if sent == signal.SIGINT:
        assert all(map(whole, drawn))
    # what SIGKILL leaves unfinished has another name, and the next run writes over it
    assert all(map(whole, (path for path in drawn if path.suffix == ".png")))


# Ctrl-C is pressed when the command line is about to be imported, in code that is made while it is.
EARLY = """
import os, signal, sys
class Press:
    def find_spec(self, name, *_):
        if name == "typer":
            exec("os.kill(os.getpid(), signal.SIGINT)")
sys.meta_path.insert(0, Press())
from igaviz.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_before_there_is_a_command_line(tmp_path):
    """Said and ended with 130, also as `python -m`, which is ended by the signal if it hit exec."""
    (tmp_path / "early.py").write_text(EARLY)
    words = [sys.executable, "-m", "early"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "igaviz: interrupted\n")


def test_progress_is_for_terminals_and_pictures_are_written_over_by_force_only(
    sample_data, tmp_path
):
    of_numbers = ("--figure", "statistics", "--dpi", "50")
    read, write = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [*command(sample_data, tmp_path, "--jobs", "1", *of_numbers)],
        stdout=subprocess.PIPE,
        stderr=write,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(write)
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while piece := os.read(read, 4096):
                shown += piece
        process.communicate()
    os.close(read)
    assert process.returncode == 0
    assert "pictures" in shown.decode()
    assert " a second, " in shown.decode()
    assert " left" in shown.decode()

    again = subprocess.run(
        [*command(sample_data, tmp_path, *of_numbers)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 2
    assert "already there" in again.stderr
    assert "--force" in again.stderr
    before = {path: path.stat().st_mtime_ns for path in pictures(tmp_path)}
    forced = subprocess.run(
        [*command(sample_data, tmp_path, *of_numbers, "--jobs", "2", "--force")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert forced.returncode == 0
    assert not forced.stderr
    assert all(path.stat().st_mtime_ns > before[path] for path in pictures(tmp_path))
