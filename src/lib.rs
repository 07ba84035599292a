//! Landfall: an SFTP server for people who are not system users.
//!
//! The modules from the top down; imports point down only:
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`], [`config`] | the commands and their arguments; config.toml, raw then checked |
//! | [`admin`] | what the operator's commands do |
//! | [`top`] | the running server, seen live in a terminal |
//! | [`server`] | the composition root: listeners, shards, shutdown |
//! | [`fence`] | what the kernel lets the server touch |
//! | [`admission`] | which connections are taken, and which sources are kept out |
//! | [`log`] | where the log goes, and in which form |
//! | [`live`] | open sessions go on as their accounts are |
//! | [`sweep`] | removes what a crash left of uploads |
//! | [`ssh`] | the adapter to russh: logins, channels, the stream |
//! | [`sftp`], [`scp`] | the SFTP engine; scp's older protocol |
//! | [`commands`] | the small commands of a person: `quota` |
//! | [`authorized_keys`] | the answer to clients that write that file |
//! | [`pipe`], [`command_line`] | the bytes of a channel; a command line in words |
//! | `pieces`, `blocks`, `pool` | what has come of a stream; memory for downloads; the blocking pool |
//! | [`vfs`] | the verbs that all services share |
//! | [`session`], [`sessions`] | the proof of a login; all that are open |
//! | [`bandwidth`], [`descriptors`] | how fast files may move; how many an account may hold open |
//! | `disks` | which disk holds a home; how many homes of each are worked on at once |
//! | [`portions`], `by_account` | what one account may hold of what all share; what all its sessions have in common |
//! | [`failed_logins`] | those that were none, for whoever watches |
//! | [`transfers`] | which files are being moved, and how far they are |
//! | [`accounts`] | who somebody is |
//! | [`rules`] | what an account may do, and who may log in to it |
//! | [`quota`] | what an account uses, exactly |
//! | [`witness`] | sees what a session does, for the next two |
//! | [`audit`] | the trail of who did what |
//! | [`metrics`] | what the server does, in numbers |
//! | [`hashes`] | hashes of files, and which are known |
//! | [`store`] | the file system of one home |
//! | [`phase`] | how far the server is on its way to its end |
//! | [`path`], [`error`] | paths as peers write them; the typed errors |
//! | [`database`] | the file that accounts and figures are in |
//! | [`calendar`], [`units`], [`user_name`], [`chain`] | dates in UTC; sizes as people write them; names of accounts; errors with their causes |

pub mod accounts;
pub mod admin;
pub mod admission;
pub mod audit;
pub mod authorized_keys;
pub mod bandwidth;
mod blocks;
mod by_account;
pub mod calendar;
pub mod chain;
pub mod cli;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod database;
pub mod descriptors;
mod disks;
pub mod error;
pub mod failed_logins;
pub mod fence;
pub mod glob;
pub mod hashes;
pub mod live;
pub mod log;
pub mod metrics;
pub mod path;
pub mod phase;
mod pieces;
pub mod pipe;
pub mod pool;
pub mod portions;
pub mod quota;
pub mod rules;
pub mod scp;
pub mod server;
pub mod session;
pub mod sessions;
pub mod sftp;
pub mod signals;
pub mod ssh;
pub mod store;
pub mod sweep;
pub mod top;
pub mod transfers;
pub mod units;
pub mod user_name;
pub mod vfs;
pub mod witness;
