from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.digest import Digest, fingerprint
from heliograph.contract.messages import (
    WITHDRAWALS,
    EndpointsExported,
    NodeWithdrawn,
    ServiceExported,
    encode,
)
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.evidence import StaleEpoch
from services.reflector.table import ImportTable, Presence, ServiceKey
from tests.support.exporter import ExporterModel, fold_all
from tests.support.mirrors import CLUSTER, EAST, KEY, NEW, PODS, WEB, but, pods

OTHER = ServiceKey("shop", "web")
EXPORTED, WITHDRAWN, UNKNOWN = Presence.EXPORTED, Presence.WITHDRAWN, Presence.UNKNOWN


def confirmed(exporter: ExporterModel) -> ImportTable:
    """Return a table that has read all, and was told that it has."""
    table = ImportTable(EAST)
    exporter.lease()
    exporter.replay_into(table)
    assert table.complete
    return table


def test_a_replay_is_confirmed_by_the_digest_that_ends_it() -> None:
    """When the cluster's own message is the last of the stream, the replay alone is evidence."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.export(WEB)
    exporter.lease()

    exporter.replay_into(table)

    assert table.complete
    assert (KEY in table, table.size, list(table.keys())) == (True, 1, [KEY])
    export = table.export(KEY)
    assert export is not None
    assert (export.service, export.announced.service_cidrs) == (WEB, CLUSTER.service_cidrs)


def test_a_digest_of_the_past_confirms_nothing() -> None:
    """A change after the cluster's own message: only the next one can speak of the whole."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.lease()
    exporter.export(WEB)

    exporter.replay_into(table)
    assert not table.complete

    exporter.lease().fold_into(table)
    assert table.complete


def test_a_lease_without_digests_confirms_nothing() -> None:
    """A watcher that is still comparing does not know what its stream should hold."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.lease(digests=False)

    exporter.replay_into(table)

    assert not table.complete
    assert table.presence(KEY) is UNKNOWN


def test_what_a_confirmed_replay_does_not_bring_is_gone() -> None:
    """The Service was withdrawn while we were away, and its withdrawal has expired."""
    exporter = ExporterModel()
    exporter.export(WEB)
    exporter.put_slice(pods("10.42.0.1"))
    table = confirmed(exporter)

    exporter.lose()
    exporter.export(WEB, OTHER)
    exporter.lease()
    touched = exporter.replay_into(table)

    assert touched == {KEY, OTHER}
    assert table.presence(KEY) is WITHDRAWN
    assert table.presence(OTHER) is EXPORTED


LOSSES = {
    # how                       messages replayed, whether the stream was lost before
    "an empty stream":           (0, True),
    "an interrupted replay":     (1, False),
    "a stream refilled by half": (None, True),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "lost"), LOSSES.values(), ids=LOSSES)
def test_nothing_is_removed_without_evidence(limit: int | None, *, lost: bool) -> None:
    """An empty, half-filled or lost stream removes nothing, whatever it does bring."""
    exporter = ExporterModel()
    exporter.export(WEB)
    exporter.export(WEB, OTHER)
    table = confirmed(exporter)
    honest = exporter.lease()
    if lost:
        exporter.lose()
        exporter.export(WEB, OTHER)

    exporter.replay_into(table, limit)
    table.end_replay()
    honest.fold_into(table)

    assert table.presence(KEY) is EXPORTED
    assert table.presence(OTHER) is EXPORTED
    assert not table.complete


def test_absence_is_unknown_until_a_replay_is_confirmed() -> None:
    """A table that is rebuilt may not say of anything that it is not exported."""
    exporter = ExporterModel()
    table = confirmed(exporter)
    assert table.presence(KEY) is WITHDRAWN

    table.begin_replay()

    assert table.presence(KEY) is UNKNOWN


def test_a_withdrawal_is_evidence_by_itself() -> None:
    """A withdrawal counts before any digest and before the ranges are known; live, at once."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.withdraw(KEY)

    assert exporter.replay_into(table) == {KEY}
    assert table.presence(KEY) is WITHDRAWN
    assert exporter.withdraw(OTHER).fold_into(table) == {OTHER}
    assert table.presence(OTHER) is WITHDRAWN
    assert table.presence(ServiceKey("shop", "unheard")) is UNKNOWN


