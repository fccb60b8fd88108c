//! What PostgreSQL says of itself, judged.

use std::time::Duration;

use bytesize::ByteSize;
use tallybook_backends::{PostgresState, postgres_state};
use tallybook_doctor::{Report, Severity};

use crate::settings::Settings;

/// Less than one connection in so many is left.
const FREE_CONNECTIONS: u64 = 10;
const TRANSACTION_MAX: Duration = Duration::from_secs(5 * 60);
/// Fewer dead rows are no matter, whatever their share.
const DEAD_MIN: u64 = 100_000;
/// The server warns at about 2,107 million, and stops at 2,143 million.
const TRANSACTION_AGE_MAX: u64 = 1_000_000_000;
const TRANSACTION_AGE_END: u64 = 1_900_000_000;
const RETAINED_MAX_BYTES: u64 = 1 << 30;
const LAG_MAX: Duration = Duration::from_secs(60);

/// Looks at the database of DATABASE_URL.
pub(super) async fn look(settings: &Settings, report: &mut Report) {
    match postgres_state(settings.store.database_url.as_deref()).await {
        Ok(state) => judge(&state, report),
        Err(error) => report.bad(
            Severity::Critical,
            "database",
            error.to_string(),
            "nothing can be written or read",
            "check DATABASE_URL, and that PostgreSQL runs: pg_isready",
        ),
    }
}

fn judge(state: &PostgresState, report: &mut Report) {
    let PostgresState { version, place, bytes, is_standby, .. } = state;
    let said = format!("PostgreSQL {version} at {place}, {}", ByteSize(*bytes));
    if *is_standby {
        let meaning = "it follows another server, and nothing can be written to it";
        report.bad(Severity::Critical, "database", said, meaning, "name the primary in DATABASE_URL");
    } else {
        report.ok("database", said);
    }
    schema(state, report);
    indexes(state, report);
    connections(state, report);
    transactions(state, report);
    dead_rows(state, report);
    replication(state, report);
}

fn schema(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "schema";
    let known = state.known_migration;
    let mut bad = |severity, said: String, meaning, fix| report.bad(severity, CHECK, said, meaning, fix);
    match state.applied_migration {
        None => bad(
            Severity::Warning,
            "there is none".to_owned(),
            "nothing was kept here yet, or it is another database",
            "start `tallybook serve` once: it makes the tables; or check DATABASE_URL",
        ),
        Some(applied) if applied > known => bad(
            Severity::Critical,
            format!("migration {applied}, and this program knows up to {known}"),
            "a newer Tallybook made it; this one does not start",
            "use the newest tallybook",
        ),
        Some(applied) if applied < known => bad(
            Severity::Warning,
            format!("migration {applied}, and this program has {known}"),
            "an older Tallybook made it",
            "start `tallybook serve` once: it migrates",
        ),
        Some(applied) => report.ok(CHECK, format!("migration {applied}, as of this program")),
    }
}

fn indexes(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "indexes";
    if state.applied_migration != Some(state.known_migration) {
        return;
    }
    for statement in &state.missing_indexes {
        let name = statement.split(' ').nth(2).unwrap_or_default();
        let meaning = "lists read whole tables";
        let fix = format!("psql \"$DATABASE_URL\" -c '{statement}'");
        report.bad(Severity::Warning, CHECK, format!("{name} is not there"), meaning, fix);
    }
    for name in &state.invalid_indexes {
        let meaning = "it was not made to the end: it is not used, and costs every write";
        let fix = format!("psql \"$DATABASE_URL\" -c 'REINDEX INDEX CONCURRENTLY {name}'");
        report.bad(Severity::Warning, CHECK, format!("{name} is not valid"), meaning, fix);
    }
    if state.missing_indexes.is_empty() && state.invalid_indexes.is_empty() {
        report.ok(CHECK, "all are there");
    }
}

