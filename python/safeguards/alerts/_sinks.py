"""Where alerts are delivered to."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from safeguards import __version__
from safeguards._values.arguments import called, instance, mapping, shown, text
from safeguards._values.numbers import number
from safeguards.alerts._queue import QueuedSink, TryAgain
from safeguards.exceptions import ArgumentTypeError, ConfigurationError
from safeguards.types.enums import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message
    from http.client import HTTPMessage
    from typing import IO

    from safeguards.types.alerts import Alert

    Answer = tuple[int, Mapping[str, str] | Message]
    Transport = Callable[[str, bytes, Mapping[str, str], float], Answer]

__all__ = ["LogSink", "SlackSink", "WebhookSink"]

_LEVELS = {
    AlertSeverity.INFO: logging.INFO,
    AlertSeverity.WARNING: logging.WARNING,
    AlertSeverity.ERROR: logging.ERROR,
    AlertSeverity.CRITICAL: logging.CRITICAL,
}
_KINDS = {2: "taken", 3: "redirect", 5: "failing"}
_MAY_PASS = {408, 425, 429}
_MOST_SLACK_CHARACTERS = 2_900
"""A block of Slack's takes 3,000."""


class LogSink(QueuedSink):
    """Writes alerts to a logger of Python's, in a thread of its own.

    Args:
        logger: the logger, or its name.
        max_queued: alerts that wait, at most; one more is dropped.

    Example:
        >>> with LogSink("budgets") as sink:
        ...     print(sink)
        LogSink('budgets': 0 delivered, 0 dropped)
    """

    def __init__(
        self, logger: logging.Logger | str = "safeguards.alerts", *, max_queued: int = 1_000
    ) -> None:
        if not isinstance(logger, logging.Logger):
            logger = logging.getLogger(text("logger", logger))
        self._logger = logger
        super().__init__(max_queued, 1, None, None)

    def _deliver(self, alert: Alert) -> None:
        self._logger.log(
            _LEVELS[alert.severity],
            "%s%s",
            alert.title,
            f": {alert.message}" if alert.message else "",
            extra={"alert": alert},
        )

    def _where(self) -> str:
        return repr(self._logger.name)


