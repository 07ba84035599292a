//! Landfall: an SFTP server for people who are not system users.
//!
//! The modules from the top down; imports point down only:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | config.toml, raw then checked |
//! | [`store`] | the file system of one home |
//! | [`accounts`] | who somebody is |
//! | [`path`], [`error`] | paths as peers write them; the typed errors |

pub mod accounts;
pub mod config;
pub mod error;
pub mod path;
pub mod server;
pub mod session;
pub mod sftp;
pub mod ssh;
pub mod store;
pub mod vfs;
