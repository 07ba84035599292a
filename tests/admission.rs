//! Admission control: real clients from other addresses of this machine.

mod bans;
mod figures;
mod ipv6;
mod limits;
mod slots;
