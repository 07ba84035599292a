//! The program: parses the command line, loads the configuration, runs the command, sets the exit code.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{CommandFactory as _, Parser};
use clap_complete::CompleteEnv;
use landfall::config::{Config, Faults};
use landfall::control::ControlRefusal;
use landfall::io::file_size_limit;
use landfall::io::standard_streams::complain;
use landfall::operator::cli::{Cli, Command};
use landfall::operator::commands::{
    audit, backup, ban, check, completions, hash_password, manual, quota, reload, restore, session,
    status, untrusted_folder, user, working_directory,
};
use landfall::operator::top;
use landfall::server;
use landfall::values::error_chain::chain;

/// Exit code of `landfall status` without a server, as of systemctl and init scripts.
const NOT_RUNNING: u8 = 3;

fn main() -> ExitCode {
    // A shell requests completions through an environment variable.
    CompleteEnv::with_factory(Cli::command).complete();
    match run(Cli::parse()) {
        Ok(code) => code,
        // One per line, each starting with its position, as compilers print errors: editors can jump to it.
        Err(error) if error.is::<Faults>() || error.is::<ControlRefusal>() => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("landfall: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    file_size_limit::survive_file_size_limit()?;
    // Commands that need no configuration must work with a faulty one, too.
    match &cli.command {
        Command::Completions { shell } => completions::run(*shell)?,
        Command::Man { folder } => manual::write(folder)?,
        Command::Restore { folder } => {
            on_a_runtime(restore::run(cli.config.as_deref(), folder))?;
        }
        _ => return run_with(Config::find(cli.config.as_deref()), cli.command),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_with(config: Result<Config, Faults>, command: Command) -> anyhow::Result<ExitCode> {
    let config = match config {
        Ok(config) => config,
        Err(faults) => return on_a_runtime(refuse(&command, faults)),
    };
    let place = working_directory::describe(&config);
    let outcome =
        on_a_runtime(untrusted_folder::refuse_home(&config)).and_then(|()| match command {
            Command::Serve => server::serve(config).map(|()| ExitCode::SUCCESS),
            command => on_a_runtime(run_command(config, command)),
        });
    outcome.map_err(
        |failure| match failure.is::<Faults>() || failure.is::<ControlRefusal>() {
            true => failure,
            false => anyhow!("{failure:#}\nlandfall: {place}"),
        },
    )
}

async fn run_command(config: Config, command: Command) -> anyhow::Result<ExitCode> {
    working_directory::need_state(&config, &command)?;
    match command {
        Command::Check => check::run(&config).await,
        Command::Status(format) => {
            return Ok(match status::run(&config, &format).await? {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(NOT_RUNNING),
            });
        }
        Command::User(command) => user::run(&config, command).await,
        Command::Quota(command) => quota::run(&config, command).await,
        Command::Session(command) => session::run(&config, command).await,
        Command::Ban(command) => ban::run(&config, command).await,
        Command::Backup { folder } => backup::run(&config, &folder).await,
        Command::Reload => reload::run(&config.server.data).await,
        Command::Audit(command) => audit::run(&config, &command).await,
        Command::HashPassword(command) => hash_password::run(&config, &command).await,
        Command::Top => top::run(&config.server.data).await,
        Command::Serve
        | Command::Restore { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(()),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn on_a_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // A call that hangs on a dead disk must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

/// Refuses to run with a faulty configuration. A server that is to reload it reports the faults itself, so
/// that its log contains them, too.
async fn refuse(command: &Command, faults: Faults) -> anyhow::Result<ExitCode> {
    match faults.data() {
        Some(data) if matches!(command, Command::Reload) => {
            reload::run(data).await?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(faults.into()),
    }
}
