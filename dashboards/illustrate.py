"""Draws a dashboard as SVG from what a Prometheus answers, without Grafana: for documentation.

`python3 -m dashboards.illustrate fleet http://127.0.0.1:9090 > docs/images/fleet.svg`. It is an illustration:
sizes, numbers and colors are the dashboard's, the drawing is simpler than Grafana's.
"""

from __future__ import annotations

import json
import sys
import time
from html import escape
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from dashboards.render import TARGET

COLUMN, ROW, GAP = 50, 30, 6
SPAN, STEP = 86_400, 900
COLORS = ("#73bf69", "#5794f2", "#f2cc0c", "#ff9830", "#b877d9", "#8ab8ff", "#ff7383", "#96d98d")
NAMED = {"green": "#299c46", "yellow": "#d19c00", "red": "#d44a3a", "blue": "#1f60c4"}


class Answers:
    """A Prometheus, asked for the last day."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = time.time()

    def ask(self, target: dict[str, Any]) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return labels and points of every series of a panel's target."""
        expr = target["expr"].replace("$__range", "1d").replace("$__rate_interval", "5m")
        for name in ("team", "user", "host", "project", "model"):
            expr = expr.replace(f"${name}", ".*")
        arguments: dict[str, object] = {"query": expr, "time": self.now}
        if target["range"]:
            arguments = {"query": expr, "start": self.now - SPAN, "end": self.now, "step": STEP}
        path = "query_range" if target["range"] else "query"
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(arguments)}", timeout=60) as answer:  # noqa: S310 -- given
            result = json.load(answer)["data"]["result"]
        return [
            (
                one["metric"],
                [(float(at), float(value)) for at, value in one.get("values", [one.get("value", (0, 0))])],
            )
            for one in result
        ]


def shown(value: float, unit: str, decimals: int = 1) -> str:
    """Return a value as Grafana would show it in this unit."""
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "currencyUSD":
        return f"${value:,.{max(decimals, 2)}f}"
    if unit == "percentunit":
        return f"{value * 100:.{decimals}f}%"
    if unit == "s":
        return f"{value:.{decimals}f} s" if value < 90 else f"{value / 60:.1f} min"
    for limit, mark in ((1e9, " B"), (1e6, " Mil"), (1e3, " K")):
        if unit == "short" and value >= limit:
            return f"{value / limit:.{max(decimals, 1)}f}{mark}"
    return f"{value:.{decimals}f}"


def _text(x: float, y: float, text: str, *, size: float = 12, color: str = "#24292e", more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}" {more}>{escape(text)}</text>'


