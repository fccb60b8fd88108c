//! A tick, from the texts of its fields.

use tallybook_core::{Tick, TickFlags, Timestamp};

use super::{Names, Readable, Values};

const SYMBOL: usize = 0;
const TIMESTAMP: usize = 1;
const BID: usize = 2;
const ASK: usize = 3;
const VOLUME: usize = 4;
const LP: usize = 5;
const SEQ: usize = 6;
const FLAGS: usize = 7;
const RECEIVED: usize = 8;
const BROKER: usize = 9;

impl Readable for Tick {
    const FIELDS: &'static [&'static [&'static str]] = &[
        &["symbol"],
        &["timestamp", "time"],
        &["bid"],
        &["ask"],
        &["volume"],
        &["lp", "source", "lp_source"],
        &["seq"],
        &["flags"],
        &["received", "created_at"],
        &["broker_id"],
    ];
    const NEEDED: &'static [&'static [usize]] = &[&[SYMBOL], &[TIMESTAMP], &[BID, ASK]];

    fn from_values(values: &Values<'_>, names: &mut Names, received: Timestamp) -> Result<Self, String> {
        let symbol = names.get(values.needed::<Self>(SYMBOL)?);
        values.needed::<Self>(TIMESTAMP)?;
        let (bid, ask) = (values.decimal::<Self>(BID)?, values.decimal::<Self>(ASK)?);
        let seq = values.whole::<Self>(SEQ)?;
        let mut flags = TickFlags::of_sides(bid, ask);
        // An export says which numbers were assigned. A 0 stays the producer's: the writer would assign another.
        let was_assigned = values.text(FLAGS).is_some_and(|flags| flags.contains("seq_assigned")) && seq != Some(0);
        if seq.is_none() || was_assigned {
            flags = flags.with(TickFlags::SEQ_ASSIGNED);
        }
        let tick = Self {
            symbol,
            time: values.moment::<Self>(TIMESTAMP)?.unwrap_or_default(),
            seq: seq.unwrap_or(0),
            bid,
            ask,
            volume: values.decimal::<Self>(VOLUME)?,
            // Where nobody is said to quote, the broker does.
            source: names.get(values.text(LP).or_else(|| values.text(BROKER)).unwrap_or_default()),
            flags,
            received: values.moment::<Self>(RECEIVED)?.unwrap_or(received),
        };
        match tick.defect() {
            None => Ok(tick),
            Some(defect) => Err(defect.to_owned()),
        }
    }
}
