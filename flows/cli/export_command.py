"""`verdict export`: what analysts see, as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.cli.arguments import USAGE_ERROR, Commands, command
from flows.cli.lines import complain
from flows.formats.text import counted

_FORMATS = ("parquet", "csv", "arrow")


def add(commands: Commands) -> None:
    """Adds the command."""
    export = command(
        commands, "export", _export, "write a published view to a Parquet, CSV or Arrow file"
    )
    export.add_argument("view", nargs="?", metavar="VIEW", help="such as looks, latest_verdict")
    export.add_argument(
        "--format", choices=_FORMATS, help="default: as the name of --output ends, else parquet"
    )
    export.add_argument("--output", type=Path, metavar="FILE", help="default: VIEW.FORMAT, here")
    export.add_argument(
        "--dictionary", action="store_true", help="print every view and column, as Markdown"
    )


def _export(options: argparse.Namespace) -> int:
    from flows.publish.read_marts import (  # noqa: PLC0415
        ExportFormat,
        data_dictionary,
        export_view,
        read_marts,
    )

    if options.dictionary:
        print("\n".join(data_dictionary()))
        return 0
    with read_marts(options.workspace.root) as marts:
        if options.view is None:
            complain(f"name a view: {', '.join(marts.views)}")
            return USAGE_ERROR
        ending = options.output.suffix[1:].lower() if options.output else ""
        form = ExportFormat(options.format or (ending if ending in _FORMATS else "parquet"))
        path = options.output or Path(f"{options.view}.{form}")
        rows = export_view(marts, options.view, form, path)
    if not options.quiet:
        print(f"wrote {path}: {counted(rows, 'row')}")
    return 0
