"""A local stand-in for a remote central system: chargers never notice that it is away.

Each charger is answered from the database here. What it did is queued in the same commit
and told to the remote by a virtual charge point of its own, in order, exactly once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gway import gw, hookimpl
from gway.projects.ocpp.facts import Admission, Knock, Link, Verdict
from gway.projects.ocpp.proxy.hooks import (
    ocpp_authorize,
    ocpp_forget_charger,
    ocpp_frame,
    ocpp_meter_values_received,
    ocpp_orphan_kept,
    ocpp_security_event_reported,
    ocpp_transaction_started,
    ocpp_transaction_stopped,
)
from gway.projects.ocpp.proxy.options import SETTINGS
from gway.projects.ocpp.proxy.pages import (
    render_reconcile,
    render_remote,
    view_index,
    view_post_drop,
    view_post_pause,
    view_post_resume,
    view_post_retry,
    view_post_sync_now,
    view_reconcile,
    view_remote,
)
from gway.projects.ocpp.proxy.pages_letters import (
    view_dead_letters,
    view_findings,
)
from gway.projects.ocpp.proxy.service import Proxy
from gway.projects.ocpp.proxy.tagpages import (
    view_post_allow_tag,
    view_refused_tags,
)
from gway.projects.ocpp.proxy.verbs import (
    allow_tag,
    api_allow_tag,
    api_dead,
    api_drop,
    api_findings,
    api_pause,
    api_reconcile,
    api_refused_tags,
    api_resume,
    api_retry,
    api_status,
    api_sync_now,
    dead,
    drop,
    findings,
    forward,
    pause,
    reconcile,
    refused_tags,
    resume,
    retry,
    setup_app,
    status,
    sync_now,
)
from gway.resolver import current

__all__ = [
    "SETTINGS",
    "allow_tag",
    "api_allow_tag",
    "api_dead",
    "api_drop",
    "api_findings",
    "api_pause",
    "api_reconcile",
    "api_refused_tags",
    "api_resume",
    "api_retry",
    "api_status",
    "api_sync_now",
    "dead",
    "drop",
    "findings",
    "forward",
    "ocpp_authorize",
    "ocpp_forget_charger",
    "ocpp_frame",
    "ocpp_meter_values_received",
    "ocpp_orphan_kept",
    "ocpp_security_event_reported",
    "ocpp_transaction_started",
    "ocpp_transaction_stopped",
    "pause",
    "reconcile",
    "refused_tags",
    "render_reconcile",
    "render_remote",
    "resume",
    "retry",
    "setup_app",
    "status",
    "sync_now",
    "view_dead_letters",
    "view_findings",
    "view_index",
    "view_post_allow_tag",
    "view_post_drop",
    "view_post_pause",
    "view_post_resume",
    "view_post_retry",
    "view_post_sync_now",
    "view_reconcile",
    "view_refused_tags",
    "view_remote",
]

NAV = {"remote": "Remote"}  # what the site's navigation shows


def _proxy() -> Proxy:
    return current().service(Proxy)


@hookimpl
def ocpp_admit(knock: Knock) -> Admission | None:
    """Let no charger in that could not reach the remote, in mode transparent."""
    forwarder = _proxy().forwarder
    if forwarder is None or forwarder.admits(knock.charger_id):
        return None
    reason = "the remote central system is away"
    return Admission(verdict=Verdict.REJECT, status=503, reason=reason)


@hookimpl
def ocpp_charger_connected(link: Link) -> None:
    _proxy().charger_came(link.charger_id)


@hookimpl
def ocpp_charger_disconnected(link: Link) -> None:
    _proxy().charger_left(link.charger_id)


@hookimpl
def ocpp_registration_changed(charger_id: str) -> None:
    _proxy().charger_came(charger_id)


@hookimpl
def gway_server_started() -> None:
    _proxy().began()


@hookimpl(trylast=True)
def gway_server_stopping(at: datetime) -> None:
    """Close the connections last: what chargers do while they are let go is still told."""
    if gw.has_service(Proxy):
        _proxy().close()


@hookimpl
def gway_register_metrics(registry: Any) -> None:
    from gway.projects.ocpp.proxy.metrics import ProxyMetrics

    registry.register(ProxyMetrics(_proxy()))
