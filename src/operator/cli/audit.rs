//! `landfall audit`

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::ArgValueCompleter;

use super::OutputFormat;
use crate::observe::audit::KINDS;
use crate::observe::outcome::TransferResult;
use crate::operator::commands::complete::user_names;
use crate::rules::Network;
use crate::values::label::Label as _;
use crate::values::path::VPath;
use crate::values::time;
use crate::values::units::parse_duration;

/// `landfall audit`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  landfall audit --follow
  landfall audit --since 7d --event remove --path invoice.pdf     who deleted invoice.pdf
  landfall audit --user anna --event upload --result cut,failed   uploads that did not complete
  landfall audit --source 192.0.2.0/24 --limit 20")]
pub struct AuditFilter {
    /// Show the last ten events, then follow
    #[arg(long, short)]
    pub follow: bool,
    /// Show only the last COUNT events
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Events of this user, and changes of their account
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(user_names))]
    pub user: Option<String>,
    /// Start at this age (30m, 12h, 7d) or time in UTC (2026-11-21, 2026-11-21T01:19)
    #[arg(long, value_name = "AGE|DATE", value_parser = time)]
    pub since: Option<i64>,
    /// End before this age or time, in the same forms
    #[arg(long, value_name = "AGE|DATE", value_parser = time)]
    pub until: Option<i64>,
    /// Only events of these kinds
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS))]
    pub event: Vec<String>,
    /// Events of this file or directory and everything in it, relative to the home (/in/a.pdf); without
    /// a leading slash, of any file or directory of this name
    #[arg(long, value_name = "PATH", value_parser = wanted_path)]
    pub path: Option<WantedPath>,
    /// Events of this session, and its kill; ids start again when the server restarts
    #[arg(long, value_name = "ID")]
    pub session: Option<u64>,
    /// Events of clients at this address or in this network, and bans of it
    #[arg(long, value_name = "ADDRESS|NETWORK")]
    pub source: Option<Network>,
    /// Only uploads and downloads with this result
    #[arg(long, value_name = "RESULT", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(TransferResult::ALL.iter().map(|result| result.name())))]
    pub result: Vec<String>,
    /// How to print it: in JSON, the lines of the audit log itself.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// The path to look for in events.
#[derive(Debug, Clone)]
pub struct WantedPath {
    /// The path, or its last components.
    pub path: VPath,
    /// Whether it may be below any directory.
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

/// Parses an age or a date; seconds since 1970-01-01 00:00 UTC.
fn time(text: &str) -> Result<i64, String> {
    let age = parse_duration(text).and_then(|age| i64::try_from(age.as_secs()).ok());
    age.map(|age| time::now().saturating_sub(age))
        .or_else(|| time::parse(text))
        .ok_or_else(|| "expected an age such as 12h, or a date such as 2026-11-21".to_owned())
}
