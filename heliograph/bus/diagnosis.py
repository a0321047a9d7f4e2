"""Says in one sentence why a connection could not be made, and what to do. Pure.

The causes arrive as exceptions of sockets, TLS and the client library; only their kind and text
are looked at.
"""

from __future__ import annotations

import ssl

from heliograph.bus.errors import BusUnreachable

_NOT_NATS = "expecting info message", "info message, json parse error", "not enough values"
_FOREIGN = "answers, but not like a NATS server; look at the address and what listens there"
_SILENT = "accepts connections but does not greet like a NATS server; look at what listens there"
_BROKEN_OFF = "breaks off the connection; its log says why (does it want a client certificate?)"
_UNREACHED = "does not answer; is the address right, and does a firewall stand between?"


def diagnose(error: Exception, url: str, *, accepted: bool = False) -> BusUnreachable:
    """Return the error to raise for `error`; `final` if the server answered and refused.

    Args:
        error: What stopped the attempt.
        url: The address tried, without credentials.
        accepted: Whether the TCP connection stood when it happened.
    """
    reason, final = _reason(error, accepted=accepted)
    sentence = f"NATS server {url} {reason}"
    return BusUnreachable(
        sentence if sentence.endswith("?") else f"{sentence}.", url=url, final=final
    )


def _reason(error: Exception, *, accepted: bool) -> tuple[str, bool]:
    text = str(error).lower()
    if "authorization" in text or "authentication" in text:
        return "refuses this user; check user, password, token or credentials file", True
    if isinstance(error, ssl.SSLError) or "secure connection" in text:
        return _tls_reason(error, text), True
    if isinstance(error, TimeoutError):
        return _SILENT if accepted else _UNREACHED, False
    if isinstance(error, OSError) and accepted:
        return _BROKEN_OFF, False
    if isinstance(error, OSError):
        return f"cannot be reached ({_short(error)}); is it running, and the address right?", False
    if isinstance(error, ValueError) or any(sign in text for sign in _NOT_NATS):
        return _FOREIGN, True
    return f"broke off the greeting ({error})", False


def _tls_reason(error: Exception, text: str) -> str:
    if "not available" in text:
        return "offers no TLS, though it was asked for; turn it on there or name a nats:// address"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        return f"shows a certificate that is not trusted ({why}); check the CA file and the name"
    return f"and this client agree on no TLS ({_short(error)}); check the certificates of both"


def _short(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower().rstrip(".")
