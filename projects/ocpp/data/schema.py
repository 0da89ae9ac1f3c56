"""The tables of `ocpp.sqlite`, as steps that bring a database forward.

Times are integers: microseconds since 1970, UTC; `at` and names ending in `_at` are
the server's clock, names ending in `_time` the charger's. Energy is integer Wh.
`sequence` numbers transactions and readings without gaps in the order of their
commits, so that a missing one shows.

A released step is never changed: what comes later is added to the end.
"""

from __future__ import annotations

from gway.projects.ocpp.data import hours
from gway.projects.ocpp.transactions.rules import Why
from gway.projects.sql.migrations import Step

COMPONENT = "ocpp"

FIRST = """
CREATE TABLE transactions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id INTEGER NOT NULL UNIQUE,
    charger_id TEXT NOT NULL,
    connector_id INTEGER NOT NULL,
    id_tag TEXT NOT NULL,
    tag_key TEXT NOT NULL,
    meter_start_wh INTEGER NOT NULL,
    start_time INTEGER,
    start_time_raw TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    reservation_id INTEGER,
    tag_status TEXT NOT NULL,
    tag_reason TEXT NOT NULL,
    parent_id_tag TEXT,
    state TEXT NOT NULL,
    last_energy_wh INTEGER,
    power_w REAL,
    soc_percent REAL,
    last_sample_at INTEGER,
    last_sample_time INTEGER,
    stop_id_tag TEXT,
    meter_stop_wh INTEGER,
    stop_time INTEGER,
    stop_time_raw TEXT NOT NULL,
    stopped_at INTEGER,
    stop_reason TEXT NOT NULL,
    energy_wh INTEGER,
    energy_source TEXT NOT NULL,
    flags TEXT NOT NULL
);
CREATE UNIQUE INDEX transaction_starts ON transactions
    (charger_id, connector_id, start_time_raw, meter_start_wh, tag_key);
CREATE INDEX transactions_of_charger ON transactions (charger_id, started_at);
CREATE INDEX transactions_in_time ON transactions (started_at);
CREATE INDEX transactions_of_tag ON transactions (tag_key, started_at);
CREATE INDEX transaction_sums ON transactions (charger_id, state, energy_wh, stopped_at);
CREATE INDEX open_transactions ON transactions (charger_id, tag_key) WHERE state = 'open';

CREATE TABLE readings (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    charger_id TEXT NOT NULL,
    connector_id INTEGER NOT NULL,
    transaction_id INTEGER,
    inferred INTEGER NOT NULL,
    origin TEXT NOT NULL,
    at INTEGER NOT NULL,
    samples_time INTEGER,
    energy_wh INTEGER,
    power_w REAL,
    soc_percent REAL,
    last_energy_wh INTEGER,
    last_power_w REAL,
    last_soc_percent REAL,
    last_sample_time INTEGER,
    flags TEXT NOT NULL,
    raw TEXT NOT NULL
);
-- As narrow as can be: each of a thousand transactions adds to a place of its own in
-- it, so every page of this index is written by every commit. A wider or a second one
-- makes storing several times slower once sessions have some hundred readings.
CREATE INDEX readings_of_transaction ON readings (transaction_id)
    WHERE transaction_id IS NOT NULL;
CREATE INDEX readings_of_no_transaction ON readings (charger_id, at)
    WHERE transaction_id IS NULL;

CREATE TABLE orphans (
    orphan_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX orphans_of_charger ON orphans (charger_id, at);

CREATE TABLE closings (
    closing_id INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    why TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX closings_of_transaction ON closings (transaction_id);

CREATE TABLE chargers (
    charger_id TEXT PRIMARY KEY,
    registration TEXT NOT NULL DEFAULT '',
    boot TEXT,
    booted_at INTEGER,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    drift_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE connectors (
    charger_id TEXT NOT NULL,
    connector_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT NOT NULL,
    info TEXT,
    vendor_id TEXT,
    vendor_error_code TEXT,
    time INTEGER,
    at INTEGER,
    PRIMARY KEY (charger_id, connector_id)
) WITHOUT ROWID;

CREATE TABLE connections (
    connection_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    link_id INTEGER NOT NULL,
    remote_addr TEXT NOT NULL,
    subprotocol TEXT NOT NULL,
    connected_at INTEGER NOT NULL,
    disconnected_at INTEGER,
    code INTEGER,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX connections_of_charger ON connections (charger_id, connected_at);
CREATE INDEX open_connections ON connections (charger_id, link_id) WHERE code IS NULL;

CREATE TABLE boots (
    boot_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    registration TEXT NOT NULL,
    boot TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX boots_of_charger ON boots (charger_id, at);

CREATE TABLE errors (
    error_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    connector_id INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    status TEXT NOT NULL,
    info TEXT,
    vendor_id TEXT,
    vendor_error_code TEXT,
    time INTEGER,
    at INTEGER NOT NULL
);
CREATE INDEX errors_of_charger ON errors (charger_id, at);
CREATE INDEX errors_in_time ON errors (at);

CREATE TABLE tag_checks (
    tag_check_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    id_tag TEXT NOT NULL,
    tag_key TEXT NOT NULL,
    purpose TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX tag_checks_of_tag ON tag_checks (tag_key, at);
CREATE INDEX tag_checks_of_charger ON tag_checks (charger_id, at);

CREATE TABLE commands (
    command_id TEXT PRIMARY KEY,
    charger_id TEXT NOT NULL,
    action TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    sent_at INTEGER,
    answered_at INTEGER,
    answer TEXT,
    status TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error TEXT NOT NULL,
    effect TEXT NOT NULL,
    late INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX commands_of_charger ON commands (charger_id, queued_at);

CREATE TABLE notices (
    notice_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX notices_of_charger ON notices (charger_id, at);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) WITHOUT ROWID;

CREATE VIEW sessions AS SELECT
    sequence, transaction_id, charger_id, connector_id, id_tag, state,
    strftime('%Y-%m-%dT%H:%M:%SZ', started_at / 1000000, 'unixepoch') AS started,
    strftime('%Y-%m-%dT%H:%M:%SZ', start_time / 1000000, 'unixepoch') AS charger_start,
    strftime('%Y-%m-%dT%H:%M:%SZ', stopped_at / 1000000, 'unixepoch') AS stopped,
    strftime('%Y-%m-%dT%H:%M:%SZ', stop_time / 1000000, 'unixepoch') AS charger_stop,
    meter_start_wh, meter_stop_wh, energy_wh, energy_source, stop_reason, flags
    FROM transactions;
"""

