//! The requests of the model test, and their outcomes.

/// A request. The test numbers the open files.
#[derive(Debug, Clone)]
pub enum Op {
    Open {
        path: String,
        flags: u32,
        announced: Option<u64>,
    },
    Close {
        file: u64,
    },
    Write {
        file: u64,
        offset: u64,
        length: u64,
    },
    Fsetstat {
        file: u64,
        size: u64,
    },
    Setstat {
        path: String,
        size: u64,
    },
    Copy {
        from: u64,
        offset: u64,
        length: u64,
        to: u64,
        to_offset: u64,
    },
    Remove(String),
    Rmdir(String),
    Mkdir(String),
    Symlink {
        target: String,
        path: String,
    },
    Hardlink {
        from: String,
        to: String,
    },
    Rename {
        from: String,
        to: String,
        replace: bool,
    },
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Only the quota prevents it.
    Exceeded,
    /// It is impossible, whatever the quota.
    Failed,
}
