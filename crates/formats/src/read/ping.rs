//! A ping, from the texts of its fields.

use tallybook_core::{Ping, Timestamp};

use super::{Names, Readable, Values};

const TARGET: usize = 0;
const TIMESTAMP: usize = 1;
const LATENCY: usize = 2;
const SUCCESS: usize = 3;
const TTL: usize = 4;
const PACKET_SIZE: usize = 5;
const SEQUENCE: usize = 6;
const JITTER: usize = 7;
const ERROR: usize = 8;

impl Readable for Ping {
    const FIELDS: &'static [&'static [&'static str]] = &[
        &["target"],
        &["timestamp", "ts", "time"],
        &["latency_ms"],
        &["success"],
        &["ttl"],
        &["packet_size"],
        &["sequence"],
        &["jitter_ms"],
        &["error"],
    ];
    const NEEDED: &'static [&'static [usize]] = &[&[TARGET], &[TIMESTAMP]];

    fn from_values(values: &Values<'_>, names: &mut Names, _received: Timestamp) -> Result<Self, String> {
        values.needed::<Self>(TIMESTAMP)?;
        let latency = values.milliseconds::<Self>(LATENCY)?;
        let ping = Self {
            target: names.get(values.needed::<Self>(TARGET)?),
            time: values.moment::<Self>(TIMESTAMP)?.unwrap_or_default(),
            latency,
            success: values.boolean::<Self>(SUCCESS)?.unwrap_or(latency.is_some()),
            ttl: values.whole::<Self>(TTL)?,
            packet_size: values.whole::<Self>(PACKET_SIZE)?,
            sequence: values.whole::<Self>(SEQUENCE)?,
            jitter: values.milliseconds::<Self>(JITTER)?,
            error: values.text(ERROR).filter(|error| !error.is_empty()).map(|error| names.get(error)),
        };
        match ping.defect() {
            None => Ok(ping),
            Some(defect) => Err(defect.to_owned()),
        }
    }
}
