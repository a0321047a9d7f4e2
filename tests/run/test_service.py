"""What a program answers on its bus about itself."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from jsonschema import Draft202012Validator

from heliograph.contract.programs import ProgramStatus
from heliograph.health import Condition
from heliograph.metrics import Metrics
from heliograph.run.service import Told
from tests.support.builders import EAST

SCHEMA = Path(__file__).parents[2] / "docs" / "contract" / "schemas" / "status.told.json"


def test_the_status_of_a_program_is_of_the_contract() -> None:
    """As its schema and our own reader have it, conditions that are flags included."""
    metrics = Metrics("watcher", EAST)
    conditions = (Condition(name="bus"), Condition(name="lease", fails="lost"))
    metrics.measure_conditions(lambda: conditions)
    told = Told(program="watcher", cluster=EAST, conditions=lambda: conditions, metrics=metrics)

    answer = msgspec.json.encode(told.status())

    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        json.loads(answer)
    )
    read = msgspec.json.decode(answer, type=ProgramStatus)
    assert (read.ready, read.failing) == (False, ("lease: lost",))
    flags = {g.labels["condition"]: g.value for g in read.gauges if "condition" in g.labels}
    assert flags == {"bus": 1.0, "lease": 0.0}
