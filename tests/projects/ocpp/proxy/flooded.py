"""A process with one wire to a remote that floods; tells how its hub and its memory fared.

    python -m tests.projects.ocpp.proxy.flooded ws://127.0.0.1:PORT/ocpp/CP1 [BYTES]

It answers each message, as the proxy does with a call that it cannot understand; with as
many bytes as it is told. On its
standard output is JSON: `gap_s`, the longest time in which no other greenlet ran;
`grown_mib`; `heard`, the messages; `words`, how it ended.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 (all that comes after the patches)
import resource  # noqa: E402
import sys  # noqa: E402
from time import monotonic  # noqa: E402

import gevent  # noqa: E402
from gevent.event import AsyncResult  # noqa: E402

from gway.projects.ocpp.evcs.link import Target  # noqa: E402
from gway.projects.ocpp.proxy.wire import Wire  # noqa: E402

END_S = 30.0


class Watch:
    """Looks at the clock every few milliseconds, as somebody who has to answer would."""

    def __init__(self) -> None:
        self.gap_s = 0.0
        self._at = monotonic()
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(0.005)
            self.look()

    def look(self) -> None:
        now = monotonic()
        self.gap_s = max(self.gap_s, now - self._at)
        self._at = now

    def stop(self) -> None:
        self.look()
        self._greenlet.kill()


def main(url: str, size: int = 0) -> None:
    """Connect, and wait until it ends."""
    end: AsyncResult = AsyncResult()
    heard = 0
    answer = b'[4,"1","NotImplemented","",{}]'.ljust(size)

    def take(_text: bytes) -> None:
        nonlocal heard
        heard += 1
        wire.send(answer)

    wire = Wire(
        Target(url),
        opened=lambda: None,
        refused=lambda status, words: end.set(words),
        heard=take,
        ended=end.set,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watch = Watch()
    wire.start()
    words = end.get(timeout=END_S)
    watch.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told = {"gap_s": watch.gap_s, "grown_mib": grown >> 10, "heard": heard, "words": words}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
