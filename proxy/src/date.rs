//! Dates as HTTP and access logs write them, in UTC.
//!
//! Not here: the clock.

/// A moment, taken apart (proleptic Gregorian calendar).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u64,
    month: u64,
    day: u64,
    weekday: u64,
    second: u64,
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl Date {
    /// So many seconds after 1970 began.
    #[must_use]
    pub fn of(seconds: u64) -> Self {
        let days = seconds / 86_400;
        // Years that begin in March have the leap day at their end (Howard Hinnant,
        // "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let month = if march < 10 { march + 3 } else { march - 9 };
        Self {
            year: year + era * 400 + u64::from(month <= 2),
            month,
            day: of_year - (153 * march + 2) / 5 + 1,
            weekday: days % 7,
            second: seconds % 86_400,
        }
    }

    fn clock(self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }

    fn month_name(self) -> &'static str {
        usize::try_from(self.month - 1).map_or("", |month| MONTHS[month % 12])
    }

    /// As `Date` has it (RFC 9110 section 5.6.7).
    #[must_use]
    pub fn http(self) -> String {
        let (hour, minute, second) = self.clock();
        let weekday = usize::try_from(self.weekday).map_or("", |day| DAYS[day % 7]);
        let Self { year, day, .. } = self;
        let month = self.month_name();
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// As the combined log format has it.
    #[must_use]
    pub fn combined(self) -> String {
        let (hour, minute, second) = self.clock();
        let Self { year, day, .. } = self;
        let month = self.month_name();
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    /// As RFC 3339 has it, up to the second and without the `Z`.
    #[must_use]
    pub fn iso(self) -> String {
        let (hour, minute, second) = self.clock();
        let Self {
            year, month, day, ..
        } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn dates_are_those_of_the_standards() {
        // RFC 9110 section 5.6.7 has this one.
        assert_eq!(
            Date::of(784_111_777).http(),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        assert_eq!(Date::of(0).http(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Date::of(951_782_400).iso(), "2000-02-29T00:00:00");
        assert_eq!(Date::of(4_107_542_399).iso(), "2100-02-28T23:59:59");
        assert_eq!(Date::of(4_107_542_400).iso(), "2100-03-01T00:00:00");
        assert_eq!(
            Date::of(784_111_777).combined(),
            "06/Nov/1994:08:49:37 +0000"
        );
    }
}
