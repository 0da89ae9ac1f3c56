"""The simulated charge points that run inside this process, for recipes and pages."""

from __future__ import annotations

import threading
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.evcs.plan import MAX_THREADS, Plan
from gway.projects.ocpp.evcs.runner import GRACE_S, Runner
from gway.projects.ocpp.evcs.view import View

if TYPE_CHECKING:
    from gway.resolver import Gateway

TOPIC = "evcs"
NOTES_KEPT = 30


class Simulators:
    """The simulators of one gateway; a service.

    `ws_port` is the port on which this process takes charge points, 0 when it does not.
    """

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._running: dict[str, Runner] = {}
        self._notes: dict[str, list[str]] = {}
        self._lock = threading.RLock()
        self._told: dict[str, tuple[object, ...]] = {}
        self.ws_port = 0

    # --- acting ------------------------------------------------------------------

    def start(self, plan: Plan) -> list[Runner]:
        """Start the charge points of a plan; returns at once.

        Port 0 stands for the one on which this very process takes charge points.
        """
        if plan.ws_port == 0 and plan.ws_url is None:
            if not self.ws_port:
                raise UsageError("--ws-port 0 needs a server in this process, started before")
            plan = replace(plan, ws_port=self.ws_port)
        with self._lock:
            self._forget_ended()
            runners = [plan.make(index, watch=self._watch) for index in range(plan.threads)]
            taken = [one.charger_id for one in runners if one.charger_id in self._running]
            if taken:
                raise UsageError(
                    f"{taken[0]} is simulated already", "stop it first, or choose another path"
                )
            if len(self._running) + len(runners) > MAX_THREADS:
                raise UsageError(f"no more than {MAX_THREADS} simulators run at a time")
            for runner in runners:
                self._running[runner.charger_id] = runner
                self._notes[runner.charger_id] = []
                self._gw.jobs.track(runner)
                runner.start()
        return runners

    def stop(self, charger_id: str | None = None) -> list[str]:
        """Stop one simulator, or all: sessions end, then they hang up. Waits for it."""
        runners = [self.get(charger_id)] if charger_id else self.all()
        for runner in runners:
            runner.stop()
        deadline = monotonic() + GRACE_S + 1
        for runner in runners:
            runner.wait(max(0.0, deadline - monotonic()))
        with self._lock:
            for runner in runners:
                self._running.pop(runner.charger_id, None)
                self._told.pop(runner.charger_id, None)
        if runners:
            self._publish({"stopped": len(runners)})
        return [runner.charger_id for runner in runners]

    def close(self) -> None:
        """Stop all of them."""
        self.stop()

    # --- looking -----------------------------------------------------------------

    def all(self) -> list[Runner]:
        """List the simulators by name."""
        with self._lock:
            return [self._running[name] for name in sorted(self._running)]

    def get(self, charger_id: str) -> Runner:
        """Find one."""
        runner = self._running.get(charger_id)
        if runner is None:
            raise GwayError(f"no simulator {charger_id!r} runs here")
        return runner

    def views(self) -> list[View]:
        """Picture all of them."""
        return [runner.view for runner in self.all()]

    def notes(self, charger_id: str) -> list[str]:
        """Give what happened at one lately, the latest first."""
        return self._notes.get(charger_id, [])[::-1]

    def _forget_ended(self) -> None:
        for name, runner in list(self._running.items()):
            if not runner.is_alive():
                del self._running[name]

    # --- telling -----------------------------------------------------------------

    def _watch(self, runner: Runner, notes: list[str]) -> None:
        """Tell the pages what is new: a word at once, figures as they rise."""
        view = runner.view
        if notes:
            kept = self._notes.setdefault(runner.charger_id, [])
            stamp = f"{view.at:%H:%M:%S} " if view.at is not None else ""
            kept.extend(stamp + note for note in notes)
            del kept[:-NOTES_KEPT]
        sight = (view.link, view.trouble, view.connectors, view.sessions)
        if notes or sight != self._told.get(view.charger_id):
            self._told[view.charger_id] = sight
            self._publish({"charger_id": view.charger_id, "status": view.status})

    def _publish(self, data: dict[str, object]) -> None:
        if not self._gw.serving:
            return
        from gway.web.sse import Events

        # Without that service nobody can listen; while the gateway closes it makes none.
        if self._gw.has_service(Events):
            self._gw.service(Events).publish(TOPIC, data)
