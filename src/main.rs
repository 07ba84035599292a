//! The program: parse, load, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use landfall::admin::control::Refusal;
use landfall::admin::{
    audit, backup, ban, complain, hash_password, print, quota, reload, restore, session,
    shell_help, user,
};
use landfall::chain::chain;
use landfall::cli::{Cli, Command};
use landfall::config::{Config, Faults, LEGACY_IS_DEPRECATED};
use landfall::{server, signals, top};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // One a line, each with its place first, as compilers do: editors can jump to it.
        Err(error) if error.is::<Faults>() || error.is::<Refusal>() => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("landfall: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    signals::survive_file_size_limit()?;
    // What needs no config must work with a bad one, too.
    match &cli.command {
        Command::Completions { shell } => return Ok(shell_help::completions(*shell)?),
        Command::Man { folder } => return shell_help::manual(folder),
        _ => {}
    }
    if let Command::Restore { folder } = &cli.command {
        return on_a_runtime(restore::run(cli.config.as_deref(), folder));
    }
    let config = Config::find(cli.config.as_deref());
    if let Command::Serve = cli.command {
        return server::serve(config?);
    }
    on_a_runtime(async {
        let config = match config {
            Ok(config) => config,
            Err(faults) => return refuse(&cli.command, faults).await,
        };
        match cli.command {
            Command::Check => check(&config),
            Command::User(command) => user::run(&config, command).await,
            Command::Quota(command) => quota::run(&config, command).await,
            Command::Session(command) => session::run(&config, command).await,
            Command::Ban(command) => ban::run(&config, command).await,
            Command::Backup { folder } => backup::run(&config, &folder).await,
            Command::Reload => reload::run(&config.server.data, Some(&config)).await,
            Command::Audit(command) => audit::run(&config, &command).await,
            Command::HashPassword(command) => hash_password::run(&config, &command).await,
            Command::Top => top::run(&config.server.data).await,
            Command::Serve
            | Command::Restore { .. }
            | Command::Completions { .. }
            | Command::Man { .. } => Ok(()),
        }
    })
}

fn on_a_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // A call that hangs on a dead disk must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

/// Nothing is done with a faulty config. But a server that is to take it up finds the faults itself,
/// so that they are in its log, too.
async fn refuse(command: &Command, faults: Faults) -> anyhow::Result<()> {
    match faults.data() {
        Some(data) if matches!(command, Command::Reload) => reload::run(data, None).await,
        _ => Err(faults.into()),
    }
}

fn check(config: &Config) -> anyhow::Result<()> {
    let listen = config.server.listen.iter().map(ToString::to_string);
    let listen = listen.collect::<Vec<_>>().join(", ");
    let mut text = format!("config OK: landfall will listen on {listen}\n");
    if config.file.is_none() {
        text.push_str("There is no config.toml here: every setting has its default\n");
    }
    if config.ssh.legacy {
        text.push_str(&format!("{LEGACY_IS_DEPRECATED}\n"));
    }
    Ok(print(&text)?)
}
