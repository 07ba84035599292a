//! scp's older protocol: real clients, and any lines. With TESTS_AGAINST=openssh the same tests run
//! against OpenSSH's own scp, but for those of what only Landfall has.

mod clients;
mod lines;
mod links;
mod load;
mod openssh;
mod quota;
mod raw;
