"""Sets of addresses: texts are read quickly, and as Python's library reads them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.admission.spans import span_of, span_of_text


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.tuples(st.ip_addresses(), st.integers(0, 140)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.sampled_from(
            ("10.0.0.0/255.255.0.0", "::ffff:10.0.0.1/120", "010.0.0.1/8", "10.0.0.0/08")
        ),
        st.text(alphabet="0123456789abcdef.:/%", max_size=20),
    )
)
def test_a_text_is_read_as_pythons_library_reads_it(text: str) -> None:
    """However quickly: the same addresses, and the same texts that are none."""
    try:
        expected = span_of(ipaddress.ip_network(text, strict=False))
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            span_of_text(text)
    else:
        assert span_of_text(text) == expected
