"""The alert rules fire when they should; rules and dashboard name only metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from heliograph.metrics import PROGRAMS, Family, Metrics
from tests.deploy.manifests import DEPLOY
from tests.support.promtool import ROOT, promtool
from tests.support.published import go_program

RULES = DEPLOY / "prometheus" / "heliograph.rules.yaml"
UNIT_TESTS = DEPLOY / "prometheus" / "heliograph.tests.yaml"
DASHBOARD = DEPLOY / "grafana" / "heliograph.json"
RUNBOOK = ROOT / "docs" / "how-to" / "alerts.md"
JOINED = {"program", "cluster", "instance", "job"}
"""Labels of every target, and those that expressions take from heliograph_program_info."""

# A metric's name, and the matchers behind it. What stands in quotes is taken out before.
SELECTOR = re.compile(r"\b((?:heliograph|process|python)_\w+)(?:\{([^}]*)\})?")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\bby\s*\(([^)]*)\)")


def known() -> dict[str, Family]:
    """Return the metrics of all programs by name."""
    return {name: f for program in PROGRAMS for name, f in Metrics(program, "east").known.items()}


def process_metrics() -> set[str]:
    """Return the names of the series that prometheus-client tells of any process."""
    collected = Metrics("watcher", "east").registry.collect()
    return {sample.name for family in collected for sample in family.samples}


class Selected(NamedTuple):
    """A metric in an expression, with the labels that are matched."""

    name: str
    labels: frozenset[str]


def selected(expression: str) -> Iterator[Selected]:
    """Yield what a PromQL expression selects."""
    for match in SELECTOR.finditer(QUOTED.sub('""', expression)):
        yield Selected(match[1], frozenset(MATCHER.findall(match[2] or "")))


def alerts() -> dict[str, dict[str, Any]]:
    """Return the rules by name."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def unit_tests() -> list[dict[str, Any]]:
    """Return the unit tests of the rules."""
    found: list[dict[str, Any]] = yaml.safe_load(UNIT_TESTS.read_text("utf-8"))["tests"]
    return found


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> list[tuple[str, str]]:
    """Return each expression of the dashboard, and how its series are called."""
    return [(t["expr"], t["legendFormat"]) for panel in panels() for t in panel["targets"]]


def expressions() -> dict[str, str]:
    """Return all expressions of rules and dashboard, by where they are."""
    shown = {f"dashboard {n}": expr for n, (expr, _) in enumerate(targets())}
    return {name: rule["expr"] for name, rule in alerts().items()} | shown


def family_of(name: str, families: dict[str, Family]) -> Family | None:
    """Return what a series belongs to; those of a histogram have names of their own."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    found = families.get(base)
    if found is not None and found.type == "histogram" and base != name:
        return found
    exact = families.get(name)
    return exact if exact is not None and exact.type != "histogram" else None


@pytest.fixture
async def reader() -> Path:
    """The program that reads a dashboard; built the first time."""
    return await go_program(Path(__file__).parent / "dashboard")


def read(reader: Path, dashboard: Path) -> str:
    """Return what is wrong with a dashboard; empty if nothing is."""
    done = subprocess.run([reader, dashboard], capture_output=True, text=True, check=False)
    assert bool(done.stderr) == bool(done.returncode)
    return done.stderr


def test_the_rules_are_valid() -> None:
    """By Prometheus' own tool: expressions, durations, templates."""
    promtool("check", "rules", RULES)


def test_the_rules_fire_when_they_should() -> None:
    """By Prometheus' own tool: each alert is quiet, then something goes wrong, and it fires."""
    promtool("test", "rules", UNIT_TESTS)


def test_every_alert_is_tested() -> None:
    """Its unit test expects nothing first, and then exactly this alert."""
    for name in alerts():
        mine = [one for one in unit_tests() if one["name"] == name]
        assert mine, name
        for one in mine:
            quiet, loud = one["promql_expr_test"]
            assert (
                quiet["expr"] == loud["expr"] == f'ALERTS{{alertname="{name}",alertstate="firing"}}'
            )
            assert quiet["exp_samples"] == []
            assert len(loud["exp_samples"]) == 1


