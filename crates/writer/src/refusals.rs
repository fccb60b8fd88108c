//! Records that no store takes: found before they are sent or by the store, and made into dead letters.

use std::sync::Arc;

use serde_json::json;
use tallybook_core::{DeadLetter, Ping, Record, Records, TemplateMove, Tick};

/// Records that are refused, and why.
pub(crate) struct RefusedPart {
    pub(crate) records: Records,
    pub(crate) error: Arc<str>,
}

/// Log records, spans, data points, pings, ticks and rows of executions; not rows of the catalogue.
pub(crate) fn records_in(records: &Records) -> u64 {
    records.catalogue.records() + (records.pings.len() + records.ticks.len() + records.executions.len()) as u64
}

/// Takes out the pings and ticks that have a defect, so that no store has to be asked.
pub(crate) fn take_defects(records: &mut Records) -> Vec<RefusedPart> {
    let pings = take_defective(&mut records.pings, Ping::defect);
    let ticks = take_defective(&mut records.ticks, Tick::defect);
    let of_ping = |(ping, error)| RefusedPart { records: Records { pings: vec![ping], ..Records::default() }, error };
    let of_tick = |(tick, error)| RefusedPart { records: Records { ticks: vec![tick], ..Records::default() }, error };
    pings.into_iter().map(of_ping).chain(ticks.into_iter().map(of_tick)).collect()
}

fn take_defective<R>(records: &mut Vec<R>, defect: fn(&R) -> Option<&'static str>) -> Vec<(R, Arc<str>)> {
    let defective: Vec<R> = records.extract_if(.., |record| defect(record).is_some()).collect();
    let with_reason = |record| defect(&record).map(|reason| (record, reason.into()));
    defective.into_iter().filter_map(with_reason).collect()
}

/// Makes the dead letters of a part that was refused: of each ping, tick and row of an execution, of a single row or move, or one for all rows
/// when they were given up whole.
pub(crate) fn put_aside(part: &RefusedPart, dead_letters: &mut Vec<DeadLetter>) {
    let RefusedPart { records, error } = part;
    dead_letters.extend(records.pings.iter().map(|ping| DeadLetter::new(Ping::TABLE, &ping.to_row(), error)));
    dead_letters.extend(records.ticks.iter().map(|tick| DeadLetter::of("tick", error, &shown(tick))));
    let mut each = |table, rows: Vec<_>| {
        dead_letters.extend(rows.iter().map(|row| DeadLetter::new(table, row, error)));
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(()) = records.executions.for_each_table(&mut each);
    if records.catalogue.len() > 1 {
        let record = json!({ "rows": records.catalogue.len(), "records": records.catalogue.records() });
        dead_letters.push(DeadLetter::of("batch", error, &record));
        return;
    }
    let Ok(()) = records.catalogue.for_each_table(each);
    for TemplateMove { service, severity, from, to } in &records.catalogue.template_moves {
        let record = json!({ "service": service, "severity": severity, "from": from, "to": to });
        dead_letters.push(DeadLetter::of("template_move", error, &record));
    }
}

fn shown(tick: &Tick) -> serde_json::Value {
    let Tick { symbol, time, seq, bid, ask, volume, source, flags: _, received } = tick;
    json!({
        "symbol": symbol, "timestamp": time, "seq": seq, "bid": bid, "ask": ask, "volume": volume, "lp": source,
        "received": received,
    })
}
