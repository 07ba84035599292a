//! What an operator types: the command line, what its commands do, and `landfall top`.

pub mod cli;
pub mod commands;
mod output;
pub mod top;
