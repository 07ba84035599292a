//! Disks that fail, and small ones.

pub mod faulty;
pub mod small;