HISTORY = """
-- What a closed session charged in each hour since 1970 (see hours.py).
CREATE TABLE energy_hours (
    charger_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    transaction_id INTEGER NOT NULL,
    energy_wh REAL NOT NULL,
    PRIMARY KEY (charger_id, hour, transaction_id)
) WITHOUT ROWID;
CREATE INDEX energy_hours_of_transaction ON energy_hours (transaction_id);
CREATE TABLE long_sessions (
    transaction_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL
);
CREATE INDEX long_sessions_of_charger ON long_sessions (charger_id);

CREATE TABLE status_changes (
    status_change_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    connector_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT NOT NULL,
    info TEXT,
    time INTEGER,
    at INTEGER NOT NULL
);
CREATE INDEX status_changes_of_connector ON status_changes (charger_id, connector_id, at);

CREATE TABLE revisions (
    revision_id INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    state TEXT NOT NULL,
    energy_wh INTEGER,
    energy_source TEXT NOT NULL,
    flags TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX revisions_of_transaction ON revisions (transaction_id);

-- Readings that were taken away on purpose: with them the numbering has no gap.
CREATE TABLE thinned (
    transaction_id INTEGER PRIMARY KEY,
    keep_every_s INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE pruned (
    name TEXT PRIMARY KEY,
    removed INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX transaction_ends ON transactions (charger_id, stopped_at);
"""

SECURITY = """
CREATE TABLE security_events (
    security_event_id INTEGER PRIMARY KEY,
    charger_id TEXT NOT NULL,
    type TEXT NOT NULL,
    tech_info TEXT NOT NULL,
    time INTEGER,
    time_raw TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (charger_id, time_raw, type, tech_info)
);
CREATE INDEX security_events_in_time ON security_events (at);
"""

# What each charger told of its configuration last, as JSON, its secrets hidden.
CONFIGURATIONS = """
CREATE TABLE configurations (
    charger_id TEXT PRIMARY KEY,
    keys TEXT NOT NULL,
    read_at INTEGER
);
"""

# A flag is one word: what had spaces in it was read back as several.
FLAGS = "".join(
    f"UPDATE {table} SET flags = replace(flags, 'closed: {why}', '{why.flag}')"
    f" WHERE flags LIKE '%closed: {why}%';\n"
    for table in ("transactions", "revisions")
    for why in Why
)

STEPS: tuple[Step, ...] = (FIRST, HISTORY, hours.rebuild, SECURITY, CONFIGURATIONS, FLAGS)
