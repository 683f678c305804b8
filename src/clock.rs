//! The wall clock, read here alone: times of runs and their ids. No time ever reaches an artifact.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the present time as RFC 3339 in UTC, with milliseconds so that runs sort by it.
pub fn now() -> String {
    rfc3339(since_epoch())
}

/// Returns the time so long ago, as [`now`] writes it.
pub fn ago(age: Duration) -> String {
    rfc3339(since_epoch().saturating_sub(age))
}

/// Returns the id of this process's run: it sorts by time, and no two processes share one.
pub fn run_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    let new = || {
        let time: String = now().chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{time}-{}", std::process::id())
    };
    ID.get_or_init(new).clone()
}

/// Returns the time since 1970-01-01.
pub fn since_epoch() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the one clock of the program: run ids and records")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Writes a time since 1970-01-01 as [`now`] does.
pub fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since_epoch.subsec_millis())
}

/// Turns days since 1970-01-01 into year, month, day.
/// Source: Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_run_id_is_a_plain_file_name() {
        assert!(run_id().chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    }
}
