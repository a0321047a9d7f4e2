"""The AsyncAPI document of the contract, held to the official schema of AsyncAPI 3."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from heliograph.contract.headers import cloud_event_headers
from heliograph.contract.messages import NodeWithdrawn
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import status_subject
from heliograph.contract.subjects import Kind, Subject, feedback_subject, stream_name
from heliograph.contract.tunnels import tunnels_subject
from tests.support.builders import subject
from tests.support.published import npm_packages

DOCUMENT = Path(__file__).parents[2] / "docs" / "contract" / "asyncapi.yaml"
LOCK = Path(__file__).parent / "asyncapi" / "npm-shrinkwrap.json"
WEST = ClusterId("west")
SUBJECTS = {
    **{kind.value: str(subject(kind, "n1.eu")) for kind in Kind},
    "feedback": feedback_subject(WEST, subject(Kind.SERVICE, "cart")),
    "feedbackWithoutNamespace": feedback_subject(WEST, subject(Kind.NODE, "n1")),
    "tunnels": tunnels_subject(WEST),
    "status": status_subject(WEST, "watcher"),
}
REFUSED_CLUSTER = str(Subject(cluster=WEST, kind=Kind.REFUSAL, name="north"))


@pytest.fixture
def document() -> Any:  # noqa: ANN401 - YAML
    return copy.deepcopy(_document())


@functools.cache
def _document() -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """Return the validator of AsyncAPI 3.0.0, from its maintainers' package."""
    package = npm_packages(LOCK) / "node_modules" / "@asyncapi" / "specs"
    return Draft7Validator(json.loads((package / "schemas" / "3.0.0.json").read_bytes()))


def references(value: Any) -> Iterator[str]:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_official_schema_takes_it(official: Draft7Validator, document: Any) -> None:  # noqa: ANN401
    """And it would not take one that is wrong in a single word."""
    assert [error.message for error in official.iter_errors(document)] == []
    document["channels"]["node"]["subject"] = document["channels"]["node"].pop("address")
    assert not official.is_valid(document)


def test_every_reference_leads_somewhere(document: Any) -> None:  # noqa: ANN401
    """Inside the document, or to a schema beside it."""
    found = set(references(document))
    for reference in found:
        file, _, inside = reference.partition("#")
        assert not file or (DOCUMENT.parent / file).is_file(), reference
        place = document
        for part in filter(None, inside.split("/")):
            place = place[part]
    assert len(found) > len(SUBJECTS)


@pytest.mark.parametrize(("channel", "text"), [*SUBJECTS.items(), ("refusal", REFUSED_CLUSTER)])
def test_subjects_fit_their_channel(channel: str, text: str, document: Any) -> None:  # noqa: ANN401
    """A subject as the programs make it has the address's tokens, and every parameter is told."""
    address = document["channels"][channel]["address"].split(".")
    tokens = text.split(".")

    assert len(address) == len(tokens)
    assert all(a == t for a, t in zip(address, tokens, strict=True) if not a.startswith("{"))
    parameters = {token.strip("{}") for token in address if token.startswith("{")}
    assert parameters == set(document["channels"][channel]["parameters"])


def test_every_header_is_told(document: Any) -> None:  # noqa: ANN401
    """Those of every message are required; of the others it says when they are there."""
    headers = cloud_event_headers(subject(Kind.NODE, "n"), NodeWithdrawn(), observed_at="")
    always = {*headers, "ce-id", "Nats-Msg-Id", "Heliograph-Epoch"}
    told = document["components"]["schemas"]["headers"]

    assert set(told["required"]) == always
    assert set(told["properties"]) == always | {"traceparent", "Nats-TTL"}


def test_the_stream_is_named(document: Any) -> None:  # noqa: ANN401
    """Each channel of a stream names it."""
    names = {document["channels"][kind]["x-jetstream"]["stream"] for kind in Kind}
    assert {name.format(cluster=WEST) for name in names} == {stream_name(WEST)}
