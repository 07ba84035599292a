//! Clients that need something written before they start.

use std::fs;
use std::process::Command;

use super::TestServer;

/// rclone with the server as `there:`.
pub fn rclone(server: &TestServer, args: &[&str]) -> Command {
    let config = server.local("rclone.conf");
    if !config.exists() {
        let text = format!(
            "[there]\ntype = sftp\nhost = 127.0.0.1\nport = {}\nuser = {}\nkey_file = {}\nknown_hosts_file = {}\n",
            server.port(),
            server.user(),
            server.key().display(),
            server.known_hosts().display()
        );
        fs::write(&config, text).unwrap();
    }
    let mut command = Command::new("rclone");
    command
        .arg("--config")
        .arg(config)
        .args(args)
        .current_dir(server.path("client"));
    command
}
