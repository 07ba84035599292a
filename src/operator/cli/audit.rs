//! `landfall audit`

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Format;
use crate::observe::audit::{Ending, KINDS};
use crate::rules::Network;
use crate::values::path::VPath;
use crate::values::time::{self, parse_rfc3339};
use crate::values::units::parse_duration;

/// `landfall audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Show the last ten events, then follow.
    #[arg(long, short)]
    pub follow: bool,
    /// Show the last COUNT of the events only.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Events of this user, and changes of their account.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Nothing older than 30m, 12h or 7d, or than a date in UTC: 2026-11-21, 2026-11-21T01:19.
    #[arg(long, value_name = "AGE|DATE", value_parser = time)]
    pub since: Option<i64>,
    /// Nothing from this time on, in the same forms.
    #[arg(long, value_name = "AGE|DATE", value_parser = time)]
    pub until: Option<i64>,
    /// Events of these kinds only.
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS))]
    pub event: Vec<String>,
    /// Events of this file or folder and of what lies in it, as /in/a.pdf from the home; without a slash in
    /// front, of files and folders of this name anywhere.
    #[arg(long, value_name = "PATH", value_parser = wanted_path)]
    pub path: Option<WantedPath>,
    /// Events of the session of this number, and its kill. Numbers begin anew with each start of the server.
    #[arg(long, value_name = "ID")]
    pub session: Option<u64>,
    /// Events of clients at this address or in this network, and its bans.
    #[arg(long, value_name = "ADDRESS|NETWORK")]
    pub source: Option<Network>,
    /// Uploads and downloads that ended so.
    #[arg(long, value_name = "RESULT", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Ending::ALL.map(Ending::name)))]
    pub result: Vec<String>,
    /// How it is shown: as JSON, the lines are those of the audit log.
    #[command(flatten)]
    pub format: Format,
}

/// The path that events are to have.
#[derive(Debug, Clone)]
pub struct WantedPath {
    /// The path, or its last names.
    pub path: VPath,
    /// In any folder.
    pub is_anywhere: bool,
}

fn wanted_path(text: &str) -> Result<WantedPath, String> {
    let path = VPath::parse(text.as_bytes()).map_err(|fault| fault.to_string())?;
    let is_anywhere = !text.starts_with('/');
    if is_anywhere && path.is_home() {
        return Err("the home of each account is /".to_owned());
    }
    Ok(WantedPath { path, is_anywhere })
}

/// In seconds since 1970-01-01 00:00 UTC.
fn time(text: &str) -> Result<i64, String> {
    let age = parse_duration(text).and_then(|age| i64::try_from(age.as_secs()).ok());
    age.map(|age| time::now().saturating_sub(age))
        .or_else(|| parse_rfc3339(text))
        .ok_or_else(|| "this must be an age such as 12h, or a date such as 2026-11-21".to_owned())
}
