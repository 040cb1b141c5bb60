//! RFC 867 against known dates and against a calendar that counts day by day.

use proptest::prelude::*;
use sockeye_proto::daytime::{Civil, line};

#[test]
fn known_moments_print_as_the_rfc_does() {
    for (unix, offset, expected) in [
        (0, 0, "Thursday, January 1, 1970 00:00:00-UTC"),
        (-1, 0, "Wednesday, December 31, 1969 23:59:59-UTC"),
        (1_795_229_340, 0, "Saturday, November 21, 2026 02:49:00-UTC"),
        (
            1_795_229_340,
            8 * 3600,
            "Saturday, November 21, 2026 10:49:00-UTC+08:00",
        ),
        (
            1_795_229_340,
            -(3 * 3600 + 1800),
            "Friday, November 20, 2026 23:19:00-UTC-03:30",
        ),
        (
            1_795_229_340,
            5 * 3600 + 2700,
            "Saturday, November 21, 2026 08:34:00-UTC+05:45",
        ),
        (951_782_400, 0, "Tuesday, February 29, 2000 00:00:00-UTC"),
        (951_868_799, 0, "Tuesday, February 29, 2000 23:59:59-UTC"),
        (951_868_800, 0, "Wednesday, March 1, 2000 00:00:00-UTC"),
        (1_709_208_000, 0, "Thursday, February 29, 2024 12:00:00-UTC"),
        (2_147_483_647, 0, "Tuesday, January 19, 2038 03:14:07-UTC"),
        (2_147_483_648, 0, "Tuesday, January 19, 2038 03:14:08-UTC"),
        (4_107_542_399, 0, "Sunday, February 28, 2100 23:59:59-UTC"),
        (4_107_542_400, 0, "Monday, March 1, 2100 00:00:00-UTC"),
        (-2_208_988_800, 0, "Monday, January 1, 1900 00:00:00-UTC"),
        (-62_135_596_800, 0, "Monday, January 1, 1 00:00:00-UTC"),
        (-62_135_596_801, 0, "Sunday, December 31, 0 23:59:59-UTC"),
        (253_402_300_799, 0, "Friday, December 31, 9999 23:59:59-UTC"),
    ] {
        assert_eq!(Civil::at(unix, offset).to_string(), expected);
        assert_eq!(line(unix, offset), format!("{expected}\r\n"));
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Two full cycles of the calendar, a day at a time.
#[test]
fn every_day_follows_the_one_before() {
    let (mut year, mut month, mut day, mut weekday) = (1, 1, 1, 1);
    let mut unix = -62_135_596_800;
    while year < 801 {
        let civil = Civil::at(unix, 0);
        assert_eq!(
            (civil.year, civil.month, civil.day, civil.weekday),
            (year, month, day, weekday)
        );
        unix += 24 * 3600;
        weekday = (weekday + 1) % 7;
        day += 1;
        if day > days_in(year, month) {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    // The same calendar reaches our days.
    while year < 2101 {
        year += 1;
        unix += if is_leap(year - 1) { 366 } else { 365 } * 24 * 3600;
        let civil = Civil::at(unix, 0);
        assert_eq!((civil.year, civil.month, civil.day), (year, 1, 1));
    }
}

#[test]
fn fields_out_of_range_print_without_a_panic() {
    let civil = Civil {
        month: 0,
        weekday: 9,
        ..Civil::at(0, 0)
    };
    assert_eq!(civil.to_string(), ",  1, 1970 00:00:00-UTC");
    let civil = Civil {
        month: 255,
        offset: i32::MIN,
        ..Civil::at(0, 0)
    };
    assert!(civil.to_string().ends_with("-UTC-596523:14"));
}

proptest! {
    #[test]
    fn any_moment_is_one_line_of_ascii(unix in any::<i64>(), offset in any::<i32>()) {
        for unix in [unix, i64::MAX, i64::MIN] {
            let line = line(unix, offset);
            prop_assert!(line.is_ascii() && line.ends_with("\r\n"));
            prop_assert_eq!(line.matches(['\r', '\n']).count(), 2);
            let civil = Civil::at(unix, offset);
            prop_assert!((1..=12).contains(&civil.month));
            prop_assert!((1..=days_in(civil.year, civil.month)).contains(&civil.day));
        }
    }
}