def _number(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    series = answers.ask(panel["targets"][0])
    if not series:
        return _text(width / 2, height / 2 + 14, defaults["noValue"], size=14, more='text-anchor="middle"')
    value = series[0][1][-1][1]
    steps = defaults["thresholds"]["steps"]
    color = next(step["color"] for step in reversed(steps) if step["value"] is None or value >= step["value"])
    text = shown(value, defaults["unit"], defaults.get("decimals", 0))
    return _text(width / 2, height / 2 + 22, text, size=30, color=NAMED[color], more='text-anchor="middle"')


def _lines(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    drawn: list[tuple[str, dict[float, float]]] = []
    for target in panel["targets"]:
        for labels, series in answers.ask(target):
            legend = target["legendFormat"]
            for label, text in labels.items():
                legend = legend.replace("{{" + label + "}}", text)
            drawn.append((legend, dict(series)))
    if not drawn:
        return _text(width / 2, height / 2, defaults["noValue"], size=14, more='text-anchor="middle"')
    times = sorted({at for _, points in drawn for at in points})
    base = dict.fromkeys(times, 0.0)
    bands: list[tuple[str, dict[float, float], dict[float, float]]] = []
    for legend, points in drawn:
        top = {at: (base[at] if stacked else 0.0) + points.get(at, 0.0) for at in times}
        bands.append((legend, dict(base) if stacked else dict.fromkeys(times, 0.0), top))
        base = top if stacked else base
    highest = max(max(top.values()) for _, _, top in bands) or 1.0
    left, upper, right, lower = 62.0, 34.0, width - 12, height - 44

    def place(at: float, value: float) -> str:
        x = left + (at - (answers.now - SPAN)) / SPAN * (right - left)
        return f"{x:.1f},{lower - value / highest * (lower - upper):.1f}"

    out = []
    for share in (0, 0.5, 1):
        y = lower - share * (lower - upper)
        out.append(f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="#e3e6e8"/>')
        label = shown(highest * share, defaults["unit"], 1 if highest < 20 else 0)
        out.append(_text(left - 6, y + 4, label, size=10, color="#6e7781", more='text-anchor="end"'))
    x = left
    for index, (legend, bottom, top) in enumerate(bands):
        color = COLORS[index % len(COLORS)]
        line = " ".join(place(at, top[at]) for at in times)
        if stacked:
            back = " ".join(place(at, bottom[at]) for at in reversed(times))
            out.append(f'<polygon points="{line} {back}" fill="{color}" fill-opacity="0.45"/>')
        out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.3"/>')
        if x < right - 60:
            out.append(f'<rect x="{x:.0f}" y="{height - 24:.0f}" width="10" height="4" fill="{color}"/>')
            out.append(_text(x + 14, height - 18, legend, size=10.5))
            x += 26 + 6.2 * len(legend)
    return "".join(out)


def _rows(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    names = panel["transformations"][1]["options"]["renameByName"]
    formats = {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    table: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for target in panel["targets"]:
        field = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
        column = names[field]
        for labels, points in answers.ask(target):
            cells = table.setdefault(tuple(sorted(labels.items())), {})
            cells[column] = shown(points[-1][1], formats[column]["unit"], formats[column]["decimals"])
    columns = [names.get(label, label) for label in dict.fromkeys(key for row in table for key, _ in row)]
    columns += list(formats)
    out = []
    pace = (width - 24) / (len(columns) + 2)  # the first column is wider
    starts = [12.0] + [12 + (index + 2) * pace for index in range(1, len(columns))]
    for x, column in zip(starts, columns, strict=False):
        out.append(_text(x, 46, column, size=11, color="#1f60c4", more='font-weight="600"'))
    for number, (pairs, cells) in enumerate(list(table.items())[: int((height - 60) // 20)]):
        texts = {names.get(key, key): text for key, text in pairs} | cells
        out += [
            _text(x, 68 + number * 20, texts.get(column, ""), size=11)
            for x, column in zip(starts, columns, strict=False)
        ]
    return "".join(out)


DRAWERS = {"stat": _number, "timeseries": _lines, "table": _rows}


def draw(board: dict[str, Any], answers: Answers) -> str:
    """Return the dashboard as SVG; kinds of panels that are not drawn stay empty frames."""
    out = []
    bottom = 0.0
    for panel in board["panels"]:
        at = panel["gridPos"]
        x, y = at["x"] * COLUMN, 44 + at["y"] * ROW
        width, height = at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
        bottom = max(bottom, y + height)
        if panel["type"] == "row":
            out.append(_text(x + 10, y + 18, panel["title"], size=14, more='font-weight="600"'))
            continue
        inner = _text(10, 20, panel["title"], size=12.5, more='font-weight="600"')
        if panel["type"] in DRAWERS:
            inner += DRAWERS[panel["type"]](panel, answers, width=width, height=height)
        frame = f'<rect width="{width}" height="{height}" rx="3" fill="#fff" stroke="#d8dce0"/>'
        out.append(f'<g transform="translate({x} {y})">{frame}{inner}</g>')
    title = _text(10, 28, f"{board['title']}: an illustration, from replayed data", size=17)
    width, height = 24 * COLUMN, bottom + 10
    lines = "\n".join([f'<rect width="{width}" height="{height:.0f}" fill="#f4f5f5"/>', title, *out])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f"font-family=\"system-ui, 'Segoe UI', sans-serif\">\n{lines}\n</svg>\n"
    )


def main(name: str, url: str) -> None:
    """Write the drawing of a dashboard to standard output."""
    board = json.loads((TARGET / f"{name}.json").read_text(encoding="utf-8"))
    sys.stdout.write(draw(board, Answers(url)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
