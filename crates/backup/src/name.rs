//! The names of backups: `backup_YYYYMMDD_HHMMSS`, in UTC, and `_n` behind it for the second one of a second and on.

use std::fmt;
use std::str::FromStr;

use tallybook_core::Timestamp;

const PREFIX: &str = "backup_";

/// The name of a backup. Later ones are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupName {
    /// `YYYYMMDD_HHMMSS`.
    moment: String,
    /// 1 for the first of a second.
    number: u32,
}

impl BackupName {
    /// The name of the `number`th backup that is taken in the second of `time`; counted from 1.
    pub(crate) fn new(time: Timestamp, number: u32) -> Self {
        let digits: String = time.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let (day, second) = digits.split_at_checked(8).unwrap_or((&digits, ""));
        Self { moment: format!("{day}_{second}"), number }
    }
}

impl BackupName {
    /// Its number, where it is of the second of `time`.
    pub(crate) fn number_within(&self, time: Timestamp) -> Option<u32> {
        (self.moment == Self::new(time, 1).moment).then_some(self.number)
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.moment)?;
        if self.number > 1 { write!(f, "_{}", self.number) } else { Ok(()) }
    }
}

impl FromStr for BackupName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not a backup such as backup_20261126_120000");
        let rest = text.strip_prefix(PREFIX).ok_or_else(refused)?;
        let (moment, number) = rest.split_at_checked(15).ok_or_else(refused)?;
        let right =
            moment.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'_' } else { byte.is_ascii_digit() });
        let number = match number.strip_prefix('_') {
            None if number.is_empty() => Some(1),
            None => None,
            Some(digits) => digits.parse().ok().filter(|number| *number > 1 && !digits.starts_with(['0', '+'])),
        };
        match number {
            Some(number) if right => Ok(Self { moment: moment.to_owned(), number }),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_sorted_by_time() {
        let time = Timestamp::parse("2026-11-26T06:07:08.9Z").unwrap();
        let names: Vec<BackupName> = [1, 2, 10].map(|number| BackupName::new(time, number)).into();
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["backup_20261126_060708", "backup_20261126_060708_2", "backup_20261126_060708_10"]);
        assert!(names.is_sorted());
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(text.parse::<BackupName>().as_ref(), Ok(name));
        }
    }

    #[test]
    fn other_names_are_no_backups() {
        for text in ["", "backup_", "backup_20261126_060708_", "backup_20261126_060708_1", "backup_20261126_060708_02"]
        {
            assert!(text.parse::<BackupName>().is_err(), "{text}");
        }
        for text in [
            "../backup_20261126_060708",
            "backup_20261126_060708/..",
            "backup_2026112é_60708",
            "backup_20261126-060708",
        ] {
            assert!(text.parse::<BackupName>().is_err(), "{text}");
        }
    }
}
