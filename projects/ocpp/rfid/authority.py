"""Asks the store, the allow list and the policy about a tag, in this order."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gway import Setting
from gway.errors import GwayError
from gway.projects.ocpp.database import DATABASE
from gway.projects.ocpp.facts import Purpose, TagDecision, TagStatus
from gway.projects.ocpp.rfid.allowlist import AllowList, BrokenList
from gway.projects.ocpp.rfid.store import TagStore
from gway.projects.ocpp.rfid.tags import Tag, forbids, judge

if TYPE_CHECKING:
    from gway.resolver import Gateway


ALLOW = Setting("OCPP_ALLOW", None, str, "RFID allow list, a .cdv file")


class Step(msgspec.Struct):
    """What one rule said of a tag; `decides` marks the rule whose answer counts."""

    rule: str
    answer: str
    reason: str
    decides: bool


class Authority:
    """Decides about tags for one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store: TagStore | None = None
        self.allow_list: AllowList | None = None
        setting = gateway.settings.get(ALLOW)
        if setting:
            self.use_list(Path(setting))

    @property
    def store(self) -> TagStore:
        """The tags in the database, which is opened at first use."""
        if self._store is None:
            self._store = TagStore(self._gateway.sql.open(self._gateway.settings.get(DATABASE)))
        return self._store

    def use_list(self, path: Path | None) -> None:
        """Take another allow list, or none; a relative path may start in the workspace.

        A file that is not there is an error now; one that breaks later refuses all tags.
        """
        if path is None:
            self.allow_list = None
            return
        places = [path] if path.is_absolute() else [Path.cwd(), self._gateway.workspace.root]
        found = [place / path for place in places if (place / path).is_file()]
        if not found:
            raise GwayError(f"there is no allow list {path}", "name a .cdv file with --allow")
        if self.allow_list is None or self.allow_list.path != found[0]:
            self.allow_list = AllowList(found[0])

    def decide(self, id_tag: str, purpose: Purpose, at: datetime) -> TagDecision:
        """Decide what a tag may do: the first rule that has an answer."""
        stored = self.store.find(id_tag)
        if stored is not None:
            refused = forbids(stored, at)
            if refused is not None:
                return replace(refused, source="store")
        if self.allow_list is not None:
            decision = self._ask_list(self.allow_list, id_tag, stored, purpose, at)
            if decision is not None:
                return decision
        if stored is not None:
            return replace(judge(stored, purpose, at), source="store")
        return self._policy()

    def _ask_list(
        self,
        allow_list: AllowList,
        id_tag: str,
        stored: Tag | None,
        purpose: Purpose,
        at: datetime,
    ) -> TagDecision | None:
        try:
            listed = allow_list.find(id_tag)
        except BrokenList as error:
            return TagDecision(TagStatus.INVALID, f"broken list: {error}", "allow list")
        if listed is None:
            return None
        if stored is not None:
            # The operator may hold a tag shorter than the list does, never longer.
            limits = [
                t.concurrent_limit for t in (listed, stored) if t.concurrent_limit is not None
            ]
            ends = [t.expiry for t in (listed, stored) if t.expiry is not None]
            listed = replace(
                listed,
                parent_id_tag=listed.parent_id_tag or stored.parent_id_tag,
                concurrent_limit=min(limits, default=None),
                expiry=min(ends, default=None),
            )
        return replace(judge(listed, purpose, at), source="allow list")

    def _policy(self) -> TagDecision:
        if self.allow_list is not None:
            reason = f"neither in {self.allow_list.path.name} nor in the store"
            return TagDecision(TagStatus.INVALID, reason, "policy")
        reason = "unknown, and no allow list is configured"
        return TagDecision(TagStatus.ACCEPTED, reason, "policy")

    def explain(self, id_tag: str, purpose: Purpose, at: datetime) -> list[Step]:
        """List what each rule says of a tag, in the order in which they are asked."""
        stored = self.store.find(id_tag)
        refused = None if stored is None else forbids(stored, at)
        steps = [_step("store: blocked or expired", refused, "not blocked, not expired")]
        if self.allow_list is None:
            steps.append(_step("allow list", None, "none is configured"))
        else:
            listed = self._ask_list(self.allow_list, id_tag, stored, purpose, at)
            steps.append(_step("allow list", listed, f"not in {self.allow_list.path}"))
        known = None if stored is None else judge(stored, purpose, at)
        steps.append(_step("store", known, "not in the store"))
        steps.append(_step("policy for unknown tags", self._policy(), ""))
        next(step for step in steps if step.answer).decides = True
        return steps


def _step(rule: str, decision: TagDecision | None, nothing: str) -> Step:
    if decision is None:
        return Step(rule, "", nothing, False)
    return Step(rule, decision.status.value, decision.reason, False)
