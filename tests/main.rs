//! All black-box tests except those in `alone.rs`: one program, since linking forty takes longer than
//! running them.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admission;
mod algorithms;
mod audit;
mod backup;
mod bad_input;
mod certificates;
mod commands;
mod common;
mod config;
mod confinement;
mod copy_data;
mod copy_file;
mod data_folder;
mod declared;
mod disks;
mod docs;
mod file_size_limit;
mod guest;
mod hard_walks;
mod hashes;
mod hashing;
mod hostile;
mod hung_homes;
mod interop;
mod live;
mod log;
mod login;
mod login_reasons;
mod login_rules;
mod metrics;
mod overwrite;
mod packaging;
mod permissions;
mod proxy;
mod quota;
mod quota_crash;
mod quota_model;
mod reload;
mod resume;
mod revoked_keys;
mod rules;
mod sandbox;
mod scp;
mod seccomp;
mod security_keys;
mod sessions;
mod sftp_openssh;
mod shares;
mod stop;
mod stuck;
mod supervisor;
mod top;
mod under_load;
mod users;
mod winscp;
mod working_directory;
