"""What a program may do in a cluster, asked before it begins (SelfSubjectAccessReview)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import ApiUnreachable, Unauthorized, Unreadable
from heliograph.kube.kubeconfig import Kubeconfig

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """Some verbs on one resource.

    Attributes:
        group: API group; empty for core.
        resource: Plural name.
        verbs: As in RBAC.
        name: Only the object of this name; empty for all.
        namespace: Only in this namespace; empty for all.
    """

    group: str = ""
    resource: str
    verbs: tuple[str, ...]
    name: str = ""
    namespace: str = ""


class _ReviewStatus(msgspec.Struct, frozen=True, kw_only=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True, kw_only=True):
    status: _ReviewStatus = _ReviewStatus()


async def require(client: KubeClient, rights: Iterable[Right], kubeconfig: Kubeconfig) -> None:
    """Make sure that the cluster answers, knows us, and lets us do what we must.

    Raises:
        InputError: It does not; names the cluster, what is missing, and what to do.
    """
    try:
        lacking = await missing(client, rights)
    except (ApiUnreachable, Unreadable) as error:
        raise InputError(str(error)) from error
    except Unauthorized as error:
        message = (
            f"the API server of cluster {client.cluster} at {client.server} does not accept the "
            f"credentials of {_whose(kubeconfig)} (401 Unauthorized); give a kubeconfig whose "
            f"token or certificate is valid"
        )
        raise InputError(message) from error
    if lacking:
        message = (
            f"the credentials of {_whose(kubeconfig)} may not {', '.join(lacking)} in cluster "
            f"{client.cluster}; grant it, as the roles in deploy/ do"
        )
        raise InputError(message)


async def missing(client: KubeClient, rights: Iterable[Right]) -> tuple[str, ...]:
    """Return those of the rights that the credentials lack, as people name them."""
    asked = [(right, verb) for right in rights for verb in right.verbs]
    answers = await _ask(client, asked)
    return tuple(_name(*question) for question, ok in zip(asked, answers, strict=True) if not ok)


async def _ask(client: KubeClient, asked: Iterable[tuple[Right, str]]) -> list[bool]:
    """Return the answers; the first error ends all questions, since the others fail alike."""
    try:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(_allowed(client, *question)) for question in asked]
    except ExceptionGroup as group:
        raise group.exceptions[0] from group.exceptions[0].__cause__
    return [answer.result() for answer in answers]


async def _allowed(client: KubeClient, right: Right, verb: str) -> bool:
    attributes = {
        "group": right.group,
        "resource": right.resource,
        "verb": verb,
        "name": right.name,
        "namespace": right.namespace,
    }
    body = msgspec.json.encode(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
    )
    answer = await client.post_raw(_REVIEWS, body)
    try:
        return msgspec.json.decode(answer, type=_Review).status.allowed
    except msgspec.MsgspecError as error:
        raise Unreadable(f"POST {_REVIEWS} to {client.server}", str(error)) from error


def _name(right: Right, verb: str) -> str:
    group = f".{right.group}" if right.group else ""
    name = f" {right.name}" if right.name else ""
    where = f" in namespace {right.namespace}" if right.namespace else ""
    return f"{verb} {right.resource}{group}{name}{where}"


def _whose(kubeconfig: Kubeconfig) -> str:
    if kubeconfig.path is None:
        return "the pod's service account"
    context = f" (context {kubeconfig.context})" if kubeconfig.context else ""
    return f"kubeconfig {kubeconfig.path}{context}"
