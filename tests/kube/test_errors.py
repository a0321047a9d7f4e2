"""Each answer of an API server is the error that a caller does something different with."""

from __future__ import annotations

import pytest

from heliograph.errors import RetryableError, TerminalError
from heliograph.kube.errors import (
    AlreadyExists,
    ApiStatus,
    ApiUnreachable,
    Busy,
    Conflict,
    Denied,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    Status,
    StatusCause,
    StatusDetails,
    Unauthorized,
    api_error,
)

POLICY = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
WEBHOOK = 'admission webhook "w" denied the request: no'
TERMINATING = StatusDetails(causes=(StatusCause(reason="NamespaceTerminating"),))
OTHER_CAUSE = StatusDetails(causes=(StatusCause(),))
ANSWERS: dict[str, tuple[Status, type[ApiStatus], bool]] = {
    # case                         answer                                     class         again?
    "bad request":                (Status(code=400),                          Invalid,       False),
    "who are you?":               (Status(code=401),                          Unauthorized,  False),
    "forbidden":                  (Status(code=403),                          Forbidden,     False),
    "forbidden for other causes": (Status(code=403, details=OTHER_CAUSE),     Forbidden,     False),
    "denied by a policy":         (Status(code=403, message=POLICY),          Denied,        False),
    "denied by a webhook":        (Status(code=403, message=WEBHOOK),         Denied,        False),
    "namespace terminating": (Status(code=403, details=TERMINATING), NamespaceTerminating,    True),
    "not found":                  (Status(code=404),                          NotFound,      False),
    "method not allowed":         (Status(code=405),                          Invalid,       False),
    "took too long":              (Status(code=408),                          Busy,          True),
    "exists":                     (Status(code=409, reason="AlreadyExists"),  AlreadyExists, True),
    "changed meanwhile":          (Status(code=409, reason="Conflict"),       Conflict,      True),
    "too old":                    (Status(code=410, reason="Expired"),        Gone,          True),
    "too large":                  (Status(code=413),                          Invalid,       False),
    "wrong media type":           (Status(code=415),                          Invalid,       False),
    "invalid":                    (Status(code=422),                          Invalid,       False),
    "too many requests":          (Status(code=429),                          Busy,          True),
    "a fault of the server":      (Status(code=500),                          Busy,          True),
    "unavailable":                (Status(code=503),                          Busy,          True),
    "no code":                    (Status(),                                  Busy,          True),
}  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "again"), ANSWERS.values(), ids=ANSWERS)
def test_answers_by_class(status: Status, kind: type[ApiStatus], again: bool) -> None:  # noqa: FBT001
    """The class says what a caller does, its base whether the same attempt may succeed later."""
    error = api_error("GET /x in cluster east", status)
    assert type(error) is kind
    assert isinstance(error, RetryableError) == again
    assert isinstance(error, TerminalError) != again
    assert error.status == status


RETRY_AFTER = {
    # case           header  details  retry after
    "neither":      (0,      0,       0),
    "a header":     (3,      0,       3),
    "in the body":  (0,      5,       5),
    "both":         (3,      5,       3),
}  # fmt: skip


@pytest.mark.parametrize(
    ("header_s", "details_s", "after_s"), RETRY_AFTER.values(), ids=RETRY_AFTER
)
def test_when_to_come_back(header_s: float, details_s: float, after_s: float) -> None:
    """A server that is busy may say for how long."""
    status = Status(code=429, details=StatusDetails(retry_after_seconds=details_s))
    error = api_error("PUT /x", status, retry_after_s=header_s)
    assert isinstance(error, Busy)
    assert error.retry_after_s == after_s


def test_a_message_says_what_was_asked_and_answered() -> None:
    """Request, code, reason and the server's own words."""
    status = Status(code=404, reason="NotFound", message='services "cart" not found')
    assert str(api_error("GET /x in cluster east", status)) == (
        'GET /x in cluster east: 404 NotFound: services "cart" not found'
    )


def test_no_answer_says_which_cluster_and_where() -> None:
    """The person can check the address."""
    error = ApiUnreachable("east", "https://10.0.0.1:6443", "timed out")
    assert str(error) == (
        "the API server of cluster east at https://10.0.0.1:6443 does not answer (timed out); is "
        "the address in its kubeconfig right, and the server up?"
    )
