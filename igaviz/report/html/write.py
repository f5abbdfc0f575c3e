"""The page as a file: template, style and script put together, pictures inside or beside it."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from igaviz.aside import written_aside
from igaviz.errors import OVERWRITE, OutputError, UsageError
from igaviz.report.html.content import content
from igaviz.report.html.data import numbers_base64, page_data, script_json, verdicts_base64
from igaviz.survey.drawing.drawn import Picture
from igaviz.survey.page import Page

MAX_BYTES = 30_000_000
"""The size of a page up to which pictures go inside; the others are files beside it."""

_SCRIPTS = ("numbers.js", "grid.js", "charts.js", "head.js", "main.js")
_VERSIONS = ("numpy", "h5py", "matplotlib", "jinja2", "plotly")
_PER_PICTURE = 300  # what is said of it, beside its bytes


@dataclass(frozen=True)
class PageFile:
    """What was written: the page, its size, how many pictures are inside and which beside it."""

    path: Path
    n_bytes: int
    embedded: int
    linked: tuple[Path, ...]


def check_output(path: Path, *, force: bool) -> None:
    """Raises before any work what would fail after it.

    `UsageError` for a package that is missing and for `-`, `OutputError` where something is there
    already or nothing can be written.
    """
    for package in ("jinja2", "plotly"):
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"a page needs the package {package}",
                hint="pip install '.[html]' in the clone of igaviz, or pip install jinja2 plotly",
            ) from error
    if str(path) == "-":
        raise UsageError("a page must be a file, not -", hint="name one, such as report.html")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", hint="name a file, such as report.html")
    for there in (path, _beside(path)):
        if there.exists() and not force:
            raise OutputError(f"{there}: already there", hint=OVERWRITE)
    try:
        os.stat(f"{path.parent}/.")  # noqa: PTH116 (Path drops the dot, which asks for a folder)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OutputError.unwritable(path, error) from error


def write_page(
    page: Page,
    path: str | Path,
    *,
    command: str = "igaviz.page",
    made: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> PageFile:
    """Write `page` to `path`, which is overwritten, and say what was written.

    Pictures go inside, in their order, as long as the page stays below `max_bytes`; the others
    into a folder beside it. The foot of the page says by which `command` it was made and when
    (`made`, now where None). Raises `OutputError` where it can't be written.
    """
    path = Path(path)
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC" if made is None else made
    numbers = [numbers_base64(run, page) for run in page.runs]
    around = sum(map(len, _html(page, numbers, {}, command=command, made=made)))
    pictures, linked = _placed(page.rendering.pictures, path, max_bytes - around)
    try:
        shutil.rmtree(_beside(path), ignore_errors=True)
        for picture, target in linked:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture.path, target)
        n_bytes = _publish(_html(page, numbers, pictures, command=command, made=made), path)
    except OSError as error:
        raise OutputError.unwritable(path, error) from error
    inside = len(page.rendering.pictures) - len(linked)
    return PageFile(path, n_bytes, inside, tuple(target for _, target in linked))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_figures")


def _placed(
    pictures: Sequence[Picture], path: Path, room: int
) -> tuple[dict[Picture, str], list[tuple[Picture, Path]]]:
    """The address of each picture, and those that go into files beside the page."""
    addresses: dict[Picture, str] = {}
    linked: list[tuple[Picture, Path]] = []
    for position, picture in enumerate(pictures):
        size = 4 * -(-picture.path.stat().st_size // 3) + _PER_PICTURE
        if size <= room and not linked:
            room -= size
            image = base64.b64encode(picture.path.read_bytes()).decode("ascii")
            addresses[picture] = f"data:image/png;base64,{image}"
        else:
            target = _beside(path) / f"{position:04d}_{picture.path.name}"
            linked.append((picture, target))
            addresses[picture] = f"{quote(target.parent.name)}/{quote(target.name)}"
    return addresses, linked


def _html(
    page: Page,
    numbers: Sequence[str],
    pictures: Mapping[Picture, str],
    *,
    command: str,
    made: str,
) -> Iterator[bytes]:
    """The page piece by piece: whole, as text, it would take several times its size in memory."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("igaviz.report.html", "files"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "(() => {\n'use strict';\n" + "\n".join(map(_file, _SCRIPTS)) + "})();\n"
    scripts = [_plotly(), script]
    pieces = environment.get_template("page.html.j2").generate(
        content=content(page),
        style=_file("page.css"),
        scripts=scripts,
        hashes=" ".join(f"'sha256-{_sha256(text)}'" for text in scripts),
        data=script_json(page_data(page)),
        runs=[
            (number, verdicts_base64(run)) for number, run in zip(numbers, page.runs, strict=True)
        ],
        pictures=script_json([_picture(picture, page, at) for picture, at in pictures.items()]),
        command=command,
        made=made,
        versions={name: metadata.version(name) for name in ("igaviz", *_VERSIONS)},
    )
    for piece in pieces:
        yield piece.encode()


def _picture(picture: Picture, page: Page, address: str) -> dict[str, Any]:
    shown = picture.shown
    names = [(run.run, run.phase) for run in page.runs]
    return {
        "run": names.index((shown.run, shown.phase)),
        "step": shown.step,
        "batch": shown.batch,
        "layer": shown.layer,
        "head": shown.head,
        "figure": picture.figure.replace("_", " "),
        "verdict": picture.verdict,
        "address": address,
    }


def _file(name: str) -> str:
    return (resources.files("igaviz.report.html") / "files" / name).read_text("utf-8")


def _plotly() -> str:
    """Plotly's script, which comes inside its package; nothing in it can end the element."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _publish(pieces: Iterable[bytes], path: Path) -> int:
    """Write beside and rename, so that a page is whole or not there; its size."""
    with written_aside(path) as aside, aside.open("wb") as file:
        return sum(map(file.write, pieces))
