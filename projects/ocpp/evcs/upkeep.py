"""What a simulated charge point does about firmware, diagnostics, logs and certificates.

Nothing is really fetched or sent; the notifications come as if it were.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gway.projects.ocpp.evcs.calls import Outgoing
from gway.projects.ocpp.messages import payloads_central as central
from gway.projects.ocpp.messages import payloads_charger as charger
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import parse_time

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.chargepoint import ChargePoint

JOB_STEP_S = 2.0
"""Time between two notifications of a firmware, diagnostics or log job."""


# --- firmware, diagnostics, logs ----------------------------------------------------------


def tell_job(
    point: ChargePoint, action: str, status: Any, request_id: int | None, any_time: bool = False
) -> None:
    kinds: dict[str, Callable[[], Payload]] = {
        "DiagnosticsStatusNotification": lambda: charger.DiagnosticsStatusNotification(
            status=status
        ),
        "FirmwareStatusNotification": lambda: charger.FirmwareStatusNotification(status=status),
        "LogStatusNotification": lambda: charger.LogStatusNotification(
            status=status, request_id=request_id
        ),
        "SignedFirmwareStatusNotification": lambda: charger.SignedFirmwareStatusNotification(
            status=status, request_id=request_id
        ),
    }
    point.outbox.put(Outgoing(action, kinds[action], any_time=any_time))


def _run_job(
    point: ChargePoint,
    action: str,
    steps: tuple[str, ...],
    now: datetime,
    *,
    delay_s: float = 0.0,
    request_id: int | None = None,
) -> None:
    """Let the notifications of a job follow each other; a new job replaces a running one."""

    def step(index: int, at: datetime) -> None:
        busy = any(one.session is not None for one in point.connectors.values())
        if steps[index] == "Installing" and busy:
            # SPEC 5.19: sessions first; look again later.
            plan(index, at, JOB_STEP_S)
            return
        status = steps[index]
        done = index + 1 == len(steps)
        point.jobs[action] = "Idle" if done else status
        if point.reachable:
            tell_job(point, action, status, request_id)
        if status == "Installed":
            point.updates += 1
            point.registration.firmware = f"{point.identity.firmware}+{point.updates}"
        if not done:
            plan(index + 1, at, JOB_STEP_S)

    def plan(index: int, at: datetime, seconds: float) -> None:
        point.timers.set(f"job:{action}", at, seconds, lambda due: step(index, due))

    plan(0, now, delay_s + JOB_STEP_S / 10)


def _until(point: ChargePoint, text: str, now: datetime) -> float:
    time = parse_time(text)
    return 0.0 if time is None else max(0.0, (time - point.clock(now)).total_seconds())


def get_diagnostics(point: ChargePoint, request: central.GetDiagnostics, now: datetime) -> Payload:
    """Pretend to upload diagnostics (SPEC 5.9)."""
    if not urlsplit(request.location).scheme:
        return central.GetDiagnosticsConf()
    _run_job(point, "DiagnosticsStatusNotification", ("Uploading", "Uploaded"), now)
    return central.GetDiagnosticsConf(file_name=_file_name(point, "diagnostics", now))


def _file_name(point: ChargePoint, kind: str, now: datetime) -> str:
    return f"{point.identity.charger_id[:48]}-{kind}-{point.clock(now):%Y%m%dT%H%M%SZ}.log"


def update_firmware(point: ChargePoint, request: central.UpdateFirmware, now: datetime) -> Payload:
    """Pretend to fetch and install firmware (SPEC 5.19)."""
    steps = ("Downloading", "Downloaded", "Installing", "Installed")
    delay_s = _until(point, request.retrieve_date, now)
    _run_job(point, "FirmwareStatusNotification", steps, now, delay_s=delay_s)
    return central.UpdateFirmwareConf()


def get_log(point: ChargePoint, request: central.GetLog, now: datetime) -> Payload:
    """Pretend to upload a log (SEC N01)."""
    running = point.timers.has("job:LogStatusNotification")
    steps = ("Uploading", "Uploaded")
    _run_job(point, "LogStatusNotification", steps, now, request_id=request.request_id)
    kind = "security" if request.log_type == "SecurityLog" else "diagnostics"
    return central.GetLogConf(
        status="AcceptedCanceled" if running else "Accepted",
        filename=_file_name(point, kind, now),
    )


def signed_update_firmware(
    point: ChargePoint, request: central.SignedUpdateFirmware, now: datetime
) -> Payload:
    """Pretend to fetch, verify and install firmware (SEC L01)."""
    if "BEGIN CERTIFICATE" not in request.firmware.signing_certificate:
        return central.SignedUpdateFirmwareConf(status="InvalidCertificate")
    running = point.timers.has("job:SignedFirmwareStatusNotification")
    steps = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
    _run_job(
        point,
        "SignedFirmwareStatusNotification",
        steps,
        now,
        delay_s=_until(point, request.firmware.retrieve_date_time, now),
        request_id=request.request_id,
    )
    return central.SignedUpdateFirmwareConf(status="AcceptedCanceled" if running else "Accepted")


# --- certificates: there is no store to put them in -----------------------------------------


def certificate_signed(
    point: ChargePoint, request: central.CertificateSigned, now: datetime
) -> Payload:
    """Reject a certificate that was never asked for (SEC A02)."""
    return central.CertificateSignedConf(status="Rejected")


def install_certificate(
    point: ChargePoint, request: central.InstallCertificate, now: datetime
) -> Payload:
    """Reject, for want of a certificate store (SEC M05)."""
    return central.InstallCertificateConf(status="Rejected")


def delete_certificate(
    point: ChargePoint, request: central.DeleteCertificate, now: datetime
) -> Payload:
    """Find nothing to delete (SEC M04)."""
    return central.DeleteCertificateConf(status="NotFound")


def get_installed_certificate_ids(
    point: ChargePoint, request: central.GetInstalledCertificateIds, now: datetime
) -> Payload:
    """Find nothing to list (SEC M03)."""
    return central.GetInstalledCertificateIdsConf(status="NotFound")