fn connections(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "connections";
    let (used, most) = (state.connections, state.max_connections);
    let said = format!("{used} of {most} are used");
    if most.saturating_sub(used) < most / FREE_CONNECTIONS {
        let meaning = "when none is left, servers cannot write or answer; each takes up to 8";
        let fix = "end what is idle (pg_stat_activity), or raise max_connections and start PostgreSQL again";
        report.bad(Severity::Warning, CHECK, said, meaning, fix);
    } else {
        report.ok(CHECK, said);
    }
}

fn transactions(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "long transactions";
    match &state.oldest_transaction {
        Some(oldest) if oldest.age > TRANSACTION_MAX => {
            let age = humantime::format_duration(Duration::from_secs(oldest.age.as_secs()));
            let said = format!("process {} (`{}`) has one open for {age}", oldest.pid, oldest.application);
            let meaning = "no dead row that is younger can be removed: tables grow; and others may wait for its locks";
            let fix = format!("psql \"$DATABASE_URL\" -c 'SELECT pg_terminate_backend({})'", oldest.pid);
            report.bad(Severity::Warning, CHECK, said, meaning, fix);
        }
        _ => report.ok(CHECK, "none is open for 5 minutes"),
    }
}

fn dead_rows(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "dead rows";
    if !state.autovacuum {
        let meaning = "dead rows are not removed: tables grow without end";
        let fix = "psql -c 'ALTER SYSTEM SET autovacuum = on' -c 'SELECT pg_reload_conf()', as a superuser";
        report.bad(Severity::Warning, CHECK, "autovacuum is off", meaning, fix);
    }
    match &state.most_dead {
        Some(most) if most.dead > DEAD_MIN && most.dead > most.live / 2 => {
            let said = format!("{} has {} dead rows and {} live ones", most.table, most.dead, most.live);
            let meaning = "autovacuum does not keep up, or a long transaction keeps it from removing them";
            let fix = format!("psql \"$DATABASE_URL\" -c 'VACUUM (ANALYZE) {}'", most.table);
            report.bad(Severity::Warning, CHECK, said, meaning, fix);
        }
        most => {
            let said =
                most.as_ref().map_or("none".to_owned(), |most| format!("at most {}, in {}", most.dead, most.table));
            report.ok(CHECK, said);
        }
    }
    let age = state.transaction_age;
    if age > TRANSACTION_AGE_MAX {
        let severity = if age > TRANSACTION_AGE_END { Severity::Critical } else { Severity::Warning };
        let said = format!("the oldest row is {age} transactions old");
        let meaning = "at about 2,100 million the server stops taking writes";
        report.bad(severity, "transaction ids", said, meaning, "vacuumdb --freeze --dbname=\"$DATABASE_URL\"");
    }
}

fn replication(state: &PostgresState, report: &mut Report) {
    const CHECK: &str = "replication";
    let mut well = true;
    for slot in &state.slots {
        let drop = format!("start who reads from it; or: SELECT pg_drop_replication_slot('{}')", slot.name);
        let kept = ByteSize(slot.retained_bytes);
        if slot.lost {
            let said = format!("what slot {} needs is gone", slot.name);
            report.bad(Severity::Warning, CHECK, said, "who reads from it must be made anew", drop);
            well = false;
        } else if slot.retained_bytes > RETAINED_MAX_BYTES {
            let nobody = if slot.active { "" } else { ", and nobody reads from it" };
            let said = format!("slot {} keeps {kept} of log{nobody}", slot.name);
            report.bad(Severity::Warning, CHECK, said, "the log fills the disk of the server", drop);
            well = false;
        }
    }
    for replica in &state.replicas {
        let late = replica.lag.is_some_and(|lag| lag > LAG_MAX);
        let behind = replica.lag_bytes.unwrap_or(0);
        if late || behind > RETAINED_MAX_BYTES {
            let lag = replica.lag.map_or(String::new(), |lag| {
                format!(", {}", humantime::format_duration(Duration::from_secs(lag.as_secs())))
            });
            let said = format!("{} is {} behind{lag}", replica.name, ByteSize(behind));
            let meaning = "what came since is lost with this server";
            report.bad(Severity::Warning, CHECK, said, meaning, "look at the log of that server, and at the way to it");
            well = false;
        }
    }
    if well {
        report.ok(CHECK, format!("{} servers follow, {} slots", state.replicas.len(), state.slots.len()));
    }
}

