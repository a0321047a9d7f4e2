"""Credentials and the HTTP session, from kubernetes_asyncio.

Reads kubeconfig files (tokens, client certificates, exec plugins, OIDC) and in-cluster service
accounts. Nothing of its models or API classes is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import yaml

from heliograph.errors import InputError
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.lean import Configuration, RESTClientObject, config


class Credentials:
    """An authenticated HTTP session to one API server; `reload` reads the credentials again.

    Attributes:
        context: Name of the kubeconfig's context in use.
    """

    def __init__(self, kubeconfig: Kubeconfig) -> None:
        self._kubeconfig = kubeconfig
        self._configuration = Configuration()
        self._rest: RESTClientObject | None = None
        self.context = kubeconfig.context or "this pod's"

    @property
    def server(self) -> str:
        """Return the URL of the API server, without a trailing slash."""
        return str(self._configuration.host).rstrip("/")

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session that trusts the server's certificate authority."""
        assert self._rest is not None, "open() comes first"  # noqa: S101 - a programming error
        session: aiohttp.ClientSession = self._rest.pool_manager
        return session

    @property
    def tls(self) -> dict[str, Any]:
        """Return what aiohttp must be told with each request: proxy and server name."""
        assert self._rest is not None, "open() comes first"  # noqa: S101 - a programming error
        given = {"proxy": self._rest.proxy, "server_hostname": self._rest.server_hostname}
        return {name: value for name, value in given.items() if value}

    async def headers(self) -> dict[str, str]:
        """Return the authorization header, with the token as fresh as its source."""
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}

    async def open(self) -> None:
        """Read the credentials and make the session.

        Raises:
            InputError: The file cannot be read, or it has no such context.
        """
        await self.reload()
        try:
            self._rest = RESTClientObject(self._configuration)
        except OSError as error:  # of which ssl.SSLError is one
            message = (
                f"the certificates for {self.server} cannot be used ({_first_line(error)}); check "
                f"the certificate authority, the client's certificate and its key in "
                f"{self._kubeconfig.path or 'the service account'}"
            )
            raise InputError(message) from error

    async def reload(self) -> None:
        """Read the credentials again: a token may have been renewed, a plugin may give another."""
        if self._kubeconfig.path is None:
            self._load_service_account()
        else:
            await self._load_file(self._kubeconfig.path)

    async def close(self) -> None:
        """Close the session and all its connections."""
        if self._rest is not None:
            await self._rest.close()

    def _load_service_account(self) -> None:
        try:
            config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=self._configuration
            )
        except config.ConfigException as error:
            message = (
                f"no kubeconfig was given, and this is no pod with a service account ({error}); "
                f"give one, such as --kubeconfig ~/.kube/config"
            )
            raise InputError(message) from error

    async def _load_file(self, path: Path) -> None:
        _check_readable(path)
        try:
            loader = await config.load_kube_config(
                config_file=str(path),
                context=self._kubeconfig.context,
                client_configuration=self._configuration,
                persist_config=False,
            )
            self.context = str((loader.current_context or {}).get("name", self.context))
        except _FAULTS as error:
            raise InputError(_unusable(path, self._kubeconfig.context, error)) from error


_FAULTS = (
    *(config.ConfigException, yaml.YAMLError, OSError),  # OSError: a plugin or a file is missing
    *(AssertionError, AttributeError, KeyError, TypeError, ValueError),  # how the library says it
)
"""What kubernetes_asyncio raises for files that cannot be used."""
_TELLING = (config.ConfigException, OSError)
"""Those of which the text means something to a person."""


def _check_readable(path: Path) -> None:
    try:
        parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"kubeconfig {path} cannot be read ({error.strerror}); give another file"
        raise InputError(message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"kubeconfig {path} is no YAML ({_first_line(error)}); give another file"
        raise InputError(message) from error
    if not isinstance(parsed, dict) or not parsed.get("clusters"):
        message = f"kubeconfig {path} lists no clusters; give a file that 'kubectl config' made"
        raise InputError(message)


def _unusable(path: Path, context: str | None, error: Exception) -> str:
    known = _contexts(path)
    if context is not None and context not in known:
        have = ", ".join(known) or "none at all"
        return f"kubeconfig {path} has no context {context!r}; it has: {have}"
    which = f"context {context!r}" if context else "current context"
    why = _first_line(error) if isinstance(error, _TELLING) else "a part is missing or malformed"
    return f"kubeconfig {path} cannot be used with its {which}: {why}"


def _contexts(path: Path) -> list[str]:
    parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = parsed.get("contexts")
    if not isinstance(entries, list):
        return []
    return [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