@pytest.mark.parametrize("name", alerts())
def test_an_alert_tells_people_what_to_do(name: str) -> None:
    """It has a summary, a longer description, a severity, and a section of the runbook."""
    rule = alerts()[name]
    summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
    assert re.fullmatch(r".+\.", summary)
    assert re.fullmatch(r"[A-Z'].+\.", description)
    assert len(description) > len(summary)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/how-to/alerts.md", name.lower())
    assert re.search(rf"^### {name}$", RUNBOOK.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", alerts())
def test_the_texts_of_an_alert_use_labels_that_it_has(name: str) -> None:
    """They are the labels with which its unit test sees it fire."""
    used = set(re.findall(r"\$labels\.(\w+)", str(alerts()[name]["annotations"])))
    tests = [one for one in unit_tests() if one["name"] == name]
    for one in tests:
        (sample,) = one["promql_expr_test"][1]["exp_samples"]
        assert used <= set(MATCHER.findall(QUOTED.sub('""', sample["labels"])))


def test_the_runbook_knows_no_other_alerts() -> None:
    """A section whose alert is gone would mislead."""
    sections = re.findall(r"^### (Heliograph\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(alerts())


@pytest.mark.parametrize("where", expressions())
def test_every_metric_that_is_named_exists(where: str) -> None:
    """It is in the registry of a program, as is each label that is matched or grouped by."""
    families, process = known(), process_metrics()
    found = list(selected(expressions()[where]))
    assert found
    labels = set(JOINED)
    for one in found:
        family = family_of(one.name, families)
        assert family is not None or one.name in process, one.name
        own = set(family.labels) if family else set()
        assert one.labels <= own | {"instance", "job"} | ({"le"} if "bucket" in one.name else set())
        labels |= own
    grouped = GROUPED.findall(expressions()[where])
    assert {n.strip() for names in grouped for n in names.split(",")} <= labels | {"le"}


@pytest.mark.parametrize(("expression", "names"), targets())
def test_a_series_is_called_by_labels_that_it_has(expression: str, names: str) -> None:
    """Grafana would show nothing where a label is missing."""
    families = known()
    own = (family_of(one.name, families) for one in selected(expression))
    labels = JOINED.union(*(family.labels for family in own if family))
    assert set(re.findall(r"{{(\w+)}}", names)) <= labels


def test_a_metric_that_is_not_there_is_found_out() -> None:
    """Also one of a histogram that is misspelt, or used as if it were a gauge."""
    families = known()
    assert family_of("heliograph_propagation_seconds_bucket", families) is not None
    assert family_of("heliograph_refusals", families) is not None
    for wrong in ("heliograph_propagation_seconds", "heliograph_refusals_count", "heliograph_lag"):
        assert family_of(wrong, families) is None
    (one,) = selected('sum by (kind) (rate(heliograph_lag{kind=~"a|heliograph_b"}[5m]))')
    assert one == Selected("heliograph_lag", frozenset({"kind"}))


def test_the_dashboard_is_valid_promql(tmp_path: Path) -> None:
    """Each of its expressions parses, once Grafana has filled in its variables."""
    filled = (e.replace("$__rate_interval", "5m").replace("$cluster", ".*") for e, _ in targets())
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(filled)]
    path = tmp_path / "dashboard.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", path)


def test_the_dashboard_holds_together() -> None:
    """Panels have ids and places of their own, and the data source that people choose."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    every = dashboard["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels())
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "cluster"}


@pytest.mark.timeout(400)  # the first time, the reader is built
def test_the_dashboard_is_of_grafanas_schema(reader: Path) -> None:
    """By Grafana's published types: no field is missing, and none unknown."""
    assert read(reader, DASHBOARD) == ""


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"expr"', '"expression"', "expr: required field is missing"),
        ('"showLegend"', '"showLegends"', "unexpected field 'showLegends'"),
    ],
)
def test_another_dashboard_is_not(
    reader: Path, tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    """A field by another name is found, also within a panel of a kind of its own."""
    changed = tmp_path / "dashboard.json"
    changed.write_text(DASHBOARD.read_text("utf-8").replace(right, wrong), "utf-8")
    assert said in read(reader, changed)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_programs_expose_keeps_prometheus_conventions(program: str) -> None:
    """By Prometheus' own tool: names, units, help texts."""
    promtool("check", "metrics", stdin=Metrics(program, "east").exposition())
