//! The clients that people have, each with what it can do: files, folders, names, times, links,
//! space, hashes, resume. What each sends is in docs/clients.md.

mod curl;
mod jsch;
mod lftp;
mod packaged;
mod putty;
mod rclone;
mod russh_sftp;
mod scripts;
mod sshfs;
