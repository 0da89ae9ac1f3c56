"""Runs the charge points of a plan in the terminal, to the end of their sessions."""

from __future__ import annotations

from gway.errors import GwayError
from gway.projects.ocpp.evcs.connector import SessionRow
from gway.projects.ocpp.evcs.plan import Plan
from gway.projects.ocpp.evcs.runner import Runner
from gway.projects.ocpp.evcs.terminal import Terminal

WAIT_S = 0.5


def run(plan: Plan) -> list[SessionRow]:
    """Run them all and give their sessions; on Ctrl-C they end in good order first.

    Raises GwayError when sessions were wanted and none took place.
    """
    with Terminal() as terminal:
        runners = [
            plan.make(index, leave=True, watch=terminal.watch) for index in range(plan.threads)
        ]
        try:
            for runner in runners:
                runner.start()
            for runner in runners:
                while not runner.wait(WAIT_S):
                    pass  # in small steps, so that Ctrl-C gets its turn
        finally:
            for runner in runners:
                runner.stop()
            for runner in runners:
                runner.close()
    for runner in runners:
        if runner.error is not None:
            raise GwayError(f"{runner.charger_id} failed: {runner.error}", "the log has more")
    rows = [row for runner in runners for row in runner.finished]
    if not rows and plan.repeat:
        raise GwayError(f"no session took place: {_why(runners[0])}", "is the tag known there?")
    return rows


def _why(runner: Runner) -> str:
    driver = runner.driver
    return (driver.why_given_up if driver is not None else "") or "nobody came"
