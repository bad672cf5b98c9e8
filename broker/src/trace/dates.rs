//! Milliseconds since 1970 as a date in UTC.

use crate::time::Millis;

/// Such as `2023-11-14T22:13:20.000Z`; `None` outside the years 1 to 9999.
pub(super) fn date(time: Millis) -> Option<String> {
    let (day, in_day) = (time.div_euclid(86_400_000), time.rem_euclid(86_400_000));
    // Years that begin in March, so that the leap day is the last one; counted from the year 0 in eras of 400 years.
    let from_march = day.checked_add(719_468)?;
    let (era, in_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_in_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_in_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, millis) = (in_day / 1_000 % 60, in_day % 1_000);
    (1..=9999).contains(&year).then(|| {
        format!(
            "{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (time, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(time).unwrap(), expected, "{time}");
        }
        assert_eq!((date(i64::MIN), date(i64::MAX)), (None, None));
    }
}
