//! The operator's side: the command line, its commands, and `landfall top`.

pub mod cli;
pub mod commands;
mod output;
pub mod top;
