"""`igaviz info`."""

from __future__ import annotations

from igaviz.cli import options


def info(dump: options.DumpPaths, json: options.Json = False) -> int:
    """Say what is in a dump: runs, steps, layers, heads, items, units, bytes, damage."""
    from igaviz.cli import console
    from igaviz.report.info import info_json, print_info
    from igaviz.survey.info import info as describe_dump

    opened = options.open_paths(dump)
    found = describe_dump(opened)
    if json:
        console.print_json(info_json(found))
    else:
        print_info(found, console.out())
    return int(console.report_damage(found.damaged, opened.warnings))
