from __future__ import annotations

import pytest

from services.reflector.admission import Admission
from services.reflector.settings import ReflectorSettings

DECLARED = ("10.110.0.0/16", "fd00:110::/112", "127.0.0.0/8", "169.254.0.0/16", "8.8.8.0/24")

ADDRESSES = {
    # case                                    address               admitted
    "in a declared, private range":          ("10.110.0.7",         True),
    "the same in IPv6":                      ("fd00:110::7",        True),
    "private, but not declared":             ("10.111.0.7",         False),
    "declared, but not private":             ("8.8.8.8",            False),
    "loopback, declared or not":             ("127.0.0.1",          False),
    "link-local, declared or not":           ("169.254.169.254",    False),
    "multicast":                             ("224.0.0.1",          False),
    "unspecified":                           ("0.0.0.0",            False),  # noqa: S104
    "unspecified, IPv6":                     ("::",                 False),
    "loopback, as IPv6 writes it":           ("::ffff:127.0.0.1",   False),
    "with a zone":                           ("fe80::1%eth0",       False),
    "a range":                               ("10.110.0.0/16",      False),
    "no address at all":                     ("east.example.org",   False),
}  # fmt: skip


@pytest.mark.parametrize(("address", "admitted"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses_must_be_declared_and_admitted(address: str, *, admitted: bool) -> None:
    """A cluster draws traffic to its own addresses only, and never to special ones."""
    assert Admission(ReflectorSettings(cluster="here")).admits(address, DECLARED) is admitted


def test_special_addresses_are_refused_whatever_is_admitted() -> None:
    """Even who admits everything gets no loopback address into a slice."""
    everything = ReflectorSettings(cluster="here", admitted_ranges=("0.0.0.0/0", "::/0"))

    assert not Admission(everything).admits("127.0.0.1", ("0.0.0.0/0",))
    assert not Admission(everything).admits("::1", ("::/0",))
    assert Admission(everything).admits("8.8.8.8", ("0.0.0.0/0",))


def test_a_range_that_cannot_be_read_holds_nothing() -> None:
    """One bad range of a cluster does not spoil its others."""
    admission = Admission(ReflectorSettings(cluster="here"))

    assert not admission.admits("10.110.0.7", ("ten/8",))
    assert admission.admits("10.110.0.7", ("ten/8", "10.110.0.0/16"))


NAMESPACES = {
    # case                    denied           namespace        is denied
    "system, by default":    (("kube-*",),     "kube-system",   True),
    "others, by default":    (("kube-*",),     "shop",          False),
    "by its whole name":     (("shop",),       "shop",          True),
    "none":                  ((),              "kube-system",   False),
}  # fmt: skip


@pytest.mark.parametrize(("denied", "namespace", "is_denied"), NAMESPACES.values(), ids=NAMESPACES)
def test_denied_namespaces(denied: tuple[str, ...], namespace: str, *, is_denied: bool) -> None:
    """Nobody exports into system namespaces, unless the policy says so."""
    settings = ReflectorSettings(cluster="here", denied_namespaces=denied)

    assert Admission(settings).denies_namespace(namespace) is is_denied
