"""Draws a dashboard as SVG from what a Prometheus answers, without Grafana: for documentation.

`python3 -m dashboards.illustrate fleet http://127.0.0.1:9090 > fleet.svg`. It is an illustration: sizes,
numbers and colors are the dashboard's, the drawing is simpler than Grafana's.
"""

from __future__ import annotations

import json
import re
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
    """A Prometheus, asked for the day before `now`, in seconds since the epoch.

    `rate` stands for $__rate_interval.
    """

    def __init__(self, url: str, *, now: float | None = None, rate: str = "5m") -> None:
        self.url = url
        self.now = time.time() if now is None else now
        self.rate = rate

    def ask(self, target: dict[str, Any]) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return labels and points of every series of a panel's target."""
        expr = target["expr"].replace("$__range", "1d").replace("$__rate_interval", self.rate)
        for name in ("team", "user", "host", "project", "model"):
            expr = expr.replace(f"${name}", ".*")
        arguments: dict[str, object] = {"query": expr, "time": self.now}
        if target["range"]:
            arguments = {"query": expr, "start": self.now - SPAN, "end": self.now, "step": STEP}
        path = "query_range" if target["range"] else "query"
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(arguments)}", timeout=60) as answer:  # noqa: S310 -- given
            result = json.load(answer)["data"]["result"]
        found = [
            (one["metric"], [(float(at), float(value)) for at, value in one.get("values") or [one["value"]]])
            for one in result
        ]
        # What is no number (nothing divided by nothing) is not drawn.
        numbers = [(labels, [point for point in points if point[1] == point[1]]) for labels, points in found]
        return [(labels, points) for labels, points in numbers if points]


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


def _step(defaults: dict[str, Any], value: float) -> str:
    steps = defaults["thresholds"]["steps"]
    return NAMED[
        next(step["color"] for step in reversed(steps) if step["value"] is None or value >= step["value"])
    ]


def _number(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    series = answers.ask(panel["targets"][0])
    if not series:
        return _text(width / 2, height / 2 + 14, defaults["noValue"], size=14, more='text-anchor="middle"')
    value = series[0][1][-1][1]
    text = shown(value, defaults["unit"], defaults.get("decimals", 0))
    return _text(
        width / 2, height / 2 + 22, text, size=30, color=_step(defaults, value), more='text-anchor="middle"'
    )


def _pieces(points: dict[float, float]) -> list[list[float]]:
    """Return the times of points in runs without a gap."""
    pieces: list[list[float]] = []
    for at in sorted(points):
        if pieces and at - pieces[-1][-1] <= STEP:
            pieces[-1].append(at)
        else:
            pieces.append([at])
    return pieces


def _lines(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    drawn: list[tuple[str, dict[float, float]]] = []
    for target in panel["targets"]:
        for labels, series in answers.ask(target):
            drawn.append((_legend(target, labels), dict(series)))
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
        if stacked:
            line = " ".join(place(at, top[at]) for at in times)
            back = " ".join(place(at, bottom[at]) for at in reversed(times))
            out.append(f'<polygon points="{line} {back}" fill="{color}" fill-opacity="0.45"/>')
        for piece in [times] if stacked else _pieces(drawn[index][1]):
            line = " ".join(place(at, top[at]) for at in piece)
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
            # As Grafana merges them: a row with fewer labels goes into the one that has them all.
            row = next(
                (row for row in table if labels.items() <= dict(row).items()), tuple(sorted(labels.items()))
            )
            cells = table.setdefault(row, {})
            cells[column] = shown(points[-1][1], formats[column]["unit"], formats[column]["decimals"])
    if not table:
        empty = panel["fieldConfig"]["defaults"].get("noValue", "")
        return _text(width / 2, height / 2, empty, size=14, more='text-anchor="middle"')
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
            _text(
                x,
                68 + number * 20,
                texts.get(column, "")[: int([*starts, width][starts.index(x) + 1] - x) // 7],
                size=11,
            )
            for x, column in zip(starts, columns, strict=False)
        ]
    return "".join(out)


def _legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def _bars(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    bars = [
        (_legend(target, labels), points[-1][1])
        for target in panel["targets"]
        for labels, points in answers.ask(target)
    ]
    if not bars:
        return _text(width / 2, height / 2, defaults["noValue"], size=14, more='text-anchor="middle"')
    highest = max(value for _, value in bars) or 1.0
    left, right = width * 0.32, width - 90
    pace = min(26.0, (height - 44) / len(bars))
    out = []
    for number, (legend, value) in enumerate(bars):
        y = 36 + number * pace
        color = _step(defaults, value)
        out.append(_text(left - 8, y + pace * 0.62, legend, size=11, more='text-anchor="end"'))
        length = max(1.0, value / highest * (right - left))
        out.append(
            f'<rect x="{left:.0f}" y="{y + 2:.1f}" width="{length:.1f}" height="{pace - 6:.1f}" '
            f'fill="{color}"/>'
        )
        text = shown(value, defaults["unit"], defaults.get("decimals", 0))
        out.append(_text(left + length + 6, y + pace * 0.62, text, size=11))
    return "".join(out)


def _heat(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    series = {
        float(labels["le"].replace("+Inf", "inf")): dict(points)
        for labels, points in answers.ask(panel["targets"][0])
    }
    edges = sorted(series)
    if not edges:
        return _text(width / 2, height / 2, panel["fieldConfig"]["defaults"].get("noValue", ""), size=14)
    cells = {
        (row, at): value - (series[edges[row - 1]].get(at, 0.0) if row else 0.0)
        for row, edge in enumerate(edges)
        for at, value in series[edge].items()
    }
    highest = max(cells.values()) or 1.0
    left, pace = 62.0, (height - 52) / len(edges)
    step = (width - 74) / (SPAN / STEP + 1)
    out = []
    for (row, at), value in sorted(cells.items()):
        if value > 0:
            x = left + (at - (answers.now - SPAN)) / STEP * step
            y = height - 18 - (row + 1) * pace
            shade = 0.15 + 0.85 * value / highest
            out.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step:.1f}" height="{pace:.1f}" fill="#e24d42" '
                f'fill-opacity="{shade:.2f}"/>'
            )
    for row, edge in enumerate(edges):
        y = height - 18 - row * pace - pace / 2 + 3
        out.append(_text(left - 6, y, f"{edge:g} s", size=9, color="#6e7781", more='text-anchor="end"'))
    return "".join(out)


def _states(panel: dict[str, Any], answers: Answers, *, width: float, height: float) -> str:
    found = [
        (_legend(target, labels), points)
        for target in panel["targets"]
        for labels, points in answers.ask(target)
    ]
    left, pace = 90.0, min(30.0, (height - 44) / max(1, len(found)))
    out = []
    for number, (legend, points) in enumerate(found):
        y = 36 + number * pace
        out.append(_text(left - 8, y + pace * 0.6, legend, size=11, more='text-anchor="end"'))
        step = (width - left - 12) / (SPAN / STEP + 1)
        for at, value in points:
            x = left + (at - (answers.now - SPAN)) / STEP * step
            color = NAMED["green"] if value else NAMED["red"]
            out.append(
                f'<rect x="{x:.1f}" y="{y + 2:.1f}" width="{step + 0.3:.1f}" height="{pace - 6:.1f}" '
                f'fill="{color}"/>'
            )
    return "".join(out)


DRAWERS = {
    "stat": _number,
    "timeseries": _lines,
    "table": _rows,
    "bargauge": _bars,
    "heatmap": _heat,
    "state-timeline": _states,
}


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
    title = _text(10, 28, f"{board['title']}: an illustration, from a synthetic day", size=17)
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
