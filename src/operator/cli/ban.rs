//! The command line of bans.

use clap::{ArgGroup, Args, Subcommand};

use super::Format;
use crate::rules::Network;

/// `landfall ban ...`
#[derive(Debug, Subcommand)]
pub enum Ban {
    /// List the sources that are banned now, and why.
    List(Format),
    /// Let banned sources in again, with nothing held against them.
    Lift(Lift),
}

/// `landfall ban lift`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct Lift {
    /// An address or a network: every ban in it, or around it, is lifted.
    #[arg(value_name = "ADDRESS|NETWORK", group = "which")]
    pub network: Option<Network>,
    /// All of them.
    #[arg(long, group = "which")]
    pub all: bool,
}
