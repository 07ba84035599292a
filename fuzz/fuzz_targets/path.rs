//! Any path from a peer is refused, or resolves to the path that it displays.
#![no_main]

use landfall::values::path::{NAME_MAX, PATH_MAX, VPath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let Ok(path) = VPath::parse(raw) else {
        return;
    };
    let absolute = path.absolute();
    assert!(absolute.len() <= PATH_MAX);
    assert_eq!(absolute.first(), Some(&b'/'));
    let names: Vec<&[u8]> = absolute[1..].split(|byte| *byte == b'/').collect();
    if path.is_home() {
        assert_eq!(
            (names.as_slice(), path.relative()),
            (&[&b""[..]][..], &b"."[..])
        );
    } else {
        // The kernel may also get a trailing slash.
        let relative = path.relative();
        assert_eq!(relative.strip_suffix(b"/").unwrap_or(relative), &absolute[1..]);
        assert_eq!(relative.ends_with(b"/"), path.split_as_written().1.ends_with(b"/"));
        if relative.ends_with(b"/") {
            assert!(path.names_directory() && (raw.ends_with(b"/") || raw.ends_with(b"/.")));
        }
        for name in names {
            assert!((1..=NAME_MAX).contains(&name.len()));
            assert!(name != b"." && !name.contains(&0));
        }
    }

    // All components are kept, except "." and empty ones.
    let kept = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let names = bytes.split(|byte| *byte == b'/');
        names
            .filter(|name| !matches!(**name, [] | [b'.']))
            .map(<[u8]>::to_vec)
            .collect()
    };
    assert_eq!(kept(raw), kept(&absolute));

    assert_eq!(VPath::parse(&absolute), Ok(path.clone()));
    let relative = VPath::parse(path.relative()).unwrap();
    assert_eq!(relative, path);
    assert_eq!(relative.relative(), path.relative());

    let (parent, last) = path.split_last();
    assert!(!last.is_empty() && last != b".." && !last.contains(&b'/'));
    assert!(!parent.is_empty() && parent.first() != Some(&b'/'));
    assert_eq!(VPath::parse(&[parent, last].join(&b'/')), Ok(path));
});
