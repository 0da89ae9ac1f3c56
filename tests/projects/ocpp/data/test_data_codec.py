"""Facts become rows and rows become facts, without loss."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gway.projects.ocpp.data import codec, schema
from gway.projects.ocpp.facts import TagStatus, Transaction
from gway.projects.sql.migrations import migrate

times = st.datetimes(timezones=st.just(UTC))
words = st.text("abc-", min_size=1, max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
transactions = st.builds(
    Transaction,
    transaction_id=st.integers(1, 2**31 - 1),
    charger_id=texts,
    connector_id=numbers,
    id_tag=texts,
    meter_start_wh=numbers,
    start_time=st.none() | times,
    start_time_raw=texts,
    started_at=times,
    reservation_id=st.none() | numbers,
    tag_status=st.sampled_from(TagStatus),
    tag_reason=texts,
    parent_id_tag=st.none() | texts,
    state=st.sampled_from(["stopped", "inferred"]),
    last_energy_wh=st.none() | numbers,
    power_w=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    soc_percent=st.none() | st.floats(0, 100),
    last_sample_at=st.none() | times,
    last_sample_time=st.none() | times,
    stop_id_tag=st.none() | texts,
    meter_stop_wh=st.none() | numbers,
    stop_time=st.none() | times,
    stop_time_raw=texts,
    stopped_at=st.none() | times,
    stop_reason=texts,
    energy_wh=st.none() | numbers,
    energy_source=texts,
    flags=st.lists(words, max_size=4).map(tuple),
)


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, "memory", schema.COMPONENT, schema.STEPS)
    connection.row_factory = sqlite3.Row
    return connection


@given(transactions)
def test_a_transaction_survives_its_row(transaction: Transaction) -> None:
    connection = connect()
    connection.execute(codec.INSERT_TRANSACTION, codec.transaction_params(transaction))
    row = dict(connection.execute("SELECT * FROM transactions").fetchone())
    connection.close()
    assert codec.transaction_of(row) == transaction


@given(transactions, transactions)
def test_bringing_up_to_date_changes_all_but_the_beginning(
    one: Transaction, other: Transaction
) -> None:
    connection = connect()
    connection.execute(codec.INSERT_TRANSACTION, codec.transaction_params(one))
    given_at_start = {name: getattr(one, name) for name in codec.GIVEN_AT_START}
    fields = {name: getattr(other, name) for name in codec.TRANSACTION_FIELDS}
    newer = Transaction(**{**fields, **given_at_start})
    for sql, params in codec.store_transaction(newer):
        connection.execute(sql, params)
    rows = connection.execute("SELECT * FROM transactions").fetchall()
    connection.close()
    assert [codec.transaction_of(dict(row)) for row in rows] == [newer]


def test_every_field_of_a_transaction_has_a_column() -> None:
    connection = connect()
    columns = {row["name"] for row in connection.execute("PRAGMA table_info(transactions)")}
    connection.close()
    assert columns - set(codec.TRANSACTION_FIELDS) == {"sequence", "tag_key"}


@given(times)
def test_times_are_kept_to_the_microsecond(time: datetime) -> None:
    assert codec.when(codec.micros(time)) == time


def test_times_are_written_with_at_most_milliseconds() -> None:
    assert codec.iso(1_700_000_000_000_000) == "2023-11-14T22:13:20Z"
    assert codec.iso(1_700_000_000_123_999) == "2023-11-14T22:13:20.123Z"
    assert codec.iso(None) is None
