"""The tables of the store.

Times are milliseconds since the epoch, UTC. The journal's primary key is dense per execution, so an
index that a client saw never changes its meaning.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
    true,
)
from sqlalchemy.engine import Dialect

from app.domain import JSON
from app.execution_names import NAME_LENGTH
from app.labels import LONGEST_TEXT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Return a moment as milliseconds since the epoch."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the moment of so many milliseconds since the epoch."""
    return _EPOCH + milliseconds * _MILLISECOND


class Instant(TypeDecorator[datetime]):
    """A moment, stored as milliseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store a moment."""
        return None if value is None else to_ms(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read a moment."""
        return None if value is None else from_ms(value)


class Json(TypeDecorator[JSON]):
    """A JSON value, stored as text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JSON, dialect: Dialect) -> str | None:
        """Store a value."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> JSON:
        """Read a value."""
        return None if value is None else json.loads(value)


metadata = MetaData()

# Compared byte by byte, so that names that begin alike are a range of an index; see `given_names`.
_Name = String(NAME_LENGTH).with_variant(String(NAME_LENGTH, collation="C"), "postgresql")

# SQLite numbers rows by itself only for a column of exactly this type.
_Number = BigInteger().with_variant(Integer(), "sqlite")


def _where(condition: str) -> dict[str, Any]:
    """Return the arguments of an index of the rows that fulfil a condition of PostgreSQL's.

    SQLite has numbers for truth values.
    """
    plain = condition.replace("= true", "= 1").replace("= false", "= 0")
    return {"sqlite_where": text(plain), "postgresql_where": text(condition)}


executions = Table(
    "executions",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("awf_name", _Name, nullable=False, server_default=text("''")),
    Column("orchestrator", String(64), nullable=False),
    Column("workflow_id", String(512), nullable=False),
    Column("workflow_name", String(512), nullable=False),
    # Of its definition, where users upload it; NULL where it has none, or none is known.
    Column("workflow_version", Integer),
    Column("owner", String(100), nullable=False),
    Column("inputs", Json, nullable=False),
    Column("outputs", Json),
    Column("status", String(16), nullable=False),
    Column("desired", String(16), nullable=False),
    # How often something was wanted of single tasks; see `tasks.desired`.
    Column("task_wishes", Integer, nullable=False, server_default=text("0")),
    Column("error", Text),
    Column("progress", Float, nullable=False, server_default=text("0")),
    Column("reference", Json),
    # Digest of a reference that no other execution may hold; see `execution_rows.accepted`.
    Column("reference_key", String(64)),
    Column("upstream_id", String(100)),
    Column("cursor", Json),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("as_of", Instant, nullable=False),
    # When the launch was written down, by the time since that start of that machine; see
    # `app.clock`. Both are null in the rows of earlier versions.
    Column("asked_up_ms", BigInteger),
    Column("asked_boot_id", String(64)),
    Column("n_debug", BigInteger, nullable=False, server_default=text("0")),
    Column("n_info", BigInteger, nullable=False, server_default=text("0")),
    Column("n_warn", BigInteger, nullable=False, server_default=text("0")),
    Column("n_error", BigInteger, nullable=False, server_default=text("0")),
    Column("b_debug", BigInteger, nullable=False, server_default=text("0")),
    Column("b_info", BigInteger, nullable=False, server_default=text("0")),
    Column("b_warn", BigInteger, nullable=False, server_default=text("0")),
    Column("b_error", BigInteger, nullable=False, server_default=text("0")),
    Column("log_complete", Boolean, nullable=False, server_default=false()),
    Column("followed_until", Instant),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    # SQLite has no notifications: readers look for rows whose number went up; see `counters`.
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Column("wanted", BigInteger, nullable=False, server_default=text("0")),
    Column("touched", BigInteger, nullable=False, server_default=text("0")),
    Column("assigned", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_owner", String(100)),
    Column("lease_until", Instant),
    Column("node", String(255)),
    # Only from there it can be observed, although its orchestrator binds executions to no machine.
    Column("stays", Boolean, nullable=False, server_default=false()),
    # Id of the execution from which it goes on; each one goes on in one other at most.
    Column("continues", String(64)),
    # What its owner calls it, and its labels, which are found by `execution_labels`.
    Column("name", String(LONGEST_TEXT)),
    Column("labels", Json),
    # Since when its log, and its folders, are kept no longer; see `purging`.
    Column("log_purged_at", Instant),
    Column("files_purged_at", Instant),
    # Lists filter by these and are ordered by number.
    Index("ix_executions_awf_name", "awf_name", unique=True),
    Index("ix_executions_owner", "owner", "number"),
    Index("ix_executions_owner_status", "owner", "status", "number"),
    Index("ix_executions_status", "status", "number"),
    Index("ix_executions_owner_workflow", "owner", "workflow_id", "orchestrator", "number"),
    Index("ix_executions_workflow_id", "workflow_id", "number"),
    Index("ix_executions_workflow_name", "workflow_name", "number"),
    Index("ix_executions_name", "name", "owner", "number", **_where("name IS NOT NULL")),
    Index("ix_executions_created", "created_at", "number"),
    Index("ix_executions_owner_created", "owner", "created_at", "number"),
    Index("ix_executions_finished", "finished_at", "number"),
    Index("ix_executions_owner_finished", "owner", "finished_at", "number"),
    # For beginnings of ids, so that PostgreSQL must compare byte by byte here.
    Index("ix_executions_id_owner", "id", "owner", postgresql_ops={"id": "varchar_pattern_ops"}),
    Index(
        "ix_executions_exec_id_owner",
        "upstream_id",
        "owner",
        postgresql_ops={"upstream_id": "varchar_pattern_ops"},
        **_where("upstream_id LIKE 'exec-%'"),
    ),
    Index("ix_executions_reference_key", "reference_key", unique=True),
    Index("ix_executions_upstream_id", "upstream_id"),
    # Those that we give ourselves, of executions of virtual users.
    Index(
        "ix_executions_exec_id",
        "upstream_id",
        unique=True,
        **_where("upstream_id LIKE 'exec-%'"),
    ),
    Index("ix_executions_continues", "continues", unique=True),
    Index("ix_executions_changed", "changed"),
    Index("ix_executions_wanted", "wanted"),
    Index("ix_executions_touched", "touched"),
    Index("ix_executions_assigned", "assigned"),
    Index("ix_executions_active", "number", **_where("log_complete = false")),
    Index("ix_executions_ended", "finished_at", **_where("log_complete = true")),
    Index(
        "ix_executions_log_purged_at",
        "log_purged_at",
        "finished_at",
        **_where("log_complete = true"),
    ),
    Index(
        "ix_executions_files_purged_at",
        "files_purged_at",
        "finished_at",
        **_where("log_complete = true"),
    ),
    sqlite_autoincrement=True,
)

# Neither database takes the indexes of such executions for `IS false` and `IS true`.
LOG_GOES_ON = executions.c.log_complete == false()
LOG_COMPLETE = executions.c.log_complete == true()

# By which executions are found; their own rows say them once more, for readers.
execution_labels = Table(
    "execution_labels",
    metadata,
    Column("execution", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(63), primary_key=True),
    Column("value", String(LONGEST_TEXT), nullable=False),
    # Of the execution.
    Column("owner", String(100), nullable=False),
    Index("ix_execution_labels_key", "key", "value", "execution"),
    Index("ix_execution_labels_owner", "owner", "key", "value", "execution"),
    sqlite_with_rowid=False,
)

# What is left of executions that were purged.
tombstones = Table(
    "tombstones",
    metadata,
    # As the execution had it.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False),
    Column("name", _Name, nullable=False),
    Column("upstream_id", String(100)),
    Column("orchestrator", String(64), nullable=False),
    Column("workflow_id", String(512), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("purged_at", Instant, nullable=False),
    Column("purged_by", String(100), nullable=False),
    # For the feed of changes; see `counters`.
    Column("changed", BigInteger, nullable=False),
    Index("ix_tombstones_id", "id", unique=True),
    Index("ix_tombstones_name", "name", unique=True),
    Index("ix_tombstones_upstream_id", "upstream_id"),
    Index("ix_tombstones_changed", "changed"),
)

# What is still to be removed of what was purged.
removals = Table(
    "removals",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    # One of `purging.What`.
    Column("kind", SmallInteger, primary_key=True),
    Column("execution_id", String(64), nullable=False),
    Column("orchestrator", String(64), nullable=False),
    # Where its files are, if only one machine has them.
    Column("node", String(255)),
    # Log entries that are left, the first ones of the log.
    Column("entries", BigInteger, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Index("ix_removals_kind", "kind", "execution"),
    sqlite_with_rowid=False,
)

# What one process at a time does, and until when it surely does.
chores = Table(
    "chores",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("holder", String(100), nullable=False),
    Column("held_until", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# What takes room on disks, as last measured, of each machine and of the database.
disk_usage = Table(
    "disk_usage",
    metadata,
    Column("place", String(255), primary_key=True),
    Column("what", String(32), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    # Not all was counted in the time there is for it.
    Column("is_partial", Boolean, nullable=False),
    Column("measured_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# The names of executions whose rows are gone: none of them is ever given again. Whoever deletes an
# execution adds its name here, in the same transaction.
spent_names = Table(
    "spent_names",
    metadata,
    Column("name", _Name, primary_key=True),
    sqlite_with_rowid=False,
)

counters = Table(
    "counters",
    metadata,
    # "changed", "wanted", "touched", "assigned": the last number that was given out. What is given
    # out never falls, also when the row that holds the highest is deleted, so no feed can have
    # passed it already. "withdrawn" counts those rows, "users" the changes of users, "api_keys"
    # those of API keys, "signing_keys" those of the keys that sign tokens, "sessions" those of
    # sessions.
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

tasks = Table(
    "tasks",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("position", Integer, nullable=False),
    # Its name for people, where that is another one.
    Column("title", String(255)),
    Column("status", String(16), nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("node", String(255)),
    Column("error", Text),
    # Number of its run, and the earlier execution in which it came to what it is.
    Column("run", Integer, nullable=False, server_default=text("0")),
    Column("continued_from", String(64)),
    Column("ready_at", Instant),
    # What it waits for, where that is known: `app.domain.Task.waits_for`.
    Column("waits_for", Json),
    # What its orchestrator remembers of it between two looks, as executions have one; no list and
    # no reader loads it.
    Column("cursor", Json),
    # What its user wants of it, where that is not what the workflow says, and which run of it.
    Column("desired", String(16)),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    # What it takes of its machine, as last measured.
    Column("cpu_seconds", Float),
    Column("cpu_percent", Float),
    Column("memory_bytes", BigInteger),
    Column("memory_peak_bytes", BigInteger),
    # Those of which lists tell; see `briefs`.
    Index(
        "ix_tasks_told",
        "execution",
        "status",
        "position",
        **_where("status IN ('RUNNING', 'PAUSED', 'FAILED')"),
    ),
    sqlite_with_rowid=False,
)

# Attempts of tasks that are over, and after which others began; the last one is the task's own.
task_attempts = Table(
    "task_attempts",
    metadata,
    Column("execution", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(255), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),
    Column("ready_at", Instant),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("node", String(255)),
    Column("run", Integer, nullable=False),
    sqlite_with_rowid=False,
)

log_entries = Table(
    "log_entries",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("level", SmallInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("task", String(255), nullable=False),
    Column("content", Text, nullable=False),
    Column("upstream_id", String(255)),
    # One of `app.domain.LogStream`.
    Column("stream", SmallInteger, nullable=False, server_default=text("0")),
    Index("ix_log_entries_level", "execution", "level", "sequence"),
    Index(
        "ix_log_entries_upstream_id",
        "execution",
        "upstream_id",
        unique=True,
        **_where("upstream_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("n_debug", BigInteger, nullable=False),
    Column("n_info", BigInteger, nullable=False),
    Column("n_warn", BigInteger, nullable=False),
    Column("n_error", BigInteger, nullable=False),
    Column("b_debug", BigInteger, nullable=False),
    Column("b_info", BigInteger, nullable=False),
    Column("b_warn", BigInteger, nullable=False),
    Column("b_error", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

definitions = Table(
    "definitions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("document", Json, nullable=False),
    # Since when nothing needs it, as far as is known; see `retention`.
    Column("unused_since", Instant),
)

launch_keys = Table(
    "launch_keys",
    metadata,
    Column("owner", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("execution_id", String(64), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("username", String(100), nullable=False),
    Column("identity", Text, nullable=False, server_default=text("'{}'")),
    Column("subject", String(64), nullable=False),
    Column("expires_at", Instant, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("username", String(100), primary_key=True),
    Column("password_hash", String(255)),
    Column("roles", Json),
    Column("disabled", Boolean, nullable=False),
    Column("removed_at", Instant),
    # Number of the last change that ended what had been issued to them before.
    Column("epoch", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False),
    # SHA-256 of the whole key. It is long and made by chance, so a slow hash would gain nothing.
    Column("digest", String(64), nullable=False),
    Column("prefix", String(8), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("foreign_owner", Boolean, nullable=False),
    Column("name", String(100), nullable=False),
    Column("roles", Json, nullable=False),
    Column("scopes", Json),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    Index("ix_api_keys_id", "id", unique=True),
    Index("ix_api_keys_digest", "digest", unique=True),
    Index("ix_api_keys_owner", "owner"),
    sqlite_autoincrement=True,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    # What tokens name the key by, and the same without the half that signs.
    Column("kid", String(32), primary_key=True),
    Column("public_key", Json, nullable=False),
    # The private half, encrypted with the master key; NULL once another key signs.
    Column("nonce", LargeBinary(12)),
    Column("ciphertext", LargeBinary),
    Column("created_at", Instant, nullable=False),
    # Until when tokens that it has signed are taken; NULL while it signs.
    Column("good_until", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False),
    # SHA-256 of what the cookie holds, as of an API key.
    Column("digest", String(64), nullable=False),
    Column("username", String(100), nullable=False),
    Column("epoch", String(64), nullable=False),
    # Who that is, and by which credential, as the service writes it.
    Column("identity", Text, nullable=False),
    Column("address", String(64)),
    Column("user_agent", String(200)),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_sessions_id", "id", unique=True),
    Index("ix_sessions_digest", "digest", unique=True),
    Index("ix_sessions_username", "username"),
    Index("ix_sessions_expires_at", "expires_at"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    # Nearly in the order of time: several processes write what happened within some seconds.
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("action", String(64), nullable=False),
    Column("result", String(16), nullable=False),
    Column("target", String(300), nullable=False),
    Column("username", String(100)),
    Column("credential", String(200)),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("detail", String(500), nullable=False),
    Column("times", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

ends_told = Table(
    "ends_told",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    Column("client", String(64), primary_key=True),
    Column("expires_at", Instant, nullable=False, index=True),
)

standing_workflows = Table(
    "standing_workflows",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    # Of those that are gone, too: no name is ever given again.
    Column("name", String(200), nullable=False),
    Column("workflow_id", String(100), nullable=False),
    Column("orchestrator", String(64), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("working_dir", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # Number of the current one.
    Column("execution", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index("ix_standing_workflows_name", "name", unique=True),
    Index("ix_standing_workflows_workflow_id", "workflow_id"),
    Index("ix_standing_workflows_owner", "owner", "number"),
    sqlite_autoincrement=True,
)

standing_tasks = Table(
    "standing_tasks",
    metadata,
    Column("workflow", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String(255), nullable=False),
    # Its name in executions.
    Column("task_id", String(64), nullable=False),
    # As its maker gave it; see `app.domain.CommandTask`.
    Column("spec", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index("ix_standing_tasks_name", "workflow", "name", unique=True),
    sqlite_with_rowid=False,
)

ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(100), nullable=False, index=True),
    Column("algorithm", String(32), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("metadata", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("public_key", Text),
    Column("last_used_at", Instant),
    Column("last_succeeded_at", Instant),
    Column("replaces", String(64)),
)

# Keys that others have taken the place of; see `keys.SshKeys.succeed`.
ssh_key_successors = Table(
    "ssh_key_successors",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("successor", String(64), nullable=False, index=True),
    Column("is_removed", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

ssh_key_secrets = Table(
    "ssh_key_secrets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("nonce", LargeBinary(12), nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
)

# What users ask for that a conductor carries out; see `operations.Operations`.
operations = Table(
    "operations",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("subject", String(512), nullable=False),
    Column("arguments", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("result", Json),
    Column("error", Text),
    Column("error_code", String(64)),
    Column("made_at", Instant, nullable=False),
    Column("finished_at", Instant),
    # The conductor that carries it out, and until when it surely has come to an end there.
    Column("holder", String(100)),
    Column("held_until", Instant),
    # How often a conductor has begun with it.
    Column("tries", Integer, nullable=False, server_default=text("0")),
    # For the feeds of changes, as those of executions.
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Column("wanted", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_operations_owner", "owner", "state"),
    Index("ix_operations_state", "state", "number"),
    Index("ix_operations_changed", "changed"),
    Index("ix_operations_wanted", "wanted"),
)

# Where executions have their folders on clusters; see `placements.Placements`.
placements = Table(
    "placements",
    metadata,
    Column("orchestrator", String(64), primary_key=True),
    Column("execution", String(64), primary_key=True),
    Column("account", String(255), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("root", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What clusters have, as their conductors were last told; see `clusters.Clusters`.
clusters = Table(
    "clusters",
    metadata,
    Column("orchestrator", String(64), primary_key=True),
    Column("partitions", Json, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("nodes", Json),
    sqlite_with_rowid=False,
)

# When the scheduler of a cluster may be asked again; see `scheduler_turns.SchedulerTurns`.
scheduler_turns = Table(
    "scheduler_turns",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("next_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

conductors = Table(
    "conductors",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("node", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    # Both are null in the rows of earlier versions.
    Column("boot_id", String(64)),
    Column("start_ticks", String(32)),
    Column("started_at", Instant, nullable=False),
    Column("beat_at", Instant, nullable=False),
    # What it asks of upstreams, by orchestrator: requests a second, and the most that it may.
    Column("polls", Json),
)

# What each web process counted in each minute of the last hours; see `figures`.
figures = Table(
    "figures",
    metadata,
    Column("minute", Instant, primary_key=True, autoincrement=False),
    Column("process", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("seen_at", Instant, nullable=False),
    # It has ended as it should.
    Column("ended", Boolean, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("streams", Integer, nullable=False),
    Column("followers", Integer, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("delivery_lag", Float),
    Column("loop_lag", Float, nullable=False),
    Column("queue", BigInteger),
    sqlite_with_rowid=False,
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("boot_id", String(64), nullable=False),
    Column("seen_at", Instant, nullable=False),
    # What all tasks may take there together, as its conductor was started.
    Column("processors", Integer),
    Column("memory_bytes", BigInteger),
)

compiled_definitions = Table(
    "compiled_definitions",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("summary", Json, nullable=False),
    Column("details", Text, nullable=False),
    Column("made_at", Instant, nullable=False, index=True),
)

workflow_files = Table(
    "workflow_files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("folder", String(64), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("good", String(64)),
    Column("fault", String(64)),
)

uploaded_definitions = Table(
    "uploaded_definitions",
    metadata,
    Column("workflow_id", String(100), primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("key", String(64), nullable=False),
    Column("summary", Json, nullable=False),
    Column("uploaded_by", String(100), nullable=False, index=True),
    Column("uploaded_at", Instant, nullable=False),
    # Who may replace and remove it: who uploaded its first version.
    Column("owner", String(100), nullable=False, server_default=text("''")),
    Column("version", Integer, nullable=False, server_default=text("1")),
)

definition_versions = Table(
    "definition_versions",
    metadata,
    # Which orchestrators offer it: their ids have nothing to do with each other.
    Column("kind", String(16), primary_key=True),
    Column("workflow_id", String(100), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # NULL once the workflow is removed: the last number stays, so that none is used twice.
    Column("text", Text),
    Column("media_type", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("uploaded_by", String(100), nullable=False),
    Column("uploaded_at", Instant, nullable=False),
)

slaves = Table(
    "slaves",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("address", String(255), nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("cpu_cores", Integer, nullable=False),
    Column("memory_mb", BigInteger, nullable=False),
    Column("max_vus", Integer, nullable=False),
    # Of the process that registered last, and the connection that it speaks by; NULL without one.
    Column("incarnation", String(64), nullable=False),
    Column("connection", String(64)),
    # What operators want of it; no beat changes that.
    Column("draining", Boolean, nullable=False, server_default=false()),
    Column("load", Float, nullable=False, server_default=text("0")),
    Column("active_tasks", Integer, nullable=False, server_default=text("0")),
    Column("registered_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    # The same as a moment that no clock is set by, see `app.clock`; null in earlier versions' rows.
    Column("seen", Json),
    # Until when somebody would start it, in both ways, and since when that is wanted.
    Column("offered_until", Instant),
    Column("offer_ends", Json),
    Column("called_at", Instant),
    sqlite_with_rowid=False,
)

load_runs = Table(
    "load_runs",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    # Grows with each write of a conductor: of two that read the same, one writes.
    Column("generation", Integer, nullable=False),
    # How many virtual users somebody asked for; NULL for what the definition says.
    Column("scaled", Integer),
    Column("state", Json),
    sqlite_with_rowid=False,
)

load_tasks = Table(
    "load_tasks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("execution", BigInteger, nullable=False),
    Column("execution_id", String(64), nullable=False),
    Column("slave", String(100), nullable=False),
    Column("incarnation", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("desired", Json, nullable=False),
    # Virtual users that its slave keeps free for it; 0 once it is to end.
    Column("reserved", Integer, nullable=False),
    Index("ix_load_tasks_execution", "execution"),
    Index("ix_load_tasks_slave", "slave"),
    sqlite_with_rowid=False,
)

# What the slaves of tasks said last, apart from what is wanted of them: each has one writer.
load_reports = Table(
    "load_reports",
    metadata,
    Column("task", String(32), primary_key=True),
    # Of the beat that brought it.
    Column("sequence", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("report", Json),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

load_metrics = Table(
    "load_metrics",
    metadata,
    Column("execution", BigInteger, primary_key=True),
    Column("document", Json, nullable=False),
    Column("series", Json, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

load_definitions = Table(
    "load_definitions",
    metadata,
    Column("workflow_id", String(100), primary_key=True),
    Column("name", String(512), nullable=False, index=True),
    Column("description", Text, nullable=False),
    # Under which `definitions` has what it says.
    Column("digest", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("submitted_by", String(100), nullable=False, index=True),
    Column("submitted_at", Instant, nullable=False),
    # As of `uploaded_definitions`.
    Column("owner", String(100), nullable=False, server_default=text("''")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    sqlite_with_rowid=False,
)
