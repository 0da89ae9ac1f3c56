"""What waits for a peer that does not read fast enough."""

from __future__ import annotations

from collections import deque


class Outbox:
    """Frames in the order of sending, the first of them perhaps half sent.

    It exists only while something waits.
    """

    __slots__ = ("_frames", "size")

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.size = 0  # bytes

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: bytes) -> None:
        """Queue a frame, or the rest of one."""
        self._frames.append(frame)
        self.size += len(frame)

    def data(self) -> bytes:
        """Return all that waits.

        All of it, because TLS insists that a repeated attempt begins with the same bytes.
        """
        return b"".join(self._frames)

    def took(self, count: int) -> None:
        """Forget what the socket has taken."""
        self.size -= count
        frames = self._frames
        while frames and count >= len(frames[0]):
            count -= len(frames.popleft())
        if count:
            frames[0] = frames[0][count:]

    def cut(self) -> None:
        """Give up all but the first frame, whose end the peer needs to understand a last one."""
        first = self._frames[0]
        self._frames.clear()
        self._frames.append(first)
        self.size = len(first)
