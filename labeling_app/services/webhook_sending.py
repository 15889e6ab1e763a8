"""Send one signed message to one address, without letting it reach into this network.

The host is resolved once, every address found is checked, and the connection goes to the very address that was checked.
Redirects are not followed: they are an answer that is no 2xx. A deadline bounds the whole exchange. Of the answer no more
is read than its status and a short beginning, which is kept when it is an error.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from dataclasses import dataclass

from django.utils.crypto import salted_hmac

from datasets_app.domain.url_contract import WebAddress
from goldenproject.kit.outgoing import CountedSocket, Deadline, Network, connected
from labeling_app.models import Webhook
from labeling_app.services.webhook_address import WebhookAddressRefused, allowed_address, checked_ips

DEADLINE_S = 10.0
KEPT_OF_ANSWER = 300
_CONNECT_S = 5.0
_MAX_HEADER_BYTES = 32 * 1024
_USER_AGENT = "golden-datasets webhook"


@dataclass(frozen=True)
class Message:
    """What is sent: `body` as it was signed, `delivery` the same at every try."""

    delivery: str
    event: str
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a try. `status` is None when no answer came; `reachable` tells whether the host works at all."""

    status: int | None
    error: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def reachable(self) -> bool:
        return self.status is not None and self.status not in (429, 502, 503, 504)


def secret_of(webhook: Webhook) -> str:
    """Return the secret that signs the webhook's messages: derived from SECRET_KEY, so that none is stored."""
    derived = salted_hmac("golden webhook", f"{webhook.pk}:{webhook.secret_version}", algorithm="sha256")
    return f"whsec_{derived.hexdigest()}"


def signature(secret: str, moment_s: int, body: bytes) -> str:
    """Return the header Golden-Signature: the HMAC-SHA256 over the moment (Unix seconds), a dot and the body."""
    digest = hmac.new(secret.encode(), f"{moment_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment_s},v1={digest}"


def send(
    webhook: Webhook,
    message: Message,
    *,
    moment_s: int,
    network: Network | None = None,
    deadline_s: float = DEADLINE_S,
) -> Outcome:
    """POST `message` and return what the other side said; whatever goes wrong is told in the outcome, not raised."""
    try:
        address = allowed_address(webhook.url)
        exchange = _Exchange(address, network or Network(), Deadline(deadline_s))
        return exchange.post(_head(webhook, address, message, moment_s), message.body)
    except WebhookAddressRefused as error:
        return Outcome(None, str(error))
    except TimeoutError:
        return Outcome(None, f"No answer within {deadline_s:g} s.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome(None, (str(error) or type(error).__name__)[:KEPT_OF_ANSWER])


def _head(webhook: Webhook, address: WebAddress, message: Message, moment_s: int) -> bytes:
    lines = [
        f"POST {address.target} HTTP/1.1",
        f"Host: {address.authority}",
        f"User-Agent: {_USER_AGENT}",
        "Content-Type: application/json",
        f"Content-Length: {len(message.body)}",
        f"Golden-Event: {message.event}",
        f"Golden-Delivery: {message.delivery}",
        f"Golden-Signature: {signature(secret_of(webhook), moment_s, message.body)}",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class _Exchange:
    """One request and the beginning of its answer, within a deadline."""

    def __init__(self, address: WebAddress, network: Network, deadline: Deadline) -> None:
        self._address = address
        self._network = network
        self._deadline = deadline

    def post(self, head: bytes, body: bytes) -> Outcome:
        raw = connected(
            self._address.host,
            self._address.port,
            tls=self._address.scheme == "https",
            network=self._network,
            deadline=self._deadline,
            checked=lambda ips: checked_ips(self._address, ips),
            connect_s=_CONNECT_S,
        )
        try:
            raw.settimeout(self._deadline.left())
            raw.sendall(head + body)
            wire = CountedSocket(
                raw,
                self._deadline,
                _MAX_HEADER_BYTES,
                f"the answer's head is more than {_MAX_HEADER_BYTES} bytes",
            )
            response = http.client.HTTPResponse(wire, method="POST")  # type: ignore[arg-type]
            response.begin()
            if 200 <= response.status < 300:
                return Outcome(response.status)
            return Outcome(response.status, self._told(response))
        finally:
            raw.close()

    def _told(self, response: http.client.HTTPResponse) -> str:
        """Return the status in words with the beginning of what was answered."""
        try:
            text = response.read(KEPT_OF_ANSWER).decode(errors="replace")
        except (OSError, http.client.HTTPException):  # the status is known, that is what counts
            text = ""
        plain = "".join(character if character.isprintable() else " " for character in text)
        return f"{response.status} {response.reason[:80]}: {' '.join(plain.split())}".rstrip(": ")
