//! What the server reports of itself: the log, the audit log, the metrics, the last failed logins.

pub mod audit;
pub mod failed_logins;
pub mod log;
pub mod metrics;
pub mod outcome;