def test_in_a_replay_only_the_newest_incarnation_withdraws() -> None:
    """A watcher that was replaced may speak last; the digest of its successor tells the truth."""
    exporter = ExporterModel()
    exporter.export(WEB)
    exporter.epoch = 2
    exporter.lease()
    old = ExporterModel()
    old.stream = {
        exporter.service_subject(): old.withdraw(),
        **{s: m for s, m in exporter.stream.items() if s.kind is Kind.CLUSTER},
    }
    table = ImportTable(EAST)

    old.replay_into(table)

    assert (table.presence(KEY), table.complete) == (UNKNOWN, False)


def test_an_export_is_not_usable_before_the_ranges_are_known() -> None:
    """Addresses are admitted by the ranges that their cluster declares, so those come first."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.export(WEB).fold_into(table)
    assert table.presence(KEY) is UNKNOWN
    assert table.export(KEY) is None

    assert exporter.lease(digests=False).fold_into(table) == {KEY}

    assert table.presence(KEY) is EXPORTED


def test_changed_ranges_touch_every_service() -> None:
    """What was left out of the old ranges may lie within the new ones, and the other way round."""
    exporter = ExporterModel()
    exporter.export(WEB)
    table = confirmed(exporter)

    assert exporter.lease().fold_into(table) == set()
    wider = but(CLUSTER, service_cidrs=("10.0.0.0/8",))
    assert exporter.lease(announced=wider).fold_into(table) == {KEY}


def test_a_service_may_come_back_after_its_withdrawal() -> None:
    """Only the last word counts."""
    exporter = ExporterModel()
    table = confirmed(exporter)
    exporter.withdraw().fold_into(table)

    exporter.export(WEB).fold_into(table)

    assert table.presence(KEY) is EXPORTED


def test_slices_follow_their_service() -> None:
    """A slice may come before its Service, move to another one, and go."""
    exporter = ExporterModel()
    table = confirmed(exporter)
    item = pods("10.42.0.1")

    assert exporter.put_slice(item).fold_into(table) == {KEY}
    exporter.export(PODS).fold_into(table)
    assert table.export(KEY).slices == {"cart-1": item}  # type: ignore[union-attr]

    moved = but(item, service=OTHER.name)
    assert exporter.put_slice(moved).fold_into(table) == {KEY, OTHER}
    exporter.put_slice(moved, "cart-2").fold_into(table)
    assert table.export(KEY).slices == {}  # type: ignore[union-attr]

    assert exporter.drop_slice().fold_into(table) == {OTHER}
    assert exporter.drop_slice("cart-2").fold_into(table) == {OTHER}
    assert exporter.drop_slice().fold_into(table) == set()


def test_messages_of_an_earlier_incarnation_are_passed_over() -> None:
    """Two watchers of one cluster during a roll-out: the newer one is right, whoever is last."""
    exporter = ExporterModel()
    late = exporter.export(WEB)
    exporter.epoch = 2
    table = confirmed(exporter)
    exporter.export(but(WEB, exported_at=NEW)).fold_into(table)

    with pytest.raises(StaleEpoch, match="incarnation 1 of cluster east"):
        late.fold_into(table)

    assert table.export(KEY).service.exported_at == NEW  # type: ignore[union-attr]


def test_a_stream_may_hold_messages_of_several_incarnations() -> None:
    """What did not change is not published again by the next watcher: a replay takes it all."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.export(WEB)
    exporter.epoch = 7
    exporter.export(WEB, OTHER)
    exporter.lease()

    exporter.replay_into(table)
    exporter.replay_into(table)

    assert table.complete
    assert table.size == 2


def leave(exporter: ExporterModel) -> None:
    """Withdraw all, and the cluster itself, as the watcher's next incarnation does."""
    exporter.epoch += 1
    for subject in list(exporter.stream):
        exporter.publish(subject, WITHDRAWALS[subject.kind])


def test_a_cluster_that_left_exports_nothing_and_that_is_certain() -> None:
    """Also what only its marks on mirrors tell of, and what a message of its later brings."""
    exporter = ExporterModel()
    exporter.export(WEB)
    table = confirmed(exporter)
    leave(exporter)

    touched = fold_all(table, exporter.stream.values())

    assert touched == {KEY}
    assert (table.left_at, table.complete, table.size) == (2, True, 0)
    assert table.presence(OTHER) is WITHDRAWN
    table.begin_replay()
    assert table.presence(KEY) is WITHDRAWN


