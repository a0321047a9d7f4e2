"""`heliograph adopt`: take over what people made by hand, in place."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.options import OneKubeconfig, in_cluster
from heliograph.errors import InputError

_PEERS = "peers"


def adopt(
    what: Annotated[str, Parameter(help="A Service, as NAMESPACE/NAME; or 'peers'.")],
    /,
    *,
    kubeconfig: OneKubeconfig = None,
    exporting: Annotated[
        list[str] | None,
        Parameter(name="--from", help="With 'peers': ID=KUBECONFIG of an exporting cluster."),
    ] = None,
    importing: Annotated[
        str | None,
        Parameter(name="--to", help="With 'peers': ID=KUBECONFIG of the cluster they are in."),
    ] = None,
) -> int:
    """Take over what somebody made by hand, as Kilo's page says: a mirror, or the Peers of nodes.

    A Service keeps its cluster IP. Of Peers, those are taken over that hold the key of a node of
    the --from clusters; they keep their names, and no tunnel is interrupted.

    Example:
        heliograph adopt default/important-service --kubeconfig ~/.kube/config@west
        heliograph adopt peers --from east=~/.kube/config@east --to west=~/.kube/config@west
    """
    logs.configure("error", human=True)
    if what != _PEERS:
        return _adopt_service(what, kubeconfig, exporting or [], importing)
    from heliograph.cli import planned_peers  # noqa: PLC0415 - keeps `--help` quick

    if not exporting or importing is None:
        message = (
            "'adopt peers' needs to know whose nodes, and where: give --from east=KUBECONFIG and "
            "--to west=KUBECONFIG"
        )
        raise InputError(message)
    return program.run(planned_peers.adopt(exporting, importing))


def _adopt_service(
    what: str, kubeconfig: str | None, exporting: list[str], importing: str | None
) -> int:
    from heliograph.cli import services  # noqa: PLC0415 - keeps `--help` quick

    if exporting or importing is not None:
        raise InputError("--from and --to belong to 'adopt peers'; for a Service give --kubeconfig")
    name = services.ServiceName.parse(what)
    return in_cluster(kubeconfig, lambda client: services.adopt(client, name))
