"""The AsyncAPI document of the bus, from the contract's subjects, headers and Structs. Pure.

It describes a program that follows the mesh and may ask for tunnels: what it receives and sends.

Source: AsyncAPI 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import yaml

from heliograph.contract import headers, messages
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import status_subject
from heliograph.contract.subjects import (
    STREAM_PREFIX,
    VERSION,
    Kind,
    feedback_filter,
    kind_filter,
)
from heliograph.contract.traces import traces_subject
from heliograph.contract.tunnels import tunnels_subject
from tools import schemas
from tools.schemas import STRUCTS, Json

_CLUSTER: Final = ClusterId("{cluster}")
_DESCRIPTION: Final = (
    "What independent Kubernetes clusters tell one another with Heliograph: mesh events on NATS "
    "JetStream. This document describes a program that follows them. README.md beside it says the "
    "same in examples, and what no schema can say."
)
_HEAD: Final = "# Generated from heliograph/contract by `make generate`; do not edit.\n"
_PARAMETERS: Final = {
    "cluster": "Id of the cluster that publishes: one DNS label. The bus's permissions guard it.",
    "importing": "Id of the cluster that carried the message out.",
    "kind": "What the message is about, as in the subject that it was published on.",
    "namespace": "Kubernetes namespace; `_` where a refusal is about what has none.",
    "program": "watcher, reflector, peerer or agent; of agents, all of the cluster answer.",
    "name": "Kubernetes name, with `_` for each dot in it.",
}
_ABOUT: Final = {
    Kind.CLUSTER: "A cluster, its ranges and its lease; {name} is its id again.",
    Kind.NODE: "Nodes that offer themselves as WireGuard peers.",
    Kind.SERVICE: "Services that other clusters may mirror.",
    Kind.ENDPOINTS: "EndpointSlices of Services whose mirrors point at pods.",
    Kind.LINK: "What the agent of a node sees of its tunnels; {name} is the node.",
    Kind.REFUSAL: "What this cluster does not take from another one; {name} is of the refusal.",
}
_TUNNELS: Final = (
    "All WireGuard agents of a cluster are asked at once; bytes of length 0 ask all nodes."
)
_TRACES: Final = "How the latest changes of a Service travelled, as its watcher has seen it."
_STATUS: Final = (
    "How a program is; the payload of the question is not read. Programs also answer NATS' service "
    "protocol (ADR-32), with the same answer as `data` of their endpoint in `$SRV.STATS`."
)
_FORGOTTEN: Final = {
    messages.message_type(one)
    for one in (*messages.WITHDRAWALS.values(), messages.ClusterAnnounced())
    if messages.vanishes(one)
}
"""What the stream forgets after some days."""

_HEADERS: Final = {
    headers.MESSAGE_ID: (
        "Which publication: `<epoch>-<number>`. Sent twice, it is stored once.",
        1,
    ),
    headers.EPOCH: (
        "Incarnation of the publisher; of one publisher, an older one is passed over.",
        1,
    ),
    headers.TRACEPARENT: ("W3C Trace Context of the publication; absent without tracing.", 0),
    "Nats-TTL": ("Seconds after which the stream forgets the message; absent: never.", 0),
    "ce-specversion": ("CloudEvents 1.0, binary mode of its NATS protocol binding.", 1),
    "ce-id": ("Which event; feedback names it.", 1),
    "ce-type": ("`io.heliograph.` and the message's type.", 1),
    "ce-source": ("`/clusters/<id>`: the publishing cluster.", 1),
    "ce-subject": ("`<kind>[/<namespace>]/<name>`: what it is about, dots as they are.", 1),
    headers.OBSERVED_AT: ("When the cluster saw the change, by its clock: RFC 3339 in UTC.", 1),
    "content-type": ("`application/json`.", 1),
}


def text() -> str:
    """Return the document as YAML."""
    return _HEAD + yaml.dump(document(), sort_keys=False, allow_unicode=True, width=120)


def document() -> Json:
    """Return the document."""
    channels = {**{kind.value: _events(kind) for kind in Kind}, **_feedback(), **_questions()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Heliograph mesh events",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "A NATS server with JetStream; with TLS where it is not loopback.",
            }
        },
        "channels": channels,
        "operations": _operations(channels),
        "components": {
            "messages": {name: _message(name) for name in STRUCTS if name != schemas.EVENT},
            "schemas": {"headers": _headers()},
        },
    }


def _events(kind: Kind) -> Json:
    """Return the channel of one kind: everything that a stream keeps of it."""
    types = [name for name in STRUCTS if name.startswith(f"{kind}.")]
    channel = _channel(kind_filter(_CLUSTER, kind)[:-1] + _tail(kind), types, _ABOUT[kind])
    return {
        **channel,
        "x-jetstream": {"stream": STREAM_PREFIX + _CLUSTER, "max_msgs_per_subject": 1},
    }


def _feedback() -> Json:
    """Return the channels of feedback: about what has a namespace, and about what has none."""
    root = feedback_filter(_CLUSTER).replace("*", "{importing}")[:-1] + "{kind}."
    about = "An importing cluster tells what became of a message; sent once, and kept nowhere."
    return {
        "feedback": _channel(root + "{namespace}.{name}", ["feedback"], about),
        "feedbackWithoutNamespace": _channel(root + "{name}", ["feedback"], about),
    }


def _questions() -> Json:
    """Return the channels of what is asked, and of the answers."""
    return {
        "tunnels": _channel(tunnels_subject(_CLUSTER), ["tunnels.asked"], _TUNNELS),
        "tunnelsTold": _inbox("tunnels.told", "Each agent answers in `parts` messages."),
        "traces": _channel(traces_subject(_CLUSTER), ["traces.asked"], _TRACES),
        "tracesTold": _inbox("traces.told", "The watcher answers in `parts` messages."),
        "status": _channel(status_subject(_CLUSTER, "{program}"), [], _STATUS),
        "statusTold": _inbox("status.told", "Each program answers once."),
    }


def _inbox(name: str, description: str) -> Json:
    return {**_channel("", [name], f"The inbox of whoever asked. {description}"), "address": None}


def _tail(kind: Kind) -> str:
    return "{namespace}.{name}" if kind.namespaced else "{name}"


def _channel(address: str, names: Iterable[str], description: str) -> Json:
    used = {
        key: {"description": what} for key, what in _PARAMETERS.items() if f"{{{key}}}" in address
    }
    return {
        "address": address,
        "description": description,
        **({"parameters": used} if used else {}),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _message(name: str) -> Json:
    """Return a message; those that streams keep have headers."""
    event = f"io.heliograph.{name}"
    stored = STRUCTS[name] in schemas.MESSAGES
    return {
        "name": event if stored else name,
        "title": STRUCTS[name].__name__,
        "summary": schemas.summary(STRUCTS[name]),
        **({"headers": {"$ref": "#/components/schemas/headers"}} if stored else {}),
        **({"x-kept-s": headers.WITHDRAWAL_TTL_S} if name in _FORGOTTEN else {}),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{name}.json"},
        },
    }


def _headers() -> Json:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": what} for name, (what, _) in _HEADERS.items()
        },
        "required": [name for name, (_, required) in _HEADERS.items() if required],
    }


def _operations(channels: Json) -> Json:
    received = [name for name in channels if not name.startswith(("tunnels", "traces", "status"))]
    return {
        **{f"on{name[0].upper()}{name[1:]}": _operation("receive", name) for name in received},
        "askForTunnels": _question("tunnels"),
        "askForTrace": _question("traces"),
        "askForStatus": _question("status"),
    }


def _question(channel: str) -> Json:
    where = {"location": "$message.header#/reply", "description": "The reply subject of NATS."}
    answers = {"$ref": f"#/channels/{channel}Told"}
    return {**_operation("send", channel), "reply": {"address": where, "channel": answers}}


def _operation(action: str, channel: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
