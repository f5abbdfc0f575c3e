"""`igaviz verify`."""

from __future__ import annotations

from igaviz.cli import options


def verify(dump: options.DumpPaths, jobs: options.Jobs = None, json: options.Json = False) -> int:
    """Say whether a dump is whole: structure, types, checksums, finite numbers, rows, replay."""
    from igaviz.cli import console
    from igaviz.report.verification import print_verification, verification_json
    from igaviz.survey.verify import verify as check_whole

    opened = options.open_paths(dump)
    with console.progress("verifying", "maps") as advance:
        found = check_whole(opened, jobs=options.worker_count(jobs), progress=advance)
    if json:
        console.print_json(verification_json(found))
    else:
        print_verification(found, console.out())
    console.report_damage((), opened.warnings)
    if not (found.maps or found.scalar_lines or found.whole):
        return options.NOTHING_DONE
    return int(not found.whole)
