//! Background jobs that run beside the connections.

pub(super) mod known_sources;
pub(super) mod live;
pub(super) mod sweep;
pub(super) mod uncounted;
