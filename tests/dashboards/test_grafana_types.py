"""The boards are what Grafana's published types say (npm: @grafana/schema), by its own compiler.

The packages are fetched once into build/grafana-types; where npm can't fetch them the test is
skipped, and says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboards.conversions_dashboard import conversions_dashboard
from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.pipeline_dashboard import pipeline_dashboard
from tests.builders import views
from tests.dashboards.reading import read
from tests.places import PATIENCE_S, REPOSITORY

_PACKAGES = ("@grafana/schema@13.2.3", "typescript@5.9.3")
_FOLDER = REPOSITORY / "build" / "grafana-types"
_RAW = "@grafana/schema/dist/esm/raw/composable"
# By type of panel: the module of its options, and whether its fields have options of their own.
_PANELS = {
    "timeseries": ("timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", True),
    "heatmap": ("heatmap/panelcfg/x/HeatmapPanelCfg_types.gen", True),
    "state-timeline": ("statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen", True),
    "stat": ("stat/panelcfg/x/StatPanelCfg_types.gen", False),
    "bargauge": ("bargauge/panelcfg/x/BarGaugePanelCfg_types.gen", False),
    "text": ("text/panelcfg/x/TextPanelCfg_types.gen", False),
}
# Enums of words are words in JSON.
_HEAD = """
import type {AnnotationQuery, Dashboard, Panel, RowPanel} from "@grafana/schema";
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Json<U>[] : T extends object ? {[K in keyof T]: Json<T[K]>} : T;
// What Prometheus reads of an annotation is Prometheus' own.
type Mark = AnnotationQuery & {
  expr: string; step: string; titleFormat: string; useValueForTime?: string;
};
type Part<T> = Json<{[K in keyof T]?: T[K] extends object | undefined ? Partial<T[K]> : T[K]}>;
"""


def _compiler() -> str:
    """The path of tsc. Skips the test without it."""
    compiler = _FOLDER / "node_modules" / ".bin" / "tsc"
    wanted = " ".join(_PACKAGES)
    noted = _FOLDER / "packages"
    if compiler.exists() and noted.exists() and noted.read_text() == wanted:
        return str(compiler)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("boards are not checked against Grafana's types: npm is not installed")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]
    try:
        done = subprocess.run(
            [npm, "install", "--prefix", str(_FOLDER), *options, *_PACKAGES],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("boards are not checked against Grafana's types: npm takes too long")
    if done.returncode:
        pytest.skip(f"boards are not checked against Grafana's types: {done.stderr[-300:]}")
    noted.write_text(wanted)
    return str(compiler)


def _boards() -> dict[str, dict[str, Any]]:
    found = {view.name: read(experiment_dashboard(view)) for view in views.ALL}
    found |= {"fleet": read(fleet_dashboard(views.ALL))}
    return found | {
        "conversions": read(conversions_dashboard()),
        "pipeline": read(pipeline_dashboard()),
    }


def _as_typescript(content: dict[str, Any]) -> str:
    """The board as a constant of its type, and the options of each panel of theirs."""
    lines = [_HEAD]
    for number, (module, has_fields) in enumerate(_PANELS.values()):
        names = f"Options as Options{number}"
        if has_fields:
            names += f", FieldConfig as Fields{number}"
        lines.append(f'import type {{{names}}} from "{_RAW}/{module}";')
    kinds = list(_PANELS)
    whole = {k: v for k, v in content.items() if k not in ("panels", "annotations")}
    marks = content.get("annotations", {}).get("list", [])
    lines.append(f"export const marks: Json<Mark>[] = {json.dumps(marks)};")
    lines.append(f"export const board: Json<Dashboard> = {json.dumps(whole)};")
    for index, panel in enumerate(content["panels"]):
        kind = "RowPanel" if panel["type"] == "row" else "Panel"
        # Options are open in the type of all panels: each kind has its own.
        options = panel.get("options", {})
        fields = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
        lines.append(f"export const panel{index}: Json<{kind}> = {json.dumps(panel)};")
        if panel["type"] == "row":
            continue
        number = kinds.index(panel["type"])
        lines.append(f"export const options{index}: Part<Options{number}> = {json.dumps(options)};")
        if _PANELS[panel["type"]][1]:
            lines.append(
                f"export const fields{index}: Part<Fields{number}> = {json.dumps(fields)};"
            )
    return "\n".join(lines)


def _complaints(compiler: str, files: dict[str, str], folder: Path) -> str:
    (folder / "node_modules").symlink_to(_FOLDER / "node_modules")
    for name, text in files.items():
        (folder / f"{name}.ts").write_text(text)
    done = subprocess.run(
        [compiler, "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
         "--moduleResolution", "bundler", *(f"{name}.ts" for name in files)],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return done.stdout


def test_boards_are_of_grafanas_types(tmp_path: Path) -> None:
    """And one that isn't is found: the compiler is no rubber stamp."""
    boards = _boards()
    wrong = boards["fleet"] | {"panels": [dict(p) for p in boards["fleet"]["panels"]]}
    drawn = next(panel for panel in wrong["panels"] if panel["type"] == "timeseries")
    drawn["options"] = {**drawn["options"], "tooltip": {"mode": "sometimes", "sort": "none"}}
    wrong["refresh"] = 30
    files = {name: _as_typescript(content) for name, content in boards.items()}
    said = _complaints(_compiler(), files | {"wrong": _as_typescript(wrong)}, tmp_path)
    assert [line for line in said.splitlines() if not line.startswith(("wrong.ts", " "))] == []
    assert "'number' is not assignable to type 'string'" in said
    assert '"sometimes"' in said
