"""Where a webhook may send to: public hosts, and private ones that GOLDEN_WEBHOOK_PRIVATE_HOSTS names."""

from __future__ import annotations

from django.conf import settings

from datasets_app.domain.public_addresses import first_not_public
from datasets_app.domain.url_contract import UrlRules, UrlTrouble, WebAddress, violation, web_address
from goldenproject.kit.errors import BadInput

MAX_URL = 2000
_NO_PATTERNS = UrlRules(())  # whether a URL looks like a placeholder does not matter for sending
_WEB_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024


class WebhookAddressRefused(BadInput):
    """This address is not one that messages may be sent to."""

    code = "webhook_address_refused"


def allowed_address(url: str) -> WebAddress:
    """Take apart a URL that messages may be sent to. Raises WebhookAddressRefused, which says why.

    Ports below 1024 but 80 and 443 are those of other services (mail, files), so they are refused.
    """
    try:
        address = web_address(url)
    except UrlTrouble as trouble:
        raise _refused(url, str(trouble)) from trouble
    if len(url) > MAX_URL:
        raise _refused(url, f"it has {len(url)} characters, more than {MAX_URL}")
    if is_private_host(address):
        return address
    reason = violation(url, _NO_PATTERNS)
    if reason:
        raise _refused(url, reason)
    if address.port not in _WEB_PORTS and address.port < _FIRST_FREE_PORT:
        raise _refused(url, f"port {address.port} is neither 80 nor 443 nor above {_FIRST_FREE_PORT - 1}")
    return address


def is_private_host(address: WebAddress) -> bool:
    """Tell whether the installation says that this host, or this host and port, may be private."""
    named = {name.lower() for name in settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS}
    return address.host.lower() in named or f"{address.host.lower()}:{address.port}" in named


def checked_ips(address: WebAddress, found: list[str]) -> list[str]:
    """Return the addresses of the host when all of them may be asked. Raises WebhookAddressRefused."""
    if is_private_host(address):
        return found
    if refused := first_not_public(found):
        ip, reason = refused
        raise _refused(address.url, f"its host's address {ip} is not public ({reason})")
    return found


def _refused(url: str, reason: str) -> WebhookAddressRefused:
    return WebhookAddressRefused(
        f"Nothing is sent to {url[:200]}: {reason}.",
        hint="GOLDEN_WEBHOOK_PRIVATE_HOSTS names hosts of your own network that may be asked.",
        reason=reason,
    )
