"""Bytes that are no messages of the contract, each for one reason."""

from __future__ import annotations

from tests.support.builders import KEY

SERVICE = b'{"type":"service.exported.v1","ready":true,"exported_at":"2026-11-22T10:00:00Z"'
NODE = b'{"type":"node.announced.v1","public_key":"' + KEY.encode() + b'"'

MALFORMED = {
    "nothing": b"",
    "no JSON": b"hello",
    "no object": b'"service.exported.v1"',
    "cut off": SERVICE,
    "no type": b"{}",
    "an unknown type": b'{"type":"service.exported.v9"}',
    "a field of another type": SERVICE + b',"headless":1}',
    "a missing field": b'{"type":"service.exported.v1","ready":true}',
    "a port out of range": SERVICE + b',"ports":[{"port":65536}]}',
    "an unknown protocol": SERVICE + b',"ports":[{"port":1,"protocol":"QUIC"}]}',
    "a time of another zone": SERVICE.replace(b"00Z", b"00+02:00") + b"}",
    "a time with a newline": SERVICE.replace(b"00Z", b"00Z\\n") + b"}",
    "a time in other digits": SERVICE.replace(b"2026", "٢٠٢٦".encode()) + b"}",
    "two types": b'{"type":"service.withdrawn.v1","type":"node"}',
    "another kind than the subject": NODE + b"}",
    "no UTF-8 in the type": b'{"type":"\xff"}',
    "no UTF-8 in a field": SERVICE + b',"cluster_ips":["\xff"]}',
    "half a surrogate pair": SERVICE + b',"cluster_ips":["\\ud800"]}',
    "nesting without end": SERVICE + b',"future":' + b"[" * 100_000,
}
BAD_NODES = {
    "a key that is too short": NODE.replace(b"AQE=", b"="),
    "a key with a newline": NODE.replace(b"AQE=", b"AQE=\\n"),
    "a key of other characters": NODE.replace(b"AQE=", b"A-E="),
    "a keepalive of more than 16 bits": NODE + b',"persistent_keepalive":65536',
}

BAD_FEEDBACK = {
    "nothing": b"",
    "missing fields": b"{}",
    "no UTF-8": b'{"event_id":"\xff"}',
    "nesting without end": b'{"x":' * 100_000,
}
