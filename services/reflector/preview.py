"""What the reflector would write, without writing it: `heliograph reflector --dry-run`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from heliograph.admission.declaration import Decision, Declaration, declaration_of
from heliograph.admission.explain import explain
from heliograph.admission.policy import RangePolicy
from heliograph.bus import Connection
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.imports.consume import Discovery, ImportBus, Importer, Told
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import KubeObject, ObjectMeta
from heliograph.membership.admissions import decide_now, own_declaration
from heliograph.membership.configmap import current
from heliograph.metrics import Metrics
from services.reflector.operations import Operation
from services.reflector.picture import Picture
from services.reflector.settings import ReflectorSettings
from services.reflector.table import ImportTable, ServiceKey
from services.reflector.watch import OwnWatch

_LOOK_S: Final = 0.02


async def preview(
    settings: ReflectorSettings, client: KubeClient, buses: Sequence[ImportBus]
) -> list[str]:
    """Return one line for each object that would be written, and for each refusal.

    Waits until every exporting cluster has confirmed what it exports: a half picture would show
    deletions that never happen.
    """
    importing = parse_cluster_id(settings.cluster)
    picture = Picture(importing, settings)
    watch = OwnWatch(
        client,
        picture.own,
        touched=lambda *_, **__: None,
        namespaces_changed=lambda _: None,
        families_changed=lambda: None,
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(watch.follow())]

        def found(connection: Connection, cluster: ClusterId) -> None:
            if cluster == importing or not picture.listed(cluster):
                return
            left_at = picture.membership.departed.get(cluster)
            table = picture.exports[cluster] = ImportTable(cluster, left_at=left_at)
            importer = Importer(
                connection,
                cluster,
                table,
                metrics=Metrics("preview", importing),
                told=Told(
                    touched=lambda *_: None, completed=lambda _: None, mismatched=_tell_nobody
                ),
            )
            running.append(tasks.create_task(importer.run()))

        running += [tasks.create_task(Discovery(bus, found=found).run()) for bus in buses]
        await watch.listed.wait()
        picture.membership = await current(client, settings.namespace)
        while not _complete(picture):  # noqa: ASYNC110 - nothing tells of completeness
            await asyncio.sleep(_LOOK_S)
        for task in running:
            task.cancel()
        decision = _decide(
            picture, await own_declaration(client, importing), RangePolicy(settings.admitted_ranges)
        )
    picture.refused = frozenset(decision.refused)
    return [
        *(f"refuse  {explain(importing, overlaps)}" for overlaps in decision.refused.values()),
        *(line for key in sorted(picture.keys()) for line in _lines(picture, key)),
    ]


def _decide(picture: Picture, own: Declaration, policy: RangePolicy) -> Decision:
    """Decide who takes part as they would be now, and write nothing down."""
    declared = (
        declaration_of(name, table.announced)
        for name, table in picture.exports.items()
        if table.announced is not None and picture.imports_from(name)
    )
    return decide_now(own, declared, picture.membership, policy)


async def _tell_nobody(_: object) -> None:
    """Take no part."""


def _complete(picture: Picture) -> bool:
    return bool(picture.exports) and picture.complete


def _lines(picture: Picture, key: ServiceKey) -> Iterator[str]:
    plan = picture.plan(key)
    for operation in plan.operations:
        yield _line(operation)
    for refusal in plan.refusals:
        yield f"refuse  {refusal.message}"


def _line(operation: Operation) -> str:
    """Return verb, kind and name, such as "create EndpointSlice default/web-east-abc"."""
    verb, kind = _words(type(operation).__name__)
    (subject,) = (getattr(operation, name) for name in operation.__struct_fields__)
    metadata = subject.metadata if isinstance(subject, KubeObject) else subject
    assert isinstance(metadata, ObjectMeta)  # noqa: S101 - every operation is about one object
    where = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
    return f"{verb:<7} {kind} {where}"


def _words(operation: str) -> tuple[str, str]:
    for verb in ("Create", "Replace", "Delete"):
        if operation.startswith(verb):
            kind = operation.removeprefix(verb)
            return verb.lower(), "EndpointSlice" if kind == "Slice" else kind
    raise AssertionError(operation)
