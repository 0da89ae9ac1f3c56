"""What the proxy's store asks of SQLite."""

from __future__ import annotations

PUT_ROW = (
    "INSERT INTO outbox (charger_id, local_tx, action, payload, digest, periodic, state, at)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, ?7 WHERE NOT EXISTS"
    " (SELECT 1 FROM outbox AS known WHERE charger_id = ?1 AND digest = ?5"
)
PUT = PUT_ROW + ")"
# As the readings here: the same values again are a repetition only if nothing else of the
# transaction came between. (By number, of which few are greater; by charger many would be.)
PUT_SAMPLES = (
    PUT_ROW + " AND NOT EXISTS (SELECT 1 FROM outbox AS later NOT INDEXED"
    " WHERE later.sequence > known.sequence AND later.charger_id = ?1 AND later.local_tx = ?2))"
)
# No remote stop is due for what has just ended.
ENDED = (
    "UPDATE txmap SET stop_wanted = 0 WHERE remote_id = ? AND charger_id = ?"
    " AND local_tx = ? AND stop_wanted = 1"
)
PUT_LATEST = (
    "INSERT INTO proxy_latest (charger_id, kind, action, payload, version, after)"
    " VALUES (?, ?, ?, ?, 1,"
    " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'))"
    " ON CONFLICT (charger_id, kind) DO UPDATE SET payload = excluded.payload,"
    " action = excluded.action, version = version + 1, after = excluded.after, expected = 0"
    " WHERE payload <> excluded.payload OR expected = 1"
)
EXPECT = "UPDATE proxy_latest SET expected = ? WHERE charger_id = ? AND kind GLOB ?"
EXPECT_BOOT = "UPDATE proxy_chargers SET boot_expected = ? WHERE remote_id = ? AND charger_id = ?"
# A Boot is told when another one, or none, was accepted.
BOOT_CAME = (
    "UPDATE proxy_chargers SET boot_expected = 0, boot_digest = ''"
    " WHERE remote_id = ? AND charger_id = ? AND boot_expected = 1"
)
WINDOW = (
    "SELECT sequence, local_tx, action, payload, attempts, last_error FROM outbox"
    " WHERE charger_id = ? AND state = 0 ORDER BY sequence LIMIT ?"
)
# The newest delivered row of a charger stays, without its payload.
FORGET_SENT = "DELETE FROM outbox WHERE charger_id = ? AND state = 2"
KEEP_SENT = "UPDATE outbox SET state = 2, payload = x'' WHERE sequence = ?"
MAP = (
    "INSERT INTO txmap (remote_id, charger_id, local_tx, remote_tx, stop_wanted, at)"
    " VALUES (?1, ?2, ?3, ?4, ?5 AND NOT EXISTS (SELECT 1 FROM outbox WHERE charger_id = ?2"
    " AND state = 0 AND local_tx = ?3 AND action = 'StopTransaction'), ?6)"
    " ON CONFLICT (remote_id, charger_id, local_tx) DO UPDATE SET remote_tx = excluded.remote_tx"
)
SENT = (
    "INSERT INTO proxy_chargers (remote_id, charger_id, sent) VALUES (?, ?, ?)"
    " ON CONFLICT (remote_id, charger_id) DO UPDATE SET sent = excluded.sent"
)
NOT_SENT = "UPDATE proxy_chargers SET sent = 0 WHERE remote_id = ? AND charger_id = ? AND sent = ?"
# A dead letter may be sent again, which takes what is known of its charger.
UNTOLD = (
    "SELECT EXISTS (SELECT 1 FROM outbox WHERE charger_id = ?1 AND state = 0)"
    " OR EXISTS (SELECT 1 FROM outbox WHERE charger_id = ?1 AND state = 1)"
)
LEAVES = "INSERT OR IGNORE INTO proxy_leaving (charger_id) VALUES (?)"
IS_LEAVING = "SELECT 1 FROM proxy_leaving WHERE charger_id = ?"
STAYS = "DELETE FROM proxy_leaving WHERE charger_id = ?"
# What is about a charger and not about what it did.
OF_CHARGER = (
    "DELETE FROM proxy_latest WHERE charger_id = ?",
    "DELETE FROM proxy_chargers WHERE charger_id = ?",
    "DELETE FROM proxy_reservations WHERE charger_id = ?",
    "DELETE FROM proxy_findings WHERE charger_id = ? AND local_tx IS NULL",
    FORGET_SENT,
    STAYS,
)
FAILED = "UPDATE outbox SET attempts = ?, last_error = ?, tried_at = ? WHERE sequence = ?"
DUPLICATE = (
    "INSERT INTO proxy_chargers (remote_id, charger_id, possible_duplicates) VALUES (?, ?, 1)"
    " ON CONFLICT (remote_id, charger_id) DO UPDATE"
    " SET possible_duplicates = possible_duplicates + 1"
)
BURY = "UPDATE outbox SET state = 1, last_error = ?, tried_at = ? WHERE sequence = ?"
BURY_FOLLOWERS = (
    "UPDATE outbox SET state = 1, last_error = ?, tried_at = ?"
    " WHERE charger_id = ? AND state = 0 AND local_tx = ?"
)
FORGET_FINDING = (
    "DELETE FROM proxy_findings WHERE remote_id = ? AND charger_id = ? AND kind = ?"
    " AND local_tx IS ?"
)
FINDING = (
    "INSERT INTO proxy_findings (remote_id, charger_id, kind, text, local_tx, at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
BOOT = (
    "INSERT INTO proxy_chargers (remote_id, charger_id, boot_digest, interval_s)"
    " VALUES (?, ?, ?, ?) ON CONFLICT (remote_id, charger_id) DO UPDATE"
    " SET boot_digest = excluded.boot_digest, interval_s = excluded.interval_s"
)
