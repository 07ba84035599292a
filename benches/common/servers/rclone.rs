//! `rclone serve sftp` of a folder with its defaults: no file cache (`--vfs-cache-mode off`, so nothing is
//! written twice), but names are cached in memory for five minutes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Peer, Server, free_port};
use crate::common::fixture::Fixture;

/// With keys, rclone accepts any name.
const USER: &str = "bench";

pub(super) fn start(program: &Path, fixture: &Fixture, folder: &Path) -> Result<Server> {
    let host_key = fixture.make_key(folder.join("host_key"))?;
    let (port, supervised) = free_port::start(folder, |port| {
        let mut command = Command::new(program);
        command.args(["serve", "sftp"]).arg(fixture.home());
        command.args(["--addr", &format!("127.0.0.1:{port}")]);
        command.arg("--key").arg(&host_key);
        command
            .arg("--authorized-keys")
            .arg(fixture.client_key().with_extension("pub"));
        // Without the user's own configuration.
        command.args(["--config", "/dev/null"]);
        command.arg("--cache-dir").arg(folder.join("cache"));
        Ok(command)
    })?;
    let user = USER.to_owned();
    Server::started(Peer::Rclone, port, user, supervised, fixture, &host_key)
}
