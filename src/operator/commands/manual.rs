//! `landfall man`: a page for each command, generated from the command line's definition, and pages of the
//! configuration and of files.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{self, Setting};
use crate::operator::cli::Cli;

/// The page of files, exit codes and environment, which is not generated.
const FILES: &str = include_str!("landfall-files.5");

/// Writes the pages into a folder: `landfall-user-add.1`, `landfall-config.5`, ...
///
/// # Errors
///
/// Errors of the folder.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .and_then(|()| fs::write(folder.join("landfall-config.5"), configuration()))
        .and_then(|()| fs::write(folder.join("landfall-files.5"), FILES))
        .with_context(|| format!("cannot write the manual pages into {}", folder.display()))
}

/// Returns the page of config.toml.
fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["landfall-config", "5"]);
    page.control("SH", ["NAME"]);
    page.text([roman("landfall-config - the configuration of landfall(1)")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "Landfall reads config.toml in the current directory, or else /etc/landfall/config.toml, unless --config FILE or \
         LANDFALL_CONFIG names another file. It is TOML. Every key is optional; below, each stands with its default. \
         Relative paths are relative to the folder of the file. landfall check reports every fault with line and column. \
         landfall reload and SIGHUP apply changed values, except those that need a restart.",
    )]);
    let mut section = "";
    for setting in config::settings() {
        if setting.section != section {
            section = setting.section;
            page.control("SH", [format!("[{section}]").as_str()]);
        }
        describe(&mut page, &setting);
    }
    page.control("SH", ["[user.NAME]"]);
    page.text([roman(
        "A user that is declared here instead of by commands; quote a name with a dot or an @: [user.\"a.b\"]. A \
         missing key means no limit. The values are examples.",
    )]);
    for setting in config::user_settings() {
        describe(&mut page, &setting);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("landfall(1), landfall-files(5)")]);
    page.to_roff()
}

fn describe(page: &mut Roff, setting: &Setting) {
    page.control("TP", []);
    page.text([bold(format!("{} = {}", setting.name, setting.value))]);
    let restart = if setting.is_live {
        ""
    } else {
        " Takes effect at a restart."
    };
    page.text([roman(format!("{}{restart}", setting.doc))]);
}
