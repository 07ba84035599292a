//! `landfall audit`

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Format;
use crate::audit::KINDS;
use crate::calendar::{self, parse_rfc3339};
use crate::units::parse_duration;

/// `landfall audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Go on with what happens from now on, after the last ten.
    #[arg(long, short)]
    pub follow: bool,
    /// What this user did, or what was done with their account.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Nothing older than 30m, 12h or 7d, or than a date in UTC: 2026-11-21, 2026-11-21T01:19.
    #[arg(long, value_name = "AGE|DATE", value_parser = since)]
    pub since: Option<i64>,
    /// Events of these kinds alone.
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS))]
    pub event: Vec<String>,
    /// How it is shown: as JSON, the lines are as they stand in the trail.
    #[command(flatten)]
    pub format: Format,
}

/// In seconds since 1970-01-01 00:00 UTC.
fn since(text: &str) -> Result<i64, String> {
    let age = parse_duration(text).and_then(|age| i64::try_from(age.as_secs()).ok());
    age.map(|age| calendar::now().saturating_sub(age))
        .or_else(|| parse_rfc3339(text))
        .ok_or_else(|| "this must be an age such as 12h, or a date such as 2026-11-21".to_owned())
}
