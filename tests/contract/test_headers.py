"""The headers that any CloudEvents reader, and our importers, understand."""

from __future__ import annotations

import pytest

from heliograph.contract.headers import cloud_event_headers, epoch_of
from heliograph.contract.messages import NodeWithdrawn, ServiceWithdrawn
from heliograph.contract.subjects import Kind
from tests.support.builders import subject

EPOCHS = {
    "a number": ({"Heliograph-Epoch": "1800000000000000"}, 1800000000000000),
    "zero": ({"Heliograph-Epoch": "0"}, 0),
    "no header": ({}, None),
    "empty": ({"Heliograph-Epoch": ""}, None),
    "a word": ({"Heliograph-Epoch": "new"}, None),
    "negative": ({"Heliograph-Epoch": "-1"}, None),
    "digits of elsewhere": ({"Heliograph-Epoch": "٣"}, None),
    "superscript": ({"Heliograph-Epoch": "²"}, None),
    "more digits than int() takes": ({"Heliograph-Epoch": "9" * 5000}, None),
}


@pytest.mark.parametrize(("headers", "epoch"), EPOCHS.values(), ids=EPOCHS)
def test_the_publishers_epoch(headers: dict[str, str], epoch: int | None) -> None:
    """A header that is no plain number is as good as none, and breaks nothing."""
    assert epoch_of(headers) == epoch


def test_the_cloud_event_of_a_namespaced_message() -> None:
    """Type, source and subject follow the NATS binding of CloudEvents."""
    headers = cloud_event_headers(
        subject(Kind.SERVICE, "cart"), ServiceWithdrawn(), observed_at="2026-11-22T10:00:00Z"
    )

    assert headers == {
        "ce-specversion": "1.0",
        "ce-type": "io.heliograph.service.withdrawn.v1",
        "ce-source": "/clusters/east",
        "ce-subject": "service/shop/cart",
        "ce-time": "2026-11-22T10:00:00Z",
        "content-type": "application/json",
    }


def test_the_cloud_event_of_a_node() -> None:
    """A kind without namespaces leaves no empty part in the subject."""
    headers = cloud_event_headers(subject(Kind.NODE, "n1.eu"), NodeWithdrawn(), observed_at="")

    assert headers["ce-subject"] == "node/n1.eu"
