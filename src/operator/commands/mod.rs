//! The operator's commands. Commands about accounts use the database directly, whether or not a server is
//! running; commands about the running server use its control socket.

pub mod audit;
pub mod backup;
pub mod ban;
pub mod check;
pub mod complete;
pub mod completions;
mod data_owner;
pub mod hash_password;
mod input;
mod linked;
pub mod manual;
pub mod quota;
pub mod reload;
mod remove_home;
pub mod restore;
pub mod session;
mod settings;
pub mod status;
pub mod untrusted_folder;
pub mod user;
mod user_list;
mod view;
mod why;
pub mod working_directory;
