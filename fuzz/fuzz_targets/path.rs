//! Whatever a peer sends as a path is refused, or becomes one that means what it shows.
#![no_main]

use landfall::path::{NAME_MAX, PATH_MAX, VPath};
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
        assert_eq!(path.relative(), &absolute[1..]);
        for name in names {
            assert!((1..=NAME_MAX).contains(&name.len()));
            assert!(name != b"." && !name.contains(&0));
        }
    }

    // What was taken out, but for "." and slashes, is all still there.
    let kept = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let names = bytes.split(|byte| *byte == b'/');
        names
            .filter(|name| !matches!(**name, [] | [b'.']))
            .map(<[u8]>::to_vec)
            .collect()
    };
    assert_eq!(kept(raw), kept(&absolute));

    assert_eq!(VPath::parse(&absolute), Ok(path.clone()));
    assert_eq!(VPath::parse(path.relative()), Ok(path.clone()));

    let (parent, last) = path.split_last();
    assert!(!last.is_empty() && last != b".." && !last.contains(&b'/'));
    assert!(!parent.is_empty() && parent.first() != Some(&b'/'));
    assert_eq!(VPath::parse(&[parent, last].join(&b'/')), Ok(path));
});
