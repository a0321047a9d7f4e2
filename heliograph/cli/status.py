"""`heliograph status`: what its arguments mean."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.asked import StatusSettings
from heliograph.cli.flags import with_flags
from heliograph.cli.loading import load, own_cluster
from heliograph.cli.options import Json
from heliograph.run.settings import BusSettings


@with_flags(StatusSettings, BusSettings)
def status(
    *,
    watch: Annotated[
        bool, Parameter(name=("--watch", "-w"), help="Show it again and again.", negative="")
    ] = False,
    json: Json = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Show the whole ClusterSet at a glance: what is wrong first, each with what to do.

    Clusters and their leases, programs, nodes, exports and imports, refusals, held removals; from
    the bus alone. In a program's pod it knows the buses by itself. Ends with exit code 1 if there
    is a problem.

    Example:
        heliograph status --nats nats://10.0.0.5:4222
        kubectl -n heliograph exec deployment/watcher -- heliograph status
        heliograph status --json --nats tls://west:4222 --import-from east=tls://east:4222
    """
    from heliograph.cli import status_shown  # noqa: PLC0415 - keeps `--help` quick

    common, asked = load(BusSettings, flags), load(StatusSettings, flags)
    logs.configure("error", human=True)
    reach = status_shown.Reach(common, own_cluster(asked), asked.import_from)
    if watch:
        return program.run(status_shown.watch(reach, as_json=json))
    return program.run(status_shown.once(reach, as_json=json))