class WebhookSink(QueuedSink):
    """Posts each alert as JSON to a URL: the fields of `Alert.to_dict()`.

    What answers with a status of 200 to 299 has taken it. It is tried again after a connection that failed or
    timed out, and after a status of 408, 425, 429 or 500 and above: after 1, 2, 4 seconds and so on, up to a
    minute, of which half is drawn, and not before what `Retry-After` says. Any other status drops it.
    Redirects are not followed. An alert can arrive twice, if an answer is lost.

    The URL and the headers are taken for secrets: only the host is shown.

    Args:
        url: `https://...`; `http://` as well, for what is on your own network.
        headers: headers to send, such as `{"Authorization": "Bearer ..."}`.
        timeout_seconds: how long a connection or an answer is waited for.
        max_queued: alerts that wait, at most; one more is dropped.
        max_attempts: how often one is tried.
        transport: sends it instead of `urllib`: called with the URL, the body, the headers and the time-out.
        It returns
            the status and the headers of the answer, or raises an `OSError`.
        wait: waits instead of the thread: called with the seconds between two attempts.
        random: draws instead of `random.random`.

    Raises:
        ConfigurationError: `url` is no such URL, or a header is none.
        ArgumentTypeError: an argument is of a wrong type.

    Example:
        >>> with WebhookSink("https://alerts.example.com/in?key=secret") as sink:
        ...     print(sink)
        WebhookSink('alerts.example.com': 0 delivered, 0 dropped)
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 5.0,
        max_queued: int = 1_000,
        max_attempts: int = 6,
        transport: Transport | None = None,
        wait: Callable[[float], object] | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._host = _host(url)
        self._url = url
        self._headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": f"budget-safeguards/{__version__}",
            **_checked(headers),
        }
        self._timeout = number("timeout_seconds", timeout_seconds, 0, 600, above=True)
        for name, value in (("transport", transport), ("wait", wait), ("random", random)):
            if value is not None:
                called(name, value)
        self._transport = _post if transport is None else transport
        super().__init__(max_queued, max_attempts, wait, random)

    def _body(self, alert: Alert) -> dict[str, Any]:
        return alert.to_dict()

    def _deliver(self, alert: Alert) -> None:
        body = json.dumps(self._body(alert)).encode()
        try:
            status, headers = self._transport(self._url, body, dict(self._headers), self._timeout)
        except (OSError, HTTPException) as error:
            raise TryAgain(f"{self._host}: {type(error).__name__}") from None
        except Exception as error:  # noqa: BLE001 - of whatever sends it
            # Its text may have the URL.
            raise ConfigurationError(f"{self._host}: {type(error).__name__}") from None
        kind = _KINDS.get(status // 100)
        if kind == "taken":
            return
        if status in _MAY_PASS or kind == "failing":
            raise TryAgain(f"{self._host} answered {status}", _seconds(headers.get("Retry-After")))
        redirect = ", which is not followed" if kind == "redirect" else ""
        raise ConfigurationError(f"{self._host} answered {status}{redirect}")

    def _where(self) -> str:
        return repr(self._host)


class SlackSink(WebhookSink):
    """Posts alerts to an incoming webhook of Slack, or of what reads the same JSON.

    That is Mattermost, Rocket.Chat, and Discord at `/slack`. All else is as with `WebhookSink`.

    Example:
        >>> with SlackSink("https://hooks.slack.com/services/T000/B000/secret") as sink:
        ...     print(sink)
        SlackSink('hooks.slack.com': 0 delivered, 0 dropped)
    """

    def _body(self, alert: Alert) -> dict[str, Any]:
        head = f"*{alert.severity.name}* {_escaped(alert.title)}"
        body = f"{head}\n{_escaped(alert.message)}" if alert.message else head
        blocks = [_block("section", body)]
        facts = [] if alert.account is None else [f"account {alert.account}"]
        facts += [] if alert.time is None else [alert.time.isoformat(timespec="seconds")]
        if facts:
            blocks.append({"type": "context", "elements": [_mrkdwn(_escaped(", ".join(facts)))]})
        return {"text": _short(head), "blocks": blocks}


def _block(kind: str, body: str) -> dict[str, Any]:
    return {"type": kind, "text": _mrkdwn(body)}


def _mrkdwn(body: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _short(body)}


def _short(body: str) -> str:
    return body if len(body) <= _MOST_SLACK_CHARACTERS else f"{body[:_MOST_SLACK_CHARACTERS]}..."


def _escaped(body: str) -> str:
    """What Slack would read as a link or a mention stands as it is."""
    return body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917 - as the base has it
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follows none: an answer from elsewhere is none, and headers are for one host."""


_opener = urllib.request.build_opener(_NoRedirects)


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - it was checked
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def _host(url: str) -> str:
    wanted = "url must be one such as 'https://host/path'"
    if not isinstance(url, str):
        raise ArgumentTypeError(f"{wanted}, not {shown(url)}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{wanted}; this one cannot be read") from None
    if (
        parts.scheme not in {"https", "http"}
        or not host
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise ConfigurationError(f"{wanted}, in plain ASCII (what was given is not shown: it may be private)")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{wanted}, without a user: put credentials into headers=")
    return host


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    given = {} if headers is None else mapping("headers", headers)
    for name, value in given.items():
        header = instance("headers", name, str)
        if not isinstance(value, str):
            raise ArgumentTypeError(f"headers[{header!r}] must be a str, not a {type(value).__name__}")
        is_plain = header.isascii() and header.replace("-", "").replace("_", "").isalnum()
        if not is_plain or not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"headers must be of plain ASCII, without line breaks: {shown(header)} is not"
            )
    return given


def _seconds(retry_after: str | None) -> float:
    """The delay that an answer asks for; one that is given as a date is not read."""
    asked = retry_after or ""
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0