def test_what_a_cluster_published_before_it_left_does_not_count() -> None:
    """Not in this process, and not in the next one that was told when it left."""
    exporter = ExporterModel()
    exporter.export(WEB)
    exporter.lease()
    stale = list(exporter.stream.values())
    for table in (confirmed(exporter), ImportTable(EAST, left_at=2)):
        leave(exporter)
        if table.left_at is None:
            fold_all(table, exporter.stream.values())
        table.begin_replay()
        assert fold_all(table, stale) == set()
        table.end_replay()

        assert (table.presence(KEY), table.left_at) == (WITHDRAWN, 2)


def test_a_cluster_comes_back_with_a_newer_incarnation() -> None:
    """Its digest tells whether all that it exports is known; the same one cannot be back."""
    exporter = ExporterModel()
    exporter.export(WEB)
    table = confirmed(exporter)
    leave(exporter)
    fold_all(table, exporter.stream.values())
    exporter.lease().fold_into(table)
    assert table.left_at == exporter.epoch

    exporter.epoch += 1
    exporter.export(WEB).fold_into(table)
    assert table.export(KEY) is None
    exporter.lease().fold_into(table)

    assert (table.left_at, table.complete, table.doubtful) == (None, True, False)
    assert table.presence(KEY) is EXPORTED


def test_what_was_passed_over_is_replayed_when_a_cluster_comes_back() -> None:
    """Its stream holds an old message that it need not publish again: the bus lost the leave."""
    exporter = ExporterModel()
    exporter.export(WEB)
    table = ImportTable(EAST, left_at=2)
    exporter.epoch = 3
    exporter.lease()
    table.begin_replay()
    old, lease = exporter.stream.values()
    fold_all(table, [old, lease])

    assert (table.left_at, table.doubtful, table.complete) == (None, True, False)
    exporter.replay_into(table)
    assert (table.presence(KEY), table.complete, table.doubtful) == (EXPORTED, True, False)


def test_leaving_twice_is_leaving_once() -> None:
    """A watcher that restarts while its cluster is away says it again, in its new incarnation."""
    exporter, table = ExporterModel(), ImportTable(EAST)
    exporter.lease()
    leave(exporter)
    fold_all(table, exporter.stream.values())
    leave(exporter)
    fold_all(table, exporter.stream.values())

    assert table.left_at == 2


def test_a_message_that_is_passed_over_makes_the_digest_before_it_old() -> None:
    """It stands in the place of what the digest did not know yet: nothing is gone by its word."""
    exporter, table = ExporterModel(epoch=2), ImportTable(EAST)
    exporter.lease()
    exporter.epoch = 1
    exporter.export(WEB)
    lease, old = exporter.stream.values()
    table.begin_replay()
    lease.fold_into(table)
    with pytest.raises(StaleEpoch):
        old.fold_into(table)

    assert table.end_replay() == set()
    assert not table.complete
    assert table.presence(KEY) is UNKNOWN


def test_two_mismatches_running_are_a_doubt() -> None:
    """One mismatch may be a change on its way; a second one means that something was missed."""
    exporter = ExporterModel()
    table = confirmed(exporter)
    exporter.export(WEB)  # lost on the way

    exporter.lease().fold_into(table)
    assert not table.doubtful
    exporter.lease().fold_into(table)
    assert table.doubtful

    exporter.replay_into(table)
    assert not table.doubtful
    assert table.presence(KEY) is EXPORTED


def test_a_match_between_ends_a_doubt() -> None:
    """Mismatches count only when no match lies between them."""
    exporter = ExporterModel()
    table = confirmed(exporter)
    lost = exporter.export(WEB)
    exporter.lease().fold_into(table)
    lost.fold_into(table)
    exporter.lease().fold_into(table)

    exporter.export(WEB, OTHER)
    exporter.lease().fold_into(table)

    assert not table.doubtful


def test_a_digest_of_other_kinds_only_is_a_mismatch() -> None:
    """Who does not say what its Services add up to has confirmed nothing about them."""
    table = ImportTable(EAST)
    message = but(CLUSTER, digests={"node": Digest(count=0, hash="0" * 32)})
    subject = Subject(cluster=EAST, kind=Kind.CLUSTER, name="east")

    table.begin_replay()
    table.end_replay()
    table.fold(subject, message, encode(message), 1)

    assert not table.complete


