//! SFTPGo as its Debian package starts it (`serve`, with SQLite and its log on standard output), with one
//! user in the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Peer, Server, free_port};
use crate::common::fixture::Fixture;

const USER: &str = "bench";

pub(super) fn start(program: &Path, fixture: &Fixture, folder: &Path) -> Result<Server> {
    let host_key = fixture.make_key(folder.join("host_key"))?;
    let key = fs::read_to_string(fixture.client_key().with_extension("pub"))?;
    // It needs the templates of mails to start: from benches/peers, or from its package.
    let templates = [
        program.with_file_name("templates"),
        PathBuf::from("/usr/share/sftpgo/templates"),
    ];
    let templates = templates.into_iter().find(|folder| folder.is_dir());
    let templates = templates.context("its templates are not installed")?;
    let users = folder.join("users.json");
    let text = json!({
        "users": [{
            "username": USER,
            "status": 1,
            "public_keys": [key.trim()],
            "home_dir": fixture.home(),
            "permissions": {"/": ["*"]},
        }],
        "version": 17,
    });
    fs::write(&users, text.to_string())?;
    let (port, supervised) = free_port::start(folder, |port| {
        // Everything else has its default.
        let config = json!({
            // By default it refuses the 21st connection from an address.
            "common": {"max_per_host_connections": 0},
            "sftpd": {
                "bindings": [{"address": "127.0.0.1", "port": port}],
                "host_keys": [host_key],
            },
            // The web administration: its default port may be in use.
            "httpd": {"bindings": [{"port": 0}]},
            "smtp": {"templates_path": templates},
        });
        fs::write(folder.join("sftpgo.json"), config.to_string())?;
        let mut command = Command::new(program);
        command.args(["serve", "--log-file-path", "", "--config-dir"]);
        command.arg(folder).arg("--loaddata-from").arg(&users);
        Ok(command)
    })?;
    let user = USER.to_owned();
    Server::started(Peer::Sftpgo, port, user, supervised, fixture, &host_key)
}
