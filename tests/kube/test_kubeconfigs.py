"""A kubeconfig that cannot be used is bad input, and one sentence says why."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.errors import InputError
from heliograph.kube.auth import Credentials
from heliograph.kube.kubeconfig import Kubeconfig

USABLE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "east",
    "clusters": [{"name": "east", "cluster": {"server": "https://127.0.0.1:6443/"}}],
    "users": [{"name": "east", "user": {"token": "secret"}}],
    "contexts": [{"name": "east", "context": {"cluster": "east", "user": "east"}}],
}
NO_PEM = base64.b64encode(b"no certificate").decode()
EXEC = {"apiVersion": "client.authentication.k8s.io/v1"}


def of_cluster(**cluster: object) -> dict[str, Any]:
    return {"clusters": [{"name": "east", "cluster": cluster}]}


def of_user(**user: object) -> dict[str, Any]:
    return {"users": [{"name": "east", "user": user}]}


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "clusters that are no list": ({"clusters": 5}, "cannot be used with its current context"),
    "clusters of words": ({"clusters": ["east"]}, "cannot be used with its current context"),
    "no current context": ({"current-context": ""}, "cannot be used with its current context"),
    "contexts that are no list": ({"contexts": 5}, "cannot be used with its current context"),
    "a context of nothing": (
        {"contexts": [{"name": "east", "context": None}]},
        "cannot be used with its current context",
    ),
    "no server": (of_cluster(), "cannot be used with its current context"),
    "a missing authority": (
        of_cluster(**{"server": "https://127.0.0.1:1", "certificate-authority": "no.pem"}),
        "no.pem",
    ),
    "a user that is not there": (
        {"users": []},
        "cannot be used with its current context: a part is missing or malformed",
    ),
    "an authority that is none": (
        of_cluster(**{"server": "https://127.0.0.1:1", "certificate-authority-data": NO_PEM}),
        "the certificates for https://127.0.0.1:1 cannot be used",
    ),
    "a certificate that is none": (
        of_user(**{"client-certificate-data": NO_PEM, "client-key-data": NO_PEM}),
        "the certificates for https://127.0.0.1:6443 cannot be used",
    ),
    "a missing token file": (of_user(tokenFile="/nonexistent/token"), "/nonexistent/token"),
    "a missing plugin": (of_user(exec=EXEC | {"command": "no-such-plugin"}), "no-such-plugin"),
    "a plugin that fails": (of_user(exec=EXEC | {"command": "false"}), "process returned 1"),
    "a plugin of nothing": (of_user(exec=5), "cannot be used with its current context"),
}
UNREADABLE = {
    "no YAML": (b"{", "is no YAML ("),
    "no text": (b"\xff\xfe\x00", "is no YAML ("),
    "nothing": (b"", "lists no clusters; give a file that 'kubectl config' made"),
    "a word": (b"hello", "lists no clusters; give a file that 'kubectl config' made"),
    "no clusters": (b"clusters: []", "lists no clusters; give a file that 'kubectl config' made"),
}
PARSED = {
    "a path": ("/a/b", Kubeconfig(path=Path("/a/b"))),
    "with a context": ("/a/b@east", Kubeconfig(path=Path("/a/b"), context="east")),
    "a context with an at": ("/a/b@me@east", Kubeconfig(path=Path("/a/b"), context="me@east")),
    "an empty context": ("/a/b@", Kubeconfig(path=Path("/a/b"))),
    "home": ("~/x", Kubeconfig(path=Path.home() / "x")),
}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "config"
    path.write_text(yaml.safe_dump(USABLE | changes), encoding="utf-8")
    return path


async def opened(path: Path | None, context: str | None = None) -> Credentials:
    credentials = Credentials(Kubeconfig(path=path, context=context))
    try:
        await credentials.open()
    finally:
        await credentials.close()
    return credentials


@pytest.mark.parametrize(("text", "kubeconfig"), PARSED.values(), ids=PARSED)
def test_where_credentials_are(text: str, kubeconfig: Kubeconfig) -> None:
    """A path, and perhaps a context of it."""
    assert Kubeconfig.parse(text) == kubeconfig


async def test_a_usable_file(tmp_path: Path) -> None:
    """Address and token are those of the current context."""
    credentials = await opened(written(tmp_path))
    assert credentials.server == "https://127.0.0.1:6443"
    assert await credentials.headers() == {"Authorization": "Bearer secret"}
    assert credentials.tls == {}


async def test_a_server_name_for_tls(tmp_path: Path) -> None:
    """What the kubeconfig says of proxy and server name goes with every request."""
    changes = of_cluster(
        **{
            "server": "https://127.0.0.1:1",
            "tls-server-name": "kubernetes",
            "proxy-url": "http://127.0.0.1:2",
        }
    )
    credentials = await opened(written(tmp_path, **changes))
    assert credentials.tls == {"proxy": "http://127.0.0.1:2", "server_hostname": "kubernetes"}


async def test_a_user_without_credentials_sends_none(tmp_path: Path) -> None:
    """Some laboratories need no token."""
    changes = of_cluster(server="http://127.0.0.1:8080") | {"users": []}
    assert await (await opened(written(tmp_path, **changes))).headers() == {}


@pytest.mark.parametrize(("changes", "message"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Whatever is wrong with a file, the person is told which file, and what."""
    with pytest.raises(InputError) as raised:
        await opened(written(tmp_path, **changes))
    assert message in str(raised.value)
    assert "config" in str(raised.value)


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
async def test_files_that_are_no_kubeconfig(content: bytes, message: str, tmp_path: Path) -> None:
    """The sentence names the file and what to do."""
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        await opened(path)
    assert str(raised.value).startswith(f"kubeconfig {path} {message}")


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is shown."""
    with pytest.raises(InputError) as raised:
        await opened(tmp_path / "none")
    assert str(raised.value) == (
        f"kubeconfig {tmp_path / 'none'} cannot be read (No such file or directory); "
        f"give another file"
    )


@pytest.mark.parametrize(
    ("contexts", "known"), [(USABLE["contexts"], "east"), ([], "none at all"), (5, "none at all")]
)
async def test_a_context_that_is_not_there(contexts: object, known: str, tmp_path: Path) -> None:
    """The contexts that are there are listed."""
    path = written(tmp_path, contexts=contexts)
    with pytest.raises(InputError) as raised:
        await opened(path, context="west")
    assert str(raised.value) == f"kubeconfig {path} has no context 'west'; it has: {known}"


async def test_no_file_outside_a_pod() -> None:
    """Without a kubeconfig there must be a service account."""
    with pytest.raises(InputError, match="no kubeconfig was given, and this is no pod with a"):
        await opened(None)


async def test_a_file_is_read_again(tmp_path: Path) -> None:
    """A renewed token is taken up."""
    path = written(tmp_path)
    credentials = Credentials(Kubeconfig(path=path))
    await credentials.open()
    try:
        written(tmp_path, **of_user(token="renewed"))  # noqa: S106 - no secret
        await credentials.reload()
        assert await credentials.headers() == {"Authorization": "Bearer renewed"}
    finally:
        await credentials.close()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "east", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "cluster", "context", "user", "server", "token", "exec"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(["clusters", "users", "contexts", "current-context"]), JUNK))
async def test_no_file_breaks_a_program(tmp_path: Path, changes: dict[str, object]) -> None:
    """Any YAML is a usable kubeconfig, or bad input; never a fault of ours."""
    path = written(tmp_path, **changes)
    try:
        await opened(path)
    except InputError as error:
        assert str(error).startswith(f"kubeconfig {path}")  # noqa: PT017 - both ends are right
