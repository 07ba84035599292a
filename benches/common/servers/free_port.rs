//! Starts a server that cannot choose a free port itself.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{PATIENCE, Supervised, appended, log_in};
use crate::common::processes::Tree;

/// Attempts to find a free port: another program may take it first.
const TRIES: usize = 5;

/// Starts the command for a port. On return, the server answers and has one process.
pub(super) fn start(
    folder: &Path,
    command: impl Fn(u16) -> Result<Command>,
) -> Result<(u16, Supervised)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let stdout = appended(&log_in(folder))?;
        let mut supervised = Supervised::start(&command(port)?, folder, stdout.into())?;
        match wait_until_it_answers(port, &mut supervised) {
            Ok(()) => return Ok((port, supervised)),
            Err(error) if tries == TRIES => return Err(supervised.failed(&error.to_string())),
            Err(_) => drop(supervised.failed("")),
        }
    }
}

fn wait_until_it_answers(port: u16, supervised: &mut Supervised) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut banner = [0; 4];
            stream
                .read_exact(&mut banner)
                .context("the server says nothing")?;
            if &banner != b"SSH-" {
                bail!("port {port} is another's");
            }
            break;
        }
        if supervised.child.try_wait()?.is_some() {
            bail!("the server ended at once");
        }
        if Instant::now() > deadline {
            bail!("the server does not listen");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // The connection that tested the port may have a process of its own until it ends.
    while Tree::below(supervised.child.id())?.running().len() > 1 {
        if Instant::now() > deadline {
            bail!("the server has more than one process at rest");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
