//! What the benches that compare servers have in common: the servers, the client, the measurements, and the
//! output.

pub(crate) mod client;
pub(crate) mod fixture;
pub(crate) mod inner;
pub(crate) mod machine;
pub(crate) mod processes;
pub(crate) mod servers;
pub(crate) mod sizes;
pub(crate) mod spread;
pub(crate) mod supervise;
pub(crate) mod svg;
pub(crate) mod table;
pub(crate) mod turns;
