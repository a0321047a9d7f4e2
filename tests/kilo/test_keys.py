"""Public keys: one key has one spelling here, whatever spellings Kilo reads."""

from __future__ import annotations

import pytest

from heliograph.wireguard.notation import parse_public_key
from tests.support.builders import KEY

SPELLINGS = {
    # what is written                     what it is
    "canonical":         (KEY,            KEY),
    "bits left over":    (KEY[:-2] + "F=", KEY),
    "an end of line":    (KEY + "\n",     KEY),
    "folded":            (KEY[:20] + "\r\n" + KEY[20:], KEY),
    "a space":           (KEY + " ",      None),
    "no padding":        (KEY[:-1],       None),
    "31 bytes":          ("AQEB" * 10 + "AQ==", None),
    "33 bytes":          ("AQEB" * 11,    None),
    "zeros":             ("A" * 43 + "=", None),
    "zeros, spelt so":   ("A" * 42 + "B=", None),
    "not ASCII":         ("é" * 44,       None),
    "nothing":           ("",             None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_key_is_read_as_go_does_and_written_in_one_way(text: str, key: str | None) -> None:
    """Two texts that are one key to Kilo are equal texts afterwards."""
    assert parse_public_key(text) == key
