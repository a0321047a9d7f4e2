"""What Kubernetes allows, as strategies for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SUBDOMAINS = (
    st.lists(LABELS, min_size=1, max_size=6).map(".".join).filter(lambda name: len(name) <= 253)
)


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    """Return any subject that a cluster may publish on."""
    kind = draw(st.sampled_from(Kind))
    return Subject(
        cluster=ClusterId(draw(LABELS)),
        kind=kind,
        namespace=draw(LABELS) if kind.namespaced else "",
        name=draw(SUBDOMAINS),
    )
