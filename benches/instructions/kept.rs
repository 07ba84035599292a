//! The expected counts, in one file of the tree for each build profile.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::Count;

/// The counts, and the versions that they were counted with.
pub(crate) struct Kept {
    counts: Vec<Count>,
    with: String,
}

impl Kept {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(file()).expect("counts are kept");
        let mut kept = Self {
            counts: Vec::new(),
            with: String::new(),
        };
        for line in text.lines() {
            if let Some(with) = line.strip_prefix("# With ") {
                with.clone_into(&mut kept.with);
            } else if let Some((instructions, work)) = line.trim_start().split_once(' ')
                && let Ok(instructions) = instructions.parse()
            {
                let work = work.to_owned();
                kept.counts.push(Count { work, instructions });
            }
        }
        kept
    }

    pub(crate) fn write(counts: &[Count]) {
        let mut text = format!(
            "# Instructions, by `{} --write`: docs/performance.md\n# With {}\n",
            command(),
            with()
        );
        for Count { work, instructions } in counts {
            writeln!(text, "{instructions:>8} {work}").unwrap();
        }
        print!("{text}");
        fs::write(file(), text).unwrap();
    }

    pub(crate) fn of(&self, work: &str) -> Option<u64> {
        let count = self.counts.iter().find(|count| count.work == work);
        count.map(|count| count.instructions)
    }

    /// Expected counts without a current count.
    pub(crate) fn others_than(&self, counts: &[Count]) -> impl Iterator<Item = &str> {
        let works = self.counts.iter().map(|count| count.work.as_str());
        works.filter(|work| counts.iter().all(|count| count.work != *work))
    }

    pub(crate) fn tell_how_to_renew(&self) {
        println!("Kept with {}; counted with {}.", self.with, with());
        println!("To renew {}: {} --write", file(), command());
    }
}

/// With other versions of these, the counts may differ.
fn with() -> String {
    let programs = [
        ("rustc", "--version"),
        ("valgrind", "--version"),
        ("getconf", "GNU_LIBC_VERSION"),
    ];
    let versions = programs.map(|(program, argument)| {
        let output = Command::new(program).arg(argument).output();
        let output = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    });
    versions.join(", ")
}

/// Only builds for tests have debug assertions.
fn file() -> &'static str {
    if cfg!(debug_assertions) {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/instructions/tests.txt"
        )
    } else {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/instructions/release.txt"
        )
    }
}

fn command() -> &'static str {
    if cfg!(debug_assertions) {
        "cargo test --bench instructions --"
    } else {
        "cargo bench --bench instructions --"
    }
}
