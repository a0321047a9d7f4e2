"""Which texts are cluster ids and Kubernetes names."""

from __future__ import annotations

import pytest
from hypothesis import given

from heliograph.contract.names import is_dns_label, is_dns_subdomain, parse_cluster_id
from heliograph.errors import InputError
from tests.support.strategies import LABELS, SUBDOMAINS

NAMES = {
    # case                  text                label  subdomain
    "one letter":           ("a",               True,  True),
    "one digit":            ("1",               True,  True),
    "dashes within":        ("eu--west-1",      True,  True),
    "63 characters":        ("a" * 63,          True,  True),
    "64 characters":        ("a" * 64,          False, True),
    "dots":                 ("node-1.example",  False, True),
    "253 characters":       ("a." * 126 + "a",  False, True),
    "254 characters":       ("a" * 254,         False, False),
    "nothing":              ("",                False, False),
    "dash first":           ("-a",              False, False),
    "dash last":            ("a-",              False, False),
    "dash before a dot":    ("a-.b",            False, False),
    "two dots running":     ("a..b",            False, False),
    "dot last":             ("a.",              False, False),
    "capital letter":       ("East",            False, False),
    "underscore":           ("a_b",             False, False),
    "newline at the end":   ("a\n",             False, False),
    "letter of elsewhere":  ("münchen",         False, False),
    "wildcard":             ("*",               False, False),
}  # fmt: skip


@pytest.mark.parametrize(("text", "label", "subdomain"), NAMES.values(), ids=NAMES)
def test_the_forms_of_names(text: str, label: bool, subdomain: bool) -> None:  # noqa: FBT001
    """Labels and subdomains are those of RFC 1123, in lower case."""
    assert (is_dns_label(text), is_dns_subdomain(text)) == (label, subdomain)


@given(LABELS)
def test_any_label_is_a_cluster_id(text: str) -> None:
    """Whatever may name a namespace may name a cluster."""
    assert parse_cluster_id(text) == text


@given(SUBDOMAINS)
def test_any_kubernetes_name_is_a_subdomain(text: str) -> None:
    """What Kubernetes lets people call an object is recognised."""
    assert is_dns_subdomain(text)


def test_a_bad_cluster_id_is_bad_input() -> None:
    """The message shows what was given, the rule, and examples."""
    with pytest.raises(InputError) as raised:
        parse_cluster_id("East_1")

    assert str(raised.value) == (
        "'East_1' is no cluster id: an id is one DNS label (lower-case letters, digits and '-', "
        "at most 63 characters, such as 'east' or 'eu-west-1'); choose another one."
    )
