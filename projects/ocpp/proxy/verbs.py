"""The verbs of the proxy: set it up, see how it stands, act on what waits."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gway import access, gw, live
from gway.errors import GwayError
from gway.marks import shown_as
from gway.projects.ocpp.proxy import options, ports
from gway.projects.ocpp.proxy.desk import SHOWN
from gway.projects.ocpp.proxy.options import Boot, Reject
from gway.projects.ocpp.proxy.remote import URL

if TYPE_CHECKING:
    from gway.projects.ocpp.proxy.service import Proxy

Row = dict[str, Any]

DAYS = 30


def proxy() -> Proxy:
    """Give the proxy of this process."""
    from gway.projects.ocpp.proxy.service import Proxy

    return gw.service(Proxy)


# --- set up -------------------------------------------------------------------


def setup_app(
    *,
    remote: str | None = None,
    keys: Path | None = None,
    ca: Path | None = None,
    mode: ports.Mode | None = None,
    boot: Boot = "when-changed",
    read_only: bool = False,
    on_remote_reject: Reject = "stop",
    on_remote_concurrent: Reject = "continue",
    also: list[str] | None = None,
    keep_queue: bool = False,
    web: str | None = None,
    else_remote: str | None = None,
) -> None:
    """Prepare the proxy; without an address of a remote it does nothing.

    :param remote: address of the remote central system up to the charger's id;
        GWAY_OCPP_REMOTE if not given
    :param keys: passwords of the chargers at the remote, a .cdv file with ID:key=WORD
    :param ca: certificates to trust for the remote, PEM; the system's if not given
    :param mode: standin serves chargers while the remote is away, transparent does not
    :param boot: when-changed, or always: at every connection
    :param read_only: let the remote see the chargers and not command them
    :param on_remote_reject: stop, or continue, what charges with a tag that the remote refuses
    :param on_remote_concurrent: the same when it only says that the tag charges elsewhere
    :param also: further messages to queue: DataTransfer, FirmwareStatusNotification,
        DiagnosticsStatusNotification
    :param keep_queue: send what waits for another remote to this one
    :param web: web address of the remote, if it is a GWAY, for `reconcile`
    :param else_remote: the remote if neither --remote nor GWAY_OCPP_REMOTE names one
    """
    given = {name: value for name, value in locals().items() if name != "else_remote"}
    given["remote"] = remote or gw.settings.get(URL) or else_remote
    if given["remote"]:
        _forward(**given)


def forward(
    *,
    remote: str | None = None,
    keys: Path | None = None,
    ca: Path | None = None,
    mode: ports.Mode | None = None,
    boot: Boot = "when-changed",
    read_only: bool = False,
    on_remote_reject: Reject = "stop",
    on_remote_concurrent: Reject = "continue",
    also: list[str] | None = None,
    keep_queue: bool = False,
    web: str | None = None,
) -> str:
    """Forward what chargers do to a remote central system; in a recipe, before the server.

    :param remote: its address up to the charger's id; GWAY_OCPP_REMOTE if not given
    :param keys: passwords of the chargers at the remote, a .cdv file with ID:key=WORD
    :param ca: certificates to trust for the remote, PEM; the system's if not given
    :param mode: standin serves chargers while the remote is away, transparent does not
    :param boot: when-changed, or always: at every connection
    :param read_only: let the remote see the chargers and not command them
    :param on_remote_reject: stop, or continue, what charges with a tag that the remote refuses
    :param on_remote_concurrent: the same when it only says that the tag charges elsewhere
    :param also: further messages to queue: DataTransfer, FirmwareStatusNotification,
        DiagnosticsStatusNotification
    :param keep_queue: send what waits for another remote to this one
    :param web: web address of the remote, if it is a GWAY, for `reconcile`
    """
    _forward(**locals())
    return f"forwarding to {proxy().running.remote.url}"


def _forward(
    remote: str | None,
    keys: Path | None,
    ca: Path | None,
    mode: ports.Mode | None,
    boot: Boot,
    read_only: bool,
    on_remote_reject: Reject,
    on_remote_concurrent: Reject,
    also: list[str] | None,
    keep_queue: bool,
    web: str | None,
) -> None:
    settings = gw.settings
    proxy().forward(
        options.the_remote(settings, remote, keys, ca),
        options.the_options(
            settings, mode, boot, read_only, on_remote_reject, on_remote_concurrent
        ),
        keep_queue=keep_queue,
        also=options.further(also or []),
        web=web or settings.get(options.WEB) or "",
    )


# --- see ----------------------------------------------------------------------


def _for_people(told: Row) -> Row:
    """Show of each charger what fits beside the others."""
    names = ("charger_id", "connected", "link", "pending", "oldest_age_s", "dead", "last_error")
    rows = [
        {
            **{name: row[name] for name in names},
            "sessions": " ".join(
                f"{one['local_tx']}>{one['remote_tx']}" for one in row["sessions"]
            ),
        }
        for row in told["chargers"]
    ]
    return {**told, "chargers": rows}


@shown_as(_for_people)
@live
def status() -> Row:
    """Tell how the proxy stands: link, what waits and since when, ids on both sides."""
    return proxy().status()


def api_status() -> Row:
    """Tell how the proxy stands: link, what waits and since when, ids on both sides."""
    return status()


def _with_a_word(rows: list[Row]) -> list[Row] | Row:
    """Say that there are more than are listed."""
    if len(rows) < SHOWN:
        return rows
    return {"shown": f"the first {len(rows)} of perhaps more: `status` counts them", "rows": rows}


@shown_as(_with_a_word)
@live
def dead() -> list[Row]:
    """List the messages that the remote will not take, with its reasons; at most 1,000."""
    return proxy().desk.dead()


def api_dead() -> list[Row]:
    """List the messages that the remote will not take, with its reasons; at most 1,000."""
    return dead()


@shown_as(_with_a_word)
@live
def findings() -> list[Row]:
    """List what somebody should look at, the latest 1,000: such as ids given twice."""
    return proxy().desk.findings()


def api_findings() -> list[Row]:
    """List what somebody should look at, the latest 1,000: such as ids given twice."""
    return findings()


@live
def reconcile(charger_id: str | None = None, *, since: date | datetime | None = None) -> Row:
    """Compare what is stored here with what the remote has, in Wh for each transaction.

    With a web address (--web, GWAY_OCPP_REMOTE_WEB) and a token (GWAY_OCPP_REMOTE_TOKEN) of a
    remote that is a GWAY, `source` is "remote": its own figures. Else it is "answers": what
    it answered to each message, and no figures of its own. `truncated` says that there are
    too many for one comparison: then it begins later, at `since`.

    :param charger_id: only this charger's
    :param since: only those begun at this time or later; the last 30 days if not given
    """
    from gway.projects.ocpp.proxy.reconcile import RemoteData, both_sides

    known = proxy()
    asked = known.desk, charger_id or None, _moment(since)
    why = "no web address of the remote is known"
    if known.web:
        ca = known.running.remote.ca
        try:
            data = RemoteData(known.web, gw.settings.get(options.TOKEN), ca)
            return {"source": "remote", **both_sides(*asked, data)}
        except GwayError as error:
            why = error.message
    return {"source": "answers", "why": why, **both_sides(*asked, None)}


def api_reconcile(charger_id: str | None = None, *, since: date | datetime | None = None) -> Row:
    """Compare what is stored here with what the remote has, in Wh for each transaction.

    :param charger_id: only this charger's
    :param since: only those begun at this time or later; the last 30 days if not given
    """
    return reconcile(charger_id, since=since)


def _moment(since: date | datetime | None) -> datetime:
    if since is None:
        found: datetime = gw.now() - timedelta(days=DAYS)
        return found
    from gway.projects.ocpp.data.reports import moment

    begin = moment(since)
    assert begin is not None
    return begin


# --- act ----------------------------------------------------------------------


@live
def retry(sequence: int) -> list[Row]:
    """Send a dead letter again, with all dead ones of its transaction.

    :param sequence: its number, see `dead`
    """
    known = proxy()
    changed = known.desk.retry(sequence)
    for charger_id in {row["charger_id"] for row in changed}:
        known.running.look(charger_id)
    return changed


@access(role="operator", method="POST")
def api_retry(sequence: int) -> list[Row]:
    """Send a dead letter again, with all dead ones of its transaction."""
    return retry(sequence)


@live
def drop(sequence: int) -> list[Row]:
    """Forget a dead letter; with a start, all dead ones of its transaction.

    :param sequence: its number, see `dead`
    """
    return proxy().desk.drop(sequence)


@access(role="operator", method="POST")
def api_drop(sequence: int) -> list[Row]:
    """Forget a dead letter; with a start, all dead ones of its transaction."""
    return drop(sequence)


@shown_as(_with_a_word)
@live
def refused_tags() -> list[Row]:
    """List the tags that the remote refused: they are refused here, too; the latest 1,000."""
    return proxy().desk.refused_tags()


def api_refused_tags() -> list[Row]:
    """List the tags that the remote refused: they are refused here, too; the latest 1,000."""
    return refused_tags()


@live
def allow_tag(id_tag: str) -> Row:
    """Refuse a tag here no longer because the remote did; it may do so again.

    Whether it may charge is asked as of any tag: of the lists here, then of the remote.

    :param id_tag: the tag, see `refused-tags`
    """
    return proxy().desk.allow_tag(id_tag)


@access(role="operator", method="POST")
def api_allow_tag(id_tag: str) -> Row:
    """Refuse a tag here no longer because the remote did; it may do so again.

    :param id_tag: the tag, see `refused-tags`
    """
    return allow_tag(id_tag)


@live
def sync_now() -> Row:
    """Try at once to reach the remote, where the next try would be later."""
    return {"hurried": proxy().running.hurry()}


@access(role="operator", method="POST")
def api_sync_now() -> Row:
    """Try at once to reach the remote, where the next try would be later."""
    return sync_now()


@live
def pause() -> str:
    """Send nothing to the remote until `resume`; what chargers do is queued."""
    proxy().running.pause()
    return "paused: what chargers do is queued"


@access(role="operator", method="POST")
def api_pause() -> Row:
    """Send nothing to the remote until `resume`; what chargers do is queued."""
    return {"link": pause()}


@live
def resume() -> str:
    """Send to the remote again."""
    proxy().running.resume()
    return "forwarding"


@access(role="operator", method="POST")
def api_resume() -> Row:
    """Send to the remote again."""
    return {"link": resume()}