#[cfg(test)]
mod tests {
    use tallybook_backends::{DeadRows, Replica, Slot, Transaction};

    use super::*;

    fn sound() -> PostgresState {
        PostgresState {
            version: "15.6".to_owned(),
            place: "localhost:5432/tallybook".to_owned(),
            bytes: 1 << 20,
            is_standby: false,
            applied_migration: Some(9),
            known_migration: 9,
            missing_indexes: Vec::new(),
            invalid_indexes: Vec::new(),
            connections: 8,
            max_connections: 97,
            oldest_transaction: None,
            autovacuum: true,
            most_dead: None,
            transaction_age: 1_000,
            slots: Vec::new(),
            replicas: Vec::new(),
        }
    }

    fn judged(state: &PostgresState) -> Report {
        let mut report = Report::default();
        judge(state, &mut report);
        report
    }

    #[test]
    fn a_server_that_is_well_has_no_finding_and_each_trouble_is_one_with_what_mends_it() {
        assert_eq!(judged(&sound()).severity, Severity::Ok);
        let slot = |lost| Slot { name: "s".to_owned(), active: false, retained_bytes: 2 << 30, lost };
        let late = Replica { name: "r".to_owned(), lag: Some(2 * LAG_MAX), lag_bytes: Some(10) };
        let open = Transaction { pid: 7, application: "psql".to_owned(), age: 2 * TRANSACTION_MAX };
        let dead = DeadRows { table: "metric".to_owned(), live: 150_000, dead: 200_000 };
        let troubles = [
            (PostgresState { is_standby: true, ..sound() }, Severity::Critical, "primary"),
            (PostgresState { applied_migration: None, ..sound() }, Severity::Warning, "tallybook serve"),
            (PostgresState { applied_migration: Some(8), ..sound() }, Severity::Warning, "tallybook serve"),
            (PostgresState { applied_migration: Some(10), ..sound() }, Severity::Critical, "newest tallybook"),
            (
                PostgresState { missing_indexes: vec!["CREATE INDEX a ON b (c)".to_owned()], ..sound() },
                Severity::Warning,
                "-c 'CREATE INDEX a ON b (c)'",
            ),
            (PostgresState { invalid_indexes: vec!["a".to_owned()], ..sound() }, Severity::Warning, "CONCURRENTLY a"),
            (PostgresState { connections: 90, ..sound() }, Severity::Warning, "max_connections"),
            (PostgresState { oldest_transaction: Some(open), ..sound() }, Severity::Warning, "backend(7)"),
            (PostgresState { autovacuum: false, ..sound() }, Severity::Warning, "autovacuum = on"),
            (PostgresState { most_dead: Some(dead), ..sound() }, Severity::Warning, "VACUUM (ANALYZE) metric"),
            (PostgresState { transaction_age: 1_200_000_000, ..sound() }, Severity::Warning, "--freeze"),
            (PostgresState { transaction_age: 2_000_000_000, ..sound() }, Severity::Critical, "--freeze"),
            (PostgresState { slots: vec![slot(false)], ..sound() }, Severity::Warning, "pg_drop_replication_slot('s')"),
            (PostgresState { slots: vec![slot(true)], ..sound() }, Severity::Warning, "pg_drop_replication_slot('s')"),
            (PostgresState { replicas: vec![late], ..sound() }, Severity::Warning, "that server"),
        ];
        for (state, severity, mends) in troubles {
            let report = judged(&state);
            let bad: Vec<_> = report.findings.iter().filter(|finding| finding.severity != Severity::Ok).collect();
            assert_eq!((bad.len(), report.severity), (1, severity), "{report:?}");
            assert!(bad[0].fix.as_ref().is_some_and(|fix| fix.contains(mends)), "{bad:?}");
        }
    }
}
