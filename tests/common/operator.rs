//! An operator's folder: a configuration, the state beside it, and commands in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Output, STEP, command, run};

/// A temporary folder.
pub struct Operator {
    folder: TempDir,
}

impl Output {
    /// Returns the standard output of a command that must succeed without a warning.
    #[track_caller]
    pub fn accepted(self) -> String {
        assert_eq!(
            (self.status.code(), self.err().as_str()),
            (Some(0), ""),
            "{}",
            self.describe()
        );
        self.out()
    }

    /// Returns the error of a command that must be refused.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(
            (self.status.code(), self.out().as_str()),
            (Some(1), ""),
            "{}",
            self.describe()
        );
        self.err()
    }
}

impl Operator {
    /// An empty folder.
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// A folder with this config.toml.
    pub fn with_config(config: impl AsRef<[u8]>) -> Self {
        let operator = Self::new();
        fs::write(operator.path("config.toml"), config).unwrap();
        operator
    }

    /// Returns the path of something in the folder, with links resolved.
    pub fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    /// Prepares a command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("LANDFALL_CONFIG")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command without a terminal and without input.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments), STEP)
    }

    /// Runs a command with this on its standard input.
    #[track_caller]
    pub fn run_with(&self, input: impl AsRef<[u8]>, arguments: &[&str]) -> Output {
        command::run_with_input(&mut self.command(arguments), input.as_ref(), STEP)
    }

    /// The names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
