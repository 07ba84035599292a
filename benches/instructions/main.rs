//! Counts the instructions of frequent requests with callgrind: times are noisy, counts are not.
//!
//!     cargo test --bench instructions                built like the tests
//!     cargo bench --bench instructions               built like a release
//!     ... -- --write                                 makes the current counts the expected ones
//!
//! The expected counts are beside this file, for each of these builds. A count that is higher by more than
//! [`TOLERANCE`] is a failure; a lower one is reported, so that it can be written. The program runs itself
//! under valgrind ([`callgrind`]) to do the work ([`works`]).

#![allow(
    unreachable_pub, // Of what is shared with the tests.
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::process::ExitCode;

use kept::Kept;

mod callgrind;
mod disk;
mod kept;
#[allow(dead_code)] // Shared with the tests, which use all of it.
#[path = "../../tests/common/missing.rs"]
mod missing;
#[path = "../requests/mod.rs"]
mod requests;
mod works;

/// In percent. Runs differ by less than one percent, since handles and the keys of hash maps are random.
/// But a change elsewhere can make the compiler split and inline the crate differently: up to seven
/// percent.
const TOLERANCE: f64 = 10.0;

/// The count of one piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    work: String,
    instructions: u64,
}

fn main() -> ExitCode {
    let is_asked = |for_what| std::env::args().any(|argument| argument == for_what);
    if is_asked(callgrind::BENEATH) {
        works::do_all();
        return ExitCode::SUCCESS;
    }
    if !missing::have(&["valgrind"]) {
        return ExitCode::SUCCESS;
    }
    let counted = callgrind::run();
    if is_asked("--write") {
        Kept::write(&counted);
        return ExitCode::SUCCESS;
    }
    compare(&Kept::read(), &counted)
}

/// Prints both, and fails if a count is too high or on one side only.
fn compare(kept: &Kept, counted: &[Count]) -> ExitCode {
    let (mut has_more, mut has_less) = (false, false);
    println!("{:>12} {:>12}          instructions for", "kept", "counted");
    for Count { work, instructions } in counted {
        let Some(should) = kept.of(work) else {
            println!("{:>12} {instructions:>12}          {work}: NOT KEPT", "-");
            has_more = true;
            continue;
        };
        let percent = (*instructions as f64 / should as f64 - 1.0) * 100.0;
        let verdict = if percent > TOLERANCE {
            has_more = true;
            ": MORE"
        } else if percent < -TOLERANCE {
            has_less = true;
            ": LESS"
        } else {
            ""
        };
        println!("{should:>12} {instructions:>12} {percent:>+7.1} % {work}{verdict}");
    }
    for gone in kept.others_than(counted) {
        println!("{gone}: NOT COUNTED");
        has_more = true;
    }
    if has_more || has_less {
        kept.tell_how_to_renew();
    }
    if has_less {
        println!("LESS THAN WAS KEPT: renew it, or nobody notices when it is lost again.");
    }
    if has_more {
        println!("MORE THAN WAS KEPT: find out why, or say in the commit what it is good for.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
