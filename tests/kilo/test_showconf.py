"""What is printed is what kgctl 0.7.0 prints, byte for byte where it is right."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given

from heliograph.kilo.peer import DNSOrIP, PeerEndpoint, PeerSpec
from heliograph.kilo.showconf import showconf
from tests.support.builders import KEY
from tests.support.strategies import SUBDOMAINS

E1 = PeerSpec(
    allowed_ips=("10.42.0.0/24", "10.0.0.4/32", "10.4.0.1/32", "10.43.0.0/16"),
    endpoint=PeerEndpoint(dns_or_ip=DNSOrIP(ip="203.0.113.10"), port=51820),
    public_key=KEY,
)
E1_YAML = """\
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata:
  name: a-cp
spec:
  allowedIPs:
  - 10.42.0.0/24
  - 10.0.0.4/32
  - 10.4.0.1/32
  - 10.43.0.0/16
  endpoint:
    dnsOrIP:
      ip: 203.0.113.10
    port: 51820
  publicKey: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
"""
E1_JSON = """\
{
  "kind": "Peer",
  "apiVersion": "kilo.squat.ai/v1alpha1",
  "metadata": {
    "name": "a-cp"
  },
  "spec": {
    "allowedIPs": [
      "10.42.0.0/24",
      "10.0.0.4/32",
      "10.4.0.1/32",
      "10.43.0.0/16"
    ],
    "endpoint": {
      "dnsOrIP": {
        "ip": "203.0.113.10"
      },
      "port": 51820
    },
    "publicKey": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
  }
}"""
E1_WIREGUARD = """\
[Peer]
AllowedIPs = 10.42.0.0/24, 10.0.0.4/32, 10.4.0.1/32, 10.43.0.0/16
Endpoint = 203.0.113.10:51820
PersistentKeepalive = 0
PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
"""
FORMS = {"yaml": E1_YAML, "json": E1_JSON, "wireguard": E1_WIREGUARD}


@pytest.mark.parametrize(("output", "text"), FORMS.items(), ids=FORMS)
def test_e1_in_each_form(output: str, text: str) -> None:
    """Order of keys, indentation and the last newline are kgctl's."""
    assert showconf("a-cp", E1, output) == text


WHOLE = PeerSpec(
    allowed_ips=("fd00::/64",),
    endpoint=PeerEndpoint(dns_or_ip=DNSOrIP(dns="gw.example.com"), port=51821),
    persistent_keepalive=25,
    preshared_key=KEY,
    public_key=KEY,
)


def test_all_fields_in_kgctls_order() -> None:
    """YAML sorts its keys, JSON has them as the type does; a name stands where names belong."""
    in_yaml = [line.split(":")[0].strip() for line in showconf("n1", WHOLE, "yaml").splitlines()]
    assert in_yaml[4:] == [
        *("spec", "allowedIPs", "- fd00", "endpoint", "dnsOrIP", "dns", "port"),
        *("persistentKeepalive", "presharedKey", "publicKey"),
    ]
    spec = json.loads(showconf("n1", WHOLE, "json"))["spec"]
    assert list(spec) == [
        *("allowedIPs", "endpoint", "persistentKeepalive", "presharedKey", "publicKey")
    ]
    assert spec["endpoint"] == {"dnsOrIP": {"dns": "gw.example.com"}, "port": 51821}


def test_the_wireguard_form_of_all_fields() -> None:
    """A preshared key stands before the public one, and a name before its port."""
    assert showconf("n1", WHOLE, "wireguard").splitlines()[2:] == [
        "Endpoint = gw.example.com:51821",
        "PersistentKeepalive = 25",
        f"PresharedKey = {KEY}",
        f"PublicKey = {KEY}",
    ]


def test_the_wireguard_form_of_ipv6_and_of_no_endpoint() -> None:
    """Brackets keep address and port apart; without endpoint there is no line."""
    there = PeerEndpoint(dns_or_ip=DNSOrIP(ip="2001:db8::1"), port=51820)
    spec = PeerSpec(allowed_ips=("fd00::/64",), endpoint=there, public_key=KEY)
    assert "Endpoint = [2001:db8::1]:51820\n" in showconf("n1", spec, "wireguard")
    assert "    ip: 2001:db8::1\n" in showconf("n1", spec, "yaml")
    assert "Endpoint" not in showconf("n1", PeerSpec(public_key=KEY), "wireguard")


NAMES = {
    "123": '"123"',
    "0x1f": '"0x1f"',
    "1.5": '"1.5"',
    "1e3": '"1e3"',
    "true": '"true"',
    "y": '"y"',
    "2026-1-2": '"2026-1-2"',
    "node-1": "node-1",
    "1.2.3": "1.2.3",
    "n": '"n"',
    "on-1": "on-1",
}


@pytest.mark.parametrize(("name", "text"), NAMES.items(), ids=NAMES)
def test_names_that_yaml_would_read_as_something_else(name: str, text: str) -> None:
    """They are quoted as Go's library does."""
    assert f"\n  name: {text}\n" in showconf(name, E1, "yaml")


@given(SUBDOMAINS)
def test_any_name_survives(name: str) -> None:
    """However a name looks, it is read back as it was, by readers of JSON and of YAML."""
    assert yaml.safe_load(showconf(name, E1, "yaml"))["metadata"]["name"] == name
    assert json.loads(showconf(name, E1, "json"))["metadata"]["name"] == name
