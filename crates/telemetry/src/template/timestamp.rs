//! Time stamps with a space or the name of a month in them. All others are digits and joints, which become one `<*>`
//! without being understood.

/// True for a chunk that is the name of a day or of a month, as syslog and Apache's error log begin.
pub(super) fn may_start(chunk: &[u8]) -> bool {
    chunk.len() == 3 && (is_month(chunk) || is_weekday(chunk))
}

/// Where the time stamp that starts at `start` ends, if one does and no letter or digit follows it.
pub(super) fn end(input: &[u8], start: usize) -> Option<usize> {
    let mut cursor = Cursor { input, at: start };
    if input[start].is_ascii_digit() {
        // The common number is told apart by one look.
        input.get(start + 1..start + 6)?.iter().find(|byte| matches!(byte, b'-' | b'/' | b'.' | b' '))?;
        if !(cursor.numeric_date() || cursor.rewound(start).day_month_year()) {
            return None;
        }
    } else {
        if cursor.name(is_weekday) {
            cursor.optional(b",");
            cursor.spaces().then_some(())?;
        }
        let date = cursor.at;
        if !(cursor.month_day_time() || cursor.rewound(date).day_month_year()) {
            return None;
        }
    }
    cursor.boundary().then_some(cursor.at)
}

fn is_month(name: &[u8]) -> bool {
    matches!(
        name,
        b"Jan" | b"Feb" | b"Mar" | b"Apr" | b"May" | b"Jun" | b"Jul" | b"Aug" | b"Sep" | b"Oct" | b"Nov" | b"Dec"
    )
}

fn is_weekday(name: &[u8]) -> bool {
    matches!(name, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn rewound(&mut self, to: usize) -> &mut Self {
        self.at = to;
        self
    }

    fn digits(&mut self, least: usize, most: usize) -> bool {
        let count = self.input[self.at..].iter().take(most + 1).take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (least..=most).contains(&count)
    }

    fn one_of(&mut self, set: &[u8]) -> bool {
        let found = self.input.get(self.at).is_some_and(|byte| set.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn optional(&mut self, set: &[u8]) {
        self.one_of(set);
    }

    /// One or two spaces: a day below ten is padded.
    fn spaces(&mut self) -> bool {
        let found = self.one_of(b" ");
        self.optional(b" ");
        found
    }

    fn name(&mut self, known: fn(&[u8]) -> bool) -> bool {
        let found = self.input.get(self.at..self.at + 3).is_some_and(known);
        self.at += if found { 3 } else { 0 };
        found
    }

    fn boundary(&self) -> bool {
        !self.input.get(self.at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'<' || !byte.is_ascii())
    }

    /// `2006-01-02 15:04:05.000`, in any order of the numbers.
    fn numeric_date(&mut self) -> bool {
        self.digits(1, 4)
            && self.one_of(b"-/.")
            && self.digits(1, 2)
            && self.one_of(b"-/.")
            && self.digits(1, 4)
            && self.one_of(b" ")
            && self.time_and_zone()
    }

    /// `02/Jan/2006`, perhaps with `:15:04:05 -0700`; also with dashes or spaces.
    fn day_month_year(&mut self) -> bool {
        let date =
            self.digits(1, 2) && self.one_of(b"/- ") && self.name(is_month) && self.one_of(b"/- ") && self.digits(4, 4);
        let end = self.at;
        if date && !(self.one_of(b": ") && self.time_and_zone() && self.boundary()) {
            self.at = end;
        }
        date
    }

    /// `Jan  2 15:04:05`, perhaps with the year.
    fn month_day_time(&mut self) -> bool {
        let found = self.name(is_month) && self.spaces() && self.digits(1, 2) && self.spaces() && self.time();
        let end = self.at;
        if found && !(self.one_of(b" ") && self.digits(4, 4) && self.boundary()) {
            self.at = end;
        }
        found
    }

    fn time(&mut self) -> bool {
        let found = self.digits(1, 2) && self.one_of(b":") && self.digits(2, 2);
        let minutes = self.at;
        if found && !(self.one_of(b":") && self.digits(2, 2)) {
            self.at = minutes;
        }
        let seconds = self.at;
        if found && !(self.one_of(b".,") && self.digits(1, 9)) {
            self.at = seconds;
        }
        found
    }

    fn time_and_zone(&mut self) -> bool {
        let found = self.time();
        let end = self.at;
        if found && !self.one_of(b"Z") {
            self.optional(b" ");
            let zone = self.one_of(b"+-") && self.digits(2, 4) && {
                let hours = self.at;
                if !(self.one_of(b":") && self.digits(2, 2)) {
                    self.at = hours;
                }
                self.boundary()
            };
            if !zone {
                self.at = end;
            }
        }
        found
    }
}
