//! Landfall: an SFTP server for accounts that are not system users.
//!
//! Its modules from the top down. Imports point down only; `tests/layout.rs` checks that.
//!
//! | module | what it does |
//! |---|---|
//! | [`operator`] | the command line of the operator: its commands, `landfall top` |
//! | [`server`] | the composition root: listeners, worker threads, background jobs, shutdown |
//! | [`control`] | the protocol of the control socket between the two above |
//! | [`ssh`] | the adapter to russh: logins, channels, the stream |
//! | [`sftp`], [`scp`] | the SFTP engine; scp's older protocol |
//! | [`exec`] | the small commands of an exec request: checksums, `df`, `quota` |
//! | [`vfs`] | the operations that all services share |
//! | [`session`] | the proof of a login, and the resources of a session |
//! | [`sandbox`] | the kernel's restrictions of the process |
//! | [`config`] | config.toml, with the position of every fault |
//! | [`quota`] | exact usage and quota of accounts |
//! | [`store`] | the file system of one home |
//! | [`accounts`] | accounts and their credentials |
//! | [`admission`] | which connections are accepted before a login |
//! | [`rules`] | what an account may do, and from where |
//! | [`observe`] | the log, the audit log, the metrics |
//! | [`error`] | the typed errors of operations |
//! | [`database`] | the data folder and the database in it |
//! | [`hashes`] | hashes of files, and the known ones |
//! | [`io`] | buffers, threads, disks, and how accounts share them |
//! | [`values`] | paths, sizes, times, names |

pub mod accounts;
pub mod admission;
pub mod config;
pub mod control;
pub mod database;
pub mod error;
pub mod exec;
pub mod hashes;
pub mod io;
pub mod observe;
pub mod operator;
pub mod quota;
pub mod rules;
pub mod sandbox;
pub mod scp;
pub mod server;
pub mod session;
pub mod sftp;
pub mod ssh;
pub mod store;
pub mod values;
pub mod vfs;
