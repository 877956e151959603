//! What the programs have in common: ending early, schemas from files, dates.

use model::{Json, Schema};
use std::process::ExitCode;

/// What ends a program early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Text for stdout; exit status 0.
    Print(String),
    /// A sentence for stderr, after the program's name; exit status 1.
    Fail(String),
    /// The same without the program's name.
    Plain(String),
    Exit(u8),
}

impl From<String> for Stop {
    fn from(text: String) -> Stop {
        Stop::Fail(text)
    }
}

impl From<model::Error> for Stop {
    fn from(error: model::Error) -> Stop {
        Stop::Fail(error.to_string())
    }
}

pub(crate) type Result<T> = std::result::Result<T, Stop>;

/// Says why, and gives the exit status.
pub(crate) fn report(program: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Fail(text)) => {
            eprintln!("{program}: {text}");
            ExitCode::FAILURE
        }
        Err(Stop::Plain(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
        Err(Stop::Exit(code)) => ExitCode::from(code),
    }
}

/// Reads a schema from its JSON file.
pub(crate) fn read_schema(path: &str) -> Result<Schema> {
    let unreadable = |why: String| {
        let message = format!("\"{path}\" could not be read as JSON ({why})");
        model::Error::new("failed to read schema", message)
    };
    let bytes = std::fs::read(path)
        .map_err(|e| unreadable(format!("error opening \"{path}\": {}", rpc::error_text(&e))))?;
    let json: Json = base::json::parse(&bytes).map_err(|e| unreadable(e.to_string()))?;
    let schema = Schema::from_json(&json);
    Ok(schema.map_err(|e| e.wrap(&format!("failed to parse \"{path}\" as ovsdb schema")))?)
}

/// JSON from the command line.
pub(crate) fn parse_json(text: &str) -> Result<Json> {
    base::json::parse(text.as_bytes()).map_err(|e| Stop::Fail(format!("\"{text}\": {e}")))
}

/// "2024-02-29 12:00:00.123", of milliseconds since 1970 in UTC.
pub(crate) fn date_text(ms: i64) -> String {
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days are counted from 1 March of the year 0, so that leap days come last (Howard Hinnant).
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + 400 * era + i64::from(month <= 2);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
}

/// The same, of now.
pub(crate) fn now_text() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    date_text(i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400_123, "2000-02-29 00:00:00.123"),
            (1_709_251_199_999, "2024-02-29 23:59:59.999"),
        ] {
            assert_eq!(date_text(ms), text);
        }
    }
}
