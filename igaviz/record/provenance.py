"""Where a recording comes from: versions, command line, host, code."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from igaviz._version import __version__
from igaviz.errors import RecordingError

_GIT_SECONDS = 5


def rank_and_world_size() -> tuple[int, int]:
    """This process's rank and how many there are: from torch.distributed, else its environment."""
    if is_distributed():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return _environment_number("RANK", 0), _environment_number("WORLD_SIZE", 1)


def is_distributed() -> bool:
    """Whether this process is one of several that torch.distributed knows of."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def provenance() -> dict[str, Any]:
    """What made this recording, as `run.json` holds it."""
    return {
        "versions": {
            "igaviz": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": _version_of("numpy"),
            "h5py": _version_of("h5py"),
        },
        # as typed: sys.argv[0] of `python -m` would be a path of this machine
        "command": sys.orig_argv,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "git_commit": _git_commit(),
    }


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise RecordingError(f"the environment says {name}={text!r}, which is no number")
    return int(text)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit that the training script's folder is at, None where it isn't under git."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(script).resolve().parent if script else Path.cwd()
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
