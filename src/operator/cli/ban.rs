//! `landfall ban ...`

use clap::{ArgGroup, Args, Subcommand};

use super::OutputFormat;
use crate::rules::Network;

/// `landfall ban ...`
#[derive(Debug, Subcommand)]
pub enum BanCommand {
    /// List the banned client addresses and the reasons
    #[command(after_help = "\
Examples:
  landfall ban list")]
    List(OutputFormat),
    /// Lift bans and forget the penalties
    #[command(after_help = "\
Examples:
  landfall ban lift 192.0.2.7
  landfall ban lift --all")]
    Lift(BanLift),
}

/// `landfall ban lift`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct BanLift {
    /// Address or network; lifts every ban in it or around it
    #[arg(value_name = "ADDRESS|NETWORK", group = "which")]
    pub network: Option<Network>,
    /// Lift all bans
    #[arg(long, group = "which")]
    pub all: bool,
}
