"""Whose each key and each address is."""

from __future__ import annotations

from services.peerer.book import Holder, make_book
from tests.support.peers import EAST, SOUTH, WEST, key, node, nodes

SHARED_KEY = {"n1": node(1, SOUTH, public_key=key(2))}


def test_who_comes_before_has_the_better_right() -> None:
    """Clusters in the given order; in one cluster, the first name."""
    twice = {"b": node(1), "a": node(1, private_ip="172.16.1.9")}
    book = make_book([(EAST, twice), (SOUTH, {"n1": node(1, SOUTH, public_key=key(1))})])

    assert book.keys == {key(1): Holder(cluster=EAST, node="a")}
    assert book.addresses == {
        "172.16.1.9/32": Holder(cluster=EAST, node="a"),
        "172.16.1.1/32": Holder(cluster=EAST, node="b"),
        "172.16.2.1/32": Holder(cluster=SOUTH, node="n1"),
    }


def test_one_address_has_one_entry() -> None:
    """However it is spelt; what is no address, or none, has no entry."""
    known = {
        "a": node(1, private_ip="fd00::1"),
        "b": node(2, private_ip="FD00:0::0001"),
        "c": node(3, private_ip="::ffff:172.16.0.1"),
        "d": node(4, private_ip="172.16.0.1"),
        "e": node(5, private_ip="router"),
        "f": node(6, private_ip=None),
        "g": node(7, private_ip=""),
    }
    book = make_book([(EAST, known)])

    holders = {cidr: holder.node for cidr, holder in book.addresses.items()}
    assert holders == {"fd00::1/128": "a", "172.16.0.1/32": "c"}


def test_the_contested_clusters() -> None:
    """Both that announce one key or one address; nobody else."""
    assert make_book([(EAST, nodes(3)), (SOUTH, nodes(3, SOUTH))]).contested == frozenset()
    book = make_book([(EAST, nodes(3)), (SOUTH, SHARED_KEY), (WEST, nodes(1, WEST))])
    assert book.contested == {EAST, SOUTH}
    address = {"n1": node(1, SOUTH, private_ip="::ffff:172.16.1.2")}
    assert make_book([(EAST, nodes(3)), (SOUTH, address)]).contested == {EAST, SOUTH}
    assert make_book([(EAST, {"a": node(1), "b": node(1)})]).contested == {EAST}
