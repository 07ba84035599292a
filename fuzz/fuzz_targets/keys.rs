//! Any text for public keys is refused, or gives keys that read back the same.
#![no_main]

use landfall::accounts::AuthorizedKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match AuthorizedKey::parse_file(text) {
    Ok(keys) => {
        assert!(!keys.is_empty());
        for key in keys {
            assert!(key.fingerprint.starts_with("SHA256:"));
            assert!(text.contains(&key.comment) && text.contains(&key.options));
            let line = format!("{} {} {}", key.options, key.public_key, key.comment);
            assert_eq!(AuthorizedKey::parse(&line).ok(), Some(key));
        }
    }
    Err(refused) => assert!(!format!("{refused:#}").is_empty()),
});
