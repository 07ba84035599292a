//! scp's older protocol: real clients, and arbitrary lines. With TESTS_AGAINST=openssh the same tests
//! run against OpenSSH's scp, except those for features of Landfall only.

mod clients;
mod lines;
mod links;
mod load;
mod openssh;
mod quota;
mod raw;
