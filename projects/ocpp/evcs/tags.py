"""What a charge point knows of tags by itself: its local list and its cache (SPEC 3.5).

Pure: no I/O; times are handed in. Tags compare without case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from gway.projects.ocpp.evcs.keys import Configuration


@dataclass(frozen=True, slots=True)
class TagInfo:
    """What was said about a tag."""

    status: str
    expiry: datetime | None = None
    parent: str | None = None

    def at(self, now: datetime) -> str:
        """Give the status, Expired once its time is over."""
        if self.status == "Accepted" and self.expiry is not None and self.expiry <= now:
            return "Expired"
        return self.status


@dataclass(slots=True)
class Tags:
    """The local authorization list and the authorization cache."""

    configuration: Configuration
    version: int = 0
    listed: dict[str, TagInfo] = field(default_factory=dict)
    cached: dict[str, TagInfo] = field(default_factory=dict)

    def learn(self, id_tag: str, info: TagInfo) -> None:
        """Remember what the central system said; the list has precedence (SPEC 3.5.3)."""
        key = id_tag.lower()
        if self.configuration.flag("AuthorizationCacheEnabled") and key not in self.listed:
            self.cached[key] = info

    def known(self, id_tag: str) -> TagInfo | None:
        """Find a tag in the list, else in the cache."""
        key = id_tag.lower()
        if self.configuration.flag("LocalAuthListEnabled") and key in self.listed:
            return self.listed[key]
        if self.configuration.flag("AuthorizationCacheEnabled"):
            return self.cached.get(key)
        return None

    def may_start_unasked(self, id_tag: str, now: datetime) -> bool:
        """Tell whether a session may begin without asking although we are online."""
        info = self.known(id_tag)
        if info is None or not self.configuration.flag("LocalPreAuthorize"):
            return False
        return info.at(now) == "Accepted"

    def judge_offline(self, id_tag: str, now: datetime) -> str:
        """Decide about a tag while the central system cannot be asked."""
        if self.configuration.flag("LocalAuthorizeOffline"):
            info = self.known(id_tag)
            if info is not None:
                return info.at(now)
        allowed = self.configuration.flag("AllowOfflineTxForUnknownId")
        return "Accepted" if allowed else "Invalid"

    def same_group(self, one: str, other: str) -> bool:
        """Tell whether the second tag may end what the first began."""
        if one.lower() == other.lower():
            return True
        first, second = self.known(one), self.known(other)
        if first is None or second is None or first.parent is None or second.parent is None:
            return False
        return first.parent.lower() == second.parent.lower()

    def update(self, version: int, full: bool, entries: list[tuple[str, TagInfo | None]]) -> str:
        """Replace or change the list; an entry without info is deleted. Returns the status."""
        names = [tag.lower() for tag, _ in entries]
        longest = self.configuration.number("SendLocalListMaxLength")
        if not self.configuration.flag("LocalAuthListEnabled"):
            return "NotSupported"
        if version <= 0 or len(set(names)) != len(names) or len(names) > longest:
            return "Failed"
        if full and any(info is None for _, info in entries):
            return "Failed"
        if not full and version <= self.version:
            return "VersionMismatch"
        listed = {} if full else dict(self.listed)
        for name, (_, info) in zip(names, entries, strict=True):
            if info is None:
                listed.pop(name, None)
            else:
                listed[name] = info
        if len(listed) > self.configuration.number("LocalAuthListMaxLength"):
            return "Failed"
        self.listed, self.version = listed, version
        # A tag that is listed now must not live on in the cache.
        for name in listed:
            self.cached.pop(name, None)
        return "Accepted"
