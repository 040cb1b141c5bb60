//! The date and time as a line of text: RFC 867.
//!
//! The RFC asks for one line of ASCII and no particular form of it. This is the form that it names
//! as popular, with the offset from UTC instead of a name, since names such as `CST` are ambiguous.

use std::fmt;

/// A moment of the proleptic Gregorian calendar at some offset from UTC.
///
/// ```
/// use sockeye_proto::daytime::Civil;
///
/// let moment = Civil::at(1_795_229_340, 8 * 3600);
/// assert_eq!((moment.year, moment.month, moment.day), (2026, 11, 21));
/// assert_eq!(moment.to_string(), "Saturday, November 21, 2026 10:49:00-UTC+08:00");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Civil {
    /// The year; 0 is the year before 1.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The day of the week, 0 (Sunday) to 6 (Saturday).
    pub weekday: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59: Unix time has no leap seconds.
    pub second: u8,
    /// Seconds east of UTC.
    pub offset: i32,
}

const DAY: i64 = 24 * 60 * 60;

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Civil {
    /// The moment `unix` seconds after 1970-01-01 00:00:00 UTC, as seen `offset` seconds east of UTC.
    ///
    /// Every value is a moment; at the very ends of `i64` the offset does not count.
    pub fn at(unix: i64, offset: i32) -> Civil {
        let local = unix.saturating_add(offset.into());
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = date(days);
        Civil {
            year,
            month,
            day,
            // 1970-01-01 was a Thursday.
            weekday: (days + 4).rem_euclid(7) as u8,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            offset,
        }
    }
}

/// Prints `Saturday, November 21, 2026 02:49:00-UTC`; at an offset, `…-UTC+08:00`.
impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fields are public: a wrong one prints as nothing rather than panics.
        let weekday = WEEKDAYS.get(usize::from(self.weekday)).unwrap_or(&"");
        let month = MONTHS.get(usize::from(self.month).wrapping_sub(1)).unwrap_or(&"");
        let Civil {
            year,
            day,
            hour,
            minute,
            second,
            offset,
            ..
        } = self;
        write!(
            f,
            "{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC"
        )?;
        if *offset == 0 {
            return Ok(());
        }
        let sign = if *offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// The answer of a daytime server: one line of ASCII with its CRLF.
///
/// `unix` is in seconds since 1970-01-01 00:00:00 UTC, `offset` in seconds east of UTC. Over TCP the
/// server sends it and closes; over UDP it answers any datagram with it.
///
/// ```
/// use sockeye_proto::daytime::line;
///
/// assert_eq!(line(1_795_229_340, 0), "Saturday, November 21, 2026 02:49:00-UTC\r\n");
/// ```
pub fn line(unix: i64, offset: i32) -> String {
    format!("{}\r\n", Civil::at(unix, offset))
}

/// Year, month and day of a number of days after 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year and the lengths of the
/// months before it follow one line: 153 days in each five months.
fn date(days: i64) -> (i64, u8, u8) {
    /// Days in 400 years, after which the calendar repeats.
    const ERA: i64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;

    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    // Take out the leap days that came before: one in 1,461 days, none in 36,524, one in the era.
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month as u8, day as u8)
}
