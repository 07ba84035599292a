//! Quotas from outside: each way to grow, shrink and share, at the limit and above it; the tests
//! compare the server's figures with the disk.

mod clients;
mod faulty_disk;
mod full_disk;
mod growth;
mod links;
pub mod load;
mod messages;
pub mod model;
mod names;
mod operator;
pub mod overwrites;
pub mod request;
pub mod scene;
mod sessions;
