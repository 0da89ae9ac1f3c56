"""The queue for a peer that does not keep up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gway.web.ws.outbox import Outbox


@given(
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9),
    st.lists(st.integers(0, 12)),
)
def test_every_byte_goes_out_once_and_in_order(queued: list[bytes], taken: list[int]) -> None:
    outbox = Outbox()
    for frame in queued:
        outbox.add(frame)
    out = b""
    for count in [*taken, 81]:
        sent = outbox.data()[:count]
        outbox.took(len(sent))
        out += sent
        assert outbox.size == len(outbox.data())
    assert out == b"".join(queued)
    assert len(outbox) == 0


def test_a_cut_keeps_what_is_half_sent() -> None:
    outbox = Outbox()
    for frame in (b"first", b"second", b"third"):
        outbox.add(frame)
    outbox.took(2)
    outbox.cut()
    outbox.add(b"farewell")
    assert outbox.data() == b"rstfarewell"
    assert (len(outbox), outbox.size) == (2, 11)
