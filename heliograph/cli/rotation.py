"""`heliograph rotate-keys`: asks agents for new keys, node after node, and tells how it goes."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from typing import Final

from heliograph.errors import HeliographError, InputError
from heliograph.kilo.facts import runs_kilo
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import ApiUnreachable, NotFound
from heliograph.kube.objects import NODES, Node
from heliograph.marks import PUBLIC_KEY_ANNOTATION, ROTATE_ANNOTATION, ROTATION_ANNOTATION
from services.peerer.wireguard.rotation import (
    HELD_S,
    SETTLE_S,
    TRY_S,
    Report,
    Stage,
    parse_report,
)

_LOOK_S: Final = 0.3
_BEGIN_S: Final = 20.0
"""How long an agent may take to begin: it follows its Node, so usually it does so at once."""

_SLACK_S: Final = 30.0


class NotRotated(HeliographError):
    """A node keeps its key, or it is not known yet."""


async def rotate_keys(client: KubeClient, name: str | None, *, within_s: int) -> str:
    """Give one node a new key, or all nodes, one after another; return what was done, in words.

    Raises:
        InputError: No agent of ours makes the key of that node.
        NotRotated: A node keeps its key; those after it were not begun.
    """
    nodes = await _nodes(client, name)
    for done, node in enumerate(nodes):
        try:
            await _rotate(client, node, within_s)
        except NotRotated as error:
            left = nodes[done + 1 :]
            more = f". Not begun: {', '.join(left)}" if left else ""
            raise NotRotated(f"{error}{more}") from error
    return f"{len(nodes)} node{'' if len(nodes) == 1 else 's'} changed keys: {', '.join(nodes)}"


async def _nodes(client: KubeClient, name: str | None) -> list[str]:
    """Return the nodes whose keys are ours to change, in the order of their names."""
    if name is None:
        found = (await client.list(NODES)).items
        names = sorted(node.metadata.name for node in found if _why_not(node) is None)
        if not names:
            raise InputError(
                "no node of this cluster has an agent of ours ('heliograph peerer --backend "
                "wireguard'), so there are no keys to change"
            )
        return names
    try:
        why_not = _why_not(await client.get(NODES, "", name))
    except NotFound as error:
        raise InputError(f"this cluster has no Node {name}; see 'kubectl get nodes'") from error
    if why_not is not None:
        raise InputError(why_not)
    return [name]


def _why_not(node: Node) -> str | None:
    name = node.metadata.name
    if runs_kilo(node):
        return (
            f"the key of node {name} is Kilo's (/var/lib/kilo/key there), and left as it is; "
            f"rotate-keys changes those of 'heliograph peerer --backend wireguard' only"
        )
    if PUBLIC_KEY_ANNOTATION not in node.metadata.annotations:
        return (
            f"node {name} announces no key: no agent of ours ('heliograph peerer --backend "
            f"wireguard') has run there"
        )
    return None


async def _rotate(client: KubeClient, name: str, within_s: int) -> None:
    text = await _ask(client, name, within_s)
    _print(f"node {name}: asked for a new key")
    loop, told, begun = asyncio.get_running_loop(), "", False
    began_s = loop.time()
    most_s = within_s + TRY_S + SETTLE_S + HELD_S + _SLACK_S
    while True:
        asked, report = await _look(client, name, text)
        if report is not None:
            begun = True
            if report.said != told:
                told = report.said
                _print(f"node {name}: {told}")
        if not asked:
            _judge(name, report)
            return
        if loop.time() - began_s > (most_s if begun else _BEGIN_S):
            await _give_up(client, name, begun=begun)
        await asyncio.sleep(_LOOK_S)


async def _look(client: KubeClient, name: str, text: str) -> tuple[bool, Report | None]:
    """Return whether a request stands, and how it goes, as far as its agent said that.

    An API server that is away for a moment changes nothing.
    """
    try:
        said = (await client.get(NODES, "", name)).metadata.annotations
    except ApiUnreachable:
        return True, None
    report = parse_report(said.get(ROTATION_ANNOTATION, ""))
    ours = report if report is not None and report.asked == text else None
    return said.get(ROTATE_ANNOTATION) == text, ours


async def _ask(client: KubeClient, name: str, within_s: int) -> str:
    """Ask the agent, unless somebody has; return the text of the request."""
    node = await client.get(NODES, "", name)
    standing = node.metadata.annotations.get(ROTATE_ANNOTATION)
    if standing is not None:
        return standing
    text = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ} within={within_s}s"
    await _annotate(client, name, text)
    return text


def _judge(name: str, report: Report | None) -> None:
    """Return if it went well; the request is gone.

    Raises:
        NotRotated: It did not.
    """
    if report is None:
        raise NotRotated(
            f"the request for a new key of node {name} was replaced or taken back by somebody "
            f"else; 'kubectl describe node {name}' shows how it ended"
        )
    if report.stage is not Stage.DONE:
        raise NotRotated(report.said)


async def _give_up(client: KubeClient, name: str, *, begun: bool) -> None:
    """Stop waiting.

    Raises:
        NotRotated: Always.
    """
    if begun:
        raise NotRotated(
            f"the agent of node {name} has not finished in time; it goes on by itself, or aborts, "
            f"and 'kubectl describe node {name}' shows how far it is. Look whether it runs"
        )
    await _annotate(client, name, None)
    raise NotRotated(
        f"the agent of node {name} did not begin within {_BEGIN_S:g} s, and the request was taken "
        f"back; the key is the same. Look whether the agent runs, then ask again"
    )


async def _annotate(client: KubeClient, name: str, text: str | None) -> None:
    await client.merge_patch(
        NODES, "", name, {"metadata": {"annotations": {ROTATE_ANNOTATION: text}}}
    )


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
