//! The program: parse, load, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use landfall::accounts::Accounts;
use landfall::admin;
use landfall::cli::{Cli, Command};
use landfall::config::Config;
use landfall::server;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("landfall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // Faults of a config are told one a line, as compilers do, for editors to jump to.
    let config = Config::find(cli.config.as_deref())
        .map_err(|faults| anyhow::anyhow!("the config is not valid:\n{faults}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Check => {
                let listen = config.server.listen.iter().map(ToString::to_string);
                let listen = listen.collect::<Vec<_>>().join(", ");
                admin::print(&format!(
                    "The config is valid; serve would listen on {listen}\n"
                ))
            }
            Command::User(command) => {
                let accounts = Accounts::open(&config).await?;
                admin::user::run(command, &config, &accounts).await
            }
            Command::Serve => server::run(config).await,
        }
    });
    // A call that hangs on a dead disk must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}
