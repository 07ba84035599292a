//! Any config.toml is refused with positions, or is a configuration that can be used.
#![no_main]

use std::cell::OnceCell;
use std::fs;

use landfall::config::Config;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| FOLDER.with(|folder| {
    let folder = folder.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let file = folder.join("config.toml");
    fs::write(&file, bytes).unwrap();
    match Config::load(&file) {
        Ok(config) => {
            assert!(config.server.data.is_absolute() && config.server.keys.is_absolute());
            assert!(config.server.shards > 0 && config.login.parallel_hashes > 0);
            assert!(config.sftp.max_handles > 0 && config.sftp.umask <= 0o777);
        }
        Err(faults) => assert!(faults.to_string().contains("config.toml")),
    }
}));
