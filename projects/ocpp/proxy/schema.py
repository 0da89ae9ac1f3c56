"""The proxy's tables in `ocpp.sqlite`, as steps that bring a database forward.

Times are microseconds since 1970, UTC. `sequence` is never given twice, so it also
makes the message id of a row. A released step is never changed.
"""

from __future__ import annotations

COMPONENT = "proxy"

WAITING, DEAD, SENT = 0, 1, 2

FIRST = """
CREATE TABLE proxy_remotes (
    remote_id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL,
    current INTEGER NOT NULL,
    added_at INTEGER NOT NULL
);

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    charger_id TEXT NOT NULL,
    local_tx INTEGER,
    action TEXT NOT NULL,
    payload BLOB NOT NULL,
    digest INTEGER NOT NULL,
    periodic INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    at INTEGER NOT NULL,
    tried_at INTEGER
);
-- What a charger says again is known by this: its newest message stays until the next
-- one is delivered.
CREATE UNIQUE INDEX outbox_once ON outbox (charger_id, digest);
CREATE INDEX outbox_waiting ON outbox (charger_id, sequence) WHERE state = 0;
CREATE INDEX outbox_dead ON outbox (charger_id, local_tx) WHERE state = 1;
CREATE INDEX outbox_sent ON outbox (charger_id) WHERE state = 2;

CREATE TABLE txmap (
    map_id INTEGER PRIMARY KEY AUTOINCREMENT,
    remote_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    local_tx INTEGER NOT NULL,
    remote_tx INTEGER NOT NULL,
    stop_wanted INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL,
    UNIQUE (remote_id, charger_id, local_tx)
);
CREATE INDEX txmap_back ON txmap (remote_id, charger_id, remote_tx);
CREATE INDEX txmap_stops ON txmap (remote_id, charger_id) WHERE stop_wanted = 1;

CREATE TABLE proxy_latest (
    charger_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    action TEXT NOT NULL,
    payload BLOB NOT NULL,
    version INTEGER NOT NULL,
    after INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (charger_id, kind)
) WITHOUT ROWID;

CREATE TABLE proxy_chargers (
    remote_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    boot_digest TEXT NOT NULL DEFAULT '',
    interval_s INTEGER NOT NULL DEFAULT 300,
    possible_duplicates INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (remote_id, charger_id)
) WITHOUT ROWID;

CREATE TABLE proxy_tags (
    remote_id INTEGER NOT NULL,
    tag_key TEXT NOT NULL,
    id_tag TEXT NOT NULL,
    status TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (remote_id, tag_key)
) WITHOUT ROWID;

CREATE TABLE proxy_reservations (
    remote_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    remote_reservation INTEGER NOT NULL,
    local_reservation INTEGER NOT NULL,
    PRIMARY KEY (remote_id, charger_id, remote_reservation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX proxy_reservations_back
    ON proxy_reservations (charger_id, local_reservation);

CREATE TABLE proxy_findings (
    finding_id INTEGER PRIMARY KEY,
    remote_id INTEGER NOT NULL,
    charger_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    local_tx INTEGER,
    at INTEGER NOT NULL
);
CREATE INDEX proxy_findings_of_charger ON proxy_findings (charger_id, at);
"""

# Whether a message was told before is asked when it is put: what is the same may be told
# twice all the same, as a state of the firmware that comes again.
SECOND = """
DROP INDEX outbox_once;
CREATE INDEX outbox_told ON outbox (charger_id, digest);
"""

# What is found again about a transaction is one line, which counts.
THIRD = """
ALTER TABLE proxy_findings ADD COLUMN amount INTEGER NOT NULL DEFAULT 0;
DELETE FROM proxy_findings WHERE finding_id NOT IN (SELECT max(finding_id) FROM proxy_findings
    GROUP BY remote_id, charger_id, kind, local_tx);
"""

# What was on its way when the process ended may be at the remote already.
FOURTH = """
ALTER TABLE proxy_chargers ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
"""

# What the remote asked for is told to it, although it has heard the same before.
FIFTH = """
ALTER TABLE proxy_latest ADD COLUMN expected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE proxy_chargers ADD COLUMN boot_expected INTEGER NOT NULL DEFAULT 0;
"""

# A charger that was forgotten while the remote had yet to hear of it.
SIXTH = """
CREATE TABLE proxy_leaving (charger_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

STEPS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
