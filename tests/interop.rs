//! Real clients with their features: files, directories, names, times, links, free space, hashes, resume.
//! docs/clients.md describes what each sends.

mod curl;
mod jsch;
mod lftp;
mod packaged;
mod putty;
mod rclone;
mod russh_sftp;
mod scripts;
mod sshfs;