def test_an_unreadable_message_counts_and_keeps_what_was_known() -> None:
    """A newer watcher's message raises no doubt, and its Service is neither taken nor dropped."""
    table, payload = ImportTable(EAST), b'{"type":"service.exported.v9"}'
    exporter = ExporterModel()
    subject = exporter.service_subject()
    table.begin_replay()
    table.fold_unreadable(subject, payload, 1)
    table.fold_unreadable(exporter.slice_subject("cart-1"), b"?", 1)
    table.fold_unreadable(Subject(cluster=EAST, kind=Kind.CLUSTER, name="east"), b"?", 1)
    table.end_replay()
    digests = {
        "service": Digest(count=1, hash=f"{fingerprint(str(subject), payload):032x}"),
        "endpoints": Digest(
            count=1, hash=f"{fingerprint(str(exporter.slice_subject('cart-1')), b'?'):032x}"
        ),
    }
    message = but(CLUSTER, digests=digests)
    where = Subject(cluster=EAST, kind=Kind.CLUSTER, name="east")
    table.fold(where, message, encode(message), 1)

    assert table.complete
    assert table.presence(KEY) is UNKNOWN
    assert table.presence(OTHER) is WITHDRAWN

    exporter.export(WEB).fold_into(table)
    assert table.presence(KEY) is EXPORTED
    table.fold_unreadable(subject, payload, 1)
    assert table.export(KEY).service == WEB  # type: ignore[union-attr]
    with pytest.raises(StaleEpoch):
        table.fold_unreadable(subject, payload, 0)


def test_messages_of_other_kinds_touch_nothing() -> None:
    """Whoever filters wrongly does no harm."""
    table = ImportTable(EAST)
    subject = Subject(cluster=EAST, kind=Kind.SERVICE, namespace="shop", name="cart")

    assert table.fold(subject, NodeWithdrawn(), b"{}", 1) == set()


def test_a_key_reads_as_kubectl_users_write_it() -> None:
    """Messages for people name Services by namespace and name."""
    assert str(KEY) == "shop/cart"


STATES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.integers(1, 3)), max_size=3
)


def state_of(table: ImportTable) -> dict[ServiceKey, tuple[ServiceExported, list[str]]]:
    """Return all that a table says of exports."""
    exports = {key: table.export(key) for key in table.keys()}  # noqa: SIM118
    return {key: (e.service, sorted(e.slices)) for key, e in exports.items() if e is not None}


def tell(exporter: ExporterModel, states: dict[str, int | None]) -> list[object]:
    """Publish that each named Service is exported with so many slices, or withdrawn."""
    messages: list[object] = []
    for name, slices in states.items():
        key = ServiceKey("shop", name)
        wanted = {f"{name}-{number}" for number in range(slices or 0)}
        messages.append(exporter.withdraw(key) if slices is None else exporter.export(PODS, key))
        for number in range(3):
            slice_name = f"{name}-{number}"
            item: EndpointsExported = pods("10.42.0.1", service=name)
            if slice_name in wanted:
                messages.append(exporter.put_slice(item, slice_name))
            elif exporter.slice_subject(slice_name) in exporter.stream:
                messages.append(exporter.drop_slice(slice_name))
    return messages


@given(before=STATES, after=STATES, lost=st.sets(st.integers(0, 20)), cut=st.integers(0, 12))
def test_whatever_was_lost_a_confirmed_replay_mends(
    before: dict[str, int | None], after: dict[str, int | None], lost: set[int], cut: int
) -> None:
    """Losses, an interrupted replay, then a whole one: the same table as a fresh start gives."""
    exporter = ExporterModel()
    tell(exporter, before)
    table = confirmed(exporter)
    live = tell(exporter, after)
    fold_all(table, [m for n, m in enumerate(live) if n not in lost])  # type: ignore[misc]
    exporter.replay_into(table, cut)

    exporter.lease()
    exporter.replay_into(table)

    assert state_of(table) == state_of(confirmed(exporter))


@given(states=STATES, cut=st.integers(0, 12))
def test_an_interrupted_replay_removes_nothing(states: dict[str, int | None], cut: int) -> None:
    """However far a replay came, everything known before it is still there."""
    exporter = ExporterModel()
    tell(exporter, states)
    table = confirmed(exporter)
    before = state_of(table)
    exporter.lose()

    exporter.replay_into(table, cut)

    assert state_of(table) == before
