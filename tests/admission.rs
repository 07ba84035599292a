//! Who is let in before a login, and who is kept out: real clients from other addresses of this machine.

mod bans;
mod figures;
mod ipv6;
mod limits;
mod slots;
