//! Ticks that cannot be there yet, by COPY: nothing has to be compared with what is there.

use bytes::{BufMut as _, BytesMut};
use deadpool_postgres::Transaction;
use futures_util::SinkExt as _;

use super::insert::Numbered;
use super::shape;

const COPY: &str =
    r#"COPY tick ("time", seq, received, bid, ask, volume, symbol, source, shape) FROM STDIN (FORMAT binary)"#;
const COLUMNS: i16 = 9;
/// What a file of COPY begins with: its signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
/// Sent together; the next part is made while the database reads this one.
const PART_BYTES: usize = 256 << 10;
/// The longest row: nine lengths, six numbers of 8 bytes and three of 4.
const ROW_BYTES: usize = 2 + 9 * 4 + 6 * 8 + 3 * 4;

/// Adds ticks; says how many.
pub(super) async fn copy(transaction: &Transaction<'_>, ticks: &[Numbered<'_>]) -> Result<u64, tokio_postgres::Error> {
    let sink = transaction.copy_in(COPY).await?;
    let mut sink = std::pin::pin!(sink);
    let mut part = BytesMut::with_capacity(PART_BYTES + ROW_BYTES);
    part.put_slice(HEAD);
    for tick in ticks {
        write(&mut part, tick);
        if part.len() >= PART_BYTES {
            sink.send(part.split().freeze()).await?;
            part.reserve(PART_BYTES + ROW_BYTES);
        }
    }
    part.put_i16(END);
    sink.send(part.freeze()).await?;
    sink.as_mut().finish().await
}

fn write(to: &mut BytesMut, Numbered { tick, symbol, source, .. }: &Numbered<'_>) {
    to.put_i16(COLUMNS);
    for number in [tick.time.0, tick.seq.cast_signed(), tick.received.0] {
        to.put_i32(8);
        to.put_i64(number);
    }
    for price in [tick.bid, tick.ask, tick.volume] {
        match price {
            Some(price) => {
                to.put_i32(8);
                to.put_i64(price.mantissa());
            }
            None => to.put_i32(-1),
        }
    }
    for number in [*symbol, *source, shape::pack(tick)] {
        to.put_i32(4);
        to.put_i32(number);
    }
}
