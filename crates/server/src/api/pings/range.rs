//! The time range of a request.

use tallybook_core::{TimeRange, Timestamp};

use crate::api::error::ApiError;

/// From `from` to `to`: `to` is now unless given, `from` is `default` nanoseconds before it.
pub(super) fn range(from: Option<Timestamp>, to: Option<Timestamp>, default: i64) -> Result<TimeRange, ApiError> {
    // What was sent this moment is inside.
    let to = to.unwrap_or_else(|| Timestamp::now().earlier(-1));
    let range = TimeRange { from: from.unwrap_or_else(|| to.earlier(default)), to };
    if range.from >= range.to {
        return Err(ApiError::invalid_query(format!("from: {} is not before to: {}", range.from, range.to)));
    }
    Ok(range)
}
