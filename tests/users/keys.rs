//! Keys of an account.

use super::*;

#[test]
fn keys_are_added_listed_and_removed() {
    let operator = operator();
    operator.add("ann");
    let (one, two) = (make_key(&operator, "one"), make_key(&operator, "two"));
    operator
        .run(&["user", "key", "add", "ann", one.to_str().unwrap()])
        .accepted();
    let line = format!(
        "restrict,expiry-time=\"20991231Z\" {}",
        fs::read_to_string(&two).unwrap()
    );
    let said = operator
        .run_with(&line, &["user", "key", "add", "ann", "-"])
        .accepted();
    assert!(
        said.contains("SHA256:") && said.contains("expires 2099-12-31"),
        "{said}"
    );
    let said = operator.run_with(&line, &["user", "key", "add", "ann", "-"]);
    assert_eq!(said.accepted(), "ann already had 1 of the keys\n");
    let listed = operator.json(&["user", "key", "list", "ann"]);
    let key = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["comment"] == "two of a test")
        .unwrap();
    assert_eq!(key["kind"], "ssh-ed25519");
    assert_eq!(key["options"], "restrict,expiry-time=\"20991231Z\"");
    assert_eq!(key["expires"], "2099-12-31T00:00:00Z");
    let fingerprint = key["fingerprint"].as_str().unwrap();
    let table = operator.run(&["user", "key", "list", "ann"]).accepted();
    assert_eq!(table.lines().count(), 3, "{table}");
    let columns: Vec<_> = table
        .lines()
        .map(|line| line.find("SHA256").or(line.find("FINGERPRINT")))
        .collect();
    assert!(
        columns.iter().all(|column| *column == columns[0]),
        "{table}"
    );

    for which in ["nothing", "", "SHA256:AAAA"] {
        let refused = operator.run(&["user", "key", "rm", "ann", which]).refused();
        assert!(refused.contains("has no key"), "{refused}");
    }
    operator
        .run(&["user", "key", "rm", "ann", fingerprint])
        .accepted();
    operator
        .run(&["user", "key", "rm", "ann", "one of a test"])
        .ok();
    assert_eq!(operator.json(&["user", "key", "list", "ann"]), json!([]));

    // Two keys by one name: neither is removed.
    let named = |line: &Path| {
        fs::read_to_string(line)
            .unwrap()
            .replace("one of", "a")
            .replace("two of", "a")
    };
    let both = named(&one) + &named(&two);
    operator
        .run_with(both, &["user", "key", "add", "ann", "-"])
        .accepted();
    let refused = operator
        .run(&["user", "key", "rm", "ann", "a a test"])
        .refused();
    assert!(refused.contains("2 keys"), "{refused}");
    assert_eq!(operator.fingerprints("ann").len(), 2);

    // All keys of a file, or none.
    operator
        .run(&["user", "key", "rm", "ann", fingerprint])
        .accepted();
    let half = fs::read_to_string(&two).unwrap() + "ssh-dss AAAA\n";
    let refused = operator
        .run_with(half, &["user", "key", "add", "ann", "-"])
        .refused();
    assert!(
        refused.contains("line 2") && refused.contains("DSA"),
        "{refused}"
    );
    let private = operator
        .run(&["user", "key", "add", "ann", "one"])
        .refused();
    assert!(private.contains("private key"), "{private}");
    assert_eq!(operator.fingerprints("ann").len(), 1);
    for arguments in [["add", "bob", two.to_str().unwrap()], ["rm", "bob", "x"]] {
        let refused = operator
            .run(&[&["user", "key"], arguments.as_slice()].concat())
            .refused();
        assert!(refused.contains("no user bob"), "{refused}");
    }
    operator.run(&["user", "key", "list", "bob"]).refused();
}

#[test]
fn a_known_key_gets_the_options_that_it_is_given_with_now() {
    let operator = operator();
    operator.add("ann");
    let key = make_key(&operator, "one");
    let line = fs::read_to_string(&key).unwrap();
    operator
        .run(&["user", "key", "add", "ann", key.to_str().unwrap()])
        .accepted();
    let limited = format!("restrict,expiry-time=\"20991231Z\" {line}");
    let add = |line: &str| {
        operator
            .run_with(line, &["user", "key", "add", "ann", "-"])
            .accepted()
    };
    let said = add(&limited);
    assert!(
        said.starts_with("Changed the options of ssh-ed25519 SHA256:")
            && said.contains("expires 2099-12-31"),
        "{said}"
    );
    let listed = operator.json(&["user", "key", "list", "ann"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["options"], "restrict,expiry-time=\"20991231Z\"");
    assert_eq!(listed[0]["expires"], "2099-12-31T00:00:00Z");
    assert_eq!(add(&limited), "ann already had 1 of the keys\n");
    // Without options again, and under another name.
    let said = add(&line.replace("one of a test", "renamed"));
    assert!(said.contains("Changed"), "{said}");
    let listed = operator.json(&["user", "key", "list", "ann"]);
    assert_eq!(
        (&listed[0]["options"], &listed[0]["expires"]),
        (&json!(""), &Value::Null)
    );
    assert_eq!(listed[0]["comment"], "renamed");
}

/// The public half of a new key of PuTTY's, in one of the formats that PuTTYgen writes.
fn puttygen(operator: &Operator, kind: &[&str], format: &str) -> Vec<u8> {
    let (private, public) = (operator.path("key.ppk"), operator.path("key.pub"));
    fs::write(operator.path("empty"), "").unwrap();
    let mut make = Command::new("puttygen");
    make.args(kind).args(["-C", "a key of PuTTY", "-q"]);
    make.arg("-o").arg(&private);
    make.arg("--new-passphrase").arg(operator.path("empty"));
    run_ok(make.args(["--random-device", "/dev/urandom"]), STEP);
    let mut save = Command::new("puttygen");
    save.arg(&private).args(["-O", format, "-o"]).arg(&public);
    run_ok(&mut save, STEP);
    fs::read(public).unwrap()
}

#[test]
fn keys_of_puttygen_are_read_in_both_formats_and_encodings() {
    if !crate::common::have(&["puttygen"]) {
        return;
    }
    let operator = operator();
    operator.add("ann");
    let mut count = 0;
    for kind in [
        &["-t", "ed25519"][..],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "ecdsa", "-b", "256"],
    ] {
        // RFC 4716, and one line.
        for format in ["public", "public-openssh"] {
            let file = puttygen(&operator, kind, format);
            let is_block = file.starts_with(b"---- BEGIN SSH2 PUBLIC KEY ----");
            assert_eq!(is_block, format == "public");
            let text = String::from_utf8(file).unwrap();
            let windows = text.replace('\n', "\r\n");
            let wide = format!("\u{feff}{windows}");
            let wide: Vec<u8> = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let marked = format!("\u{feff}{windows}").into_bytes();
            for (number, bytes) in [marked, wide, text.into_bytes()].iter().enumerate() {
                let name = format!("{count}-{number}.pub");
                fs::write(operator.path(&name), bytes).unwrap();
                let said = operator
                    .run(&["user", "key", "add", "ann", &name])
                    .accepted();
                assert_eq!(said.contains("SHA256:"), number == 0, "{said}");
            }
            count += 1;
        }
    }
    let listed = operator.json(&["user", "key", "list", "ann"]);
    let keys = listed.as_array().unwrap();
    assert_eq!(keys.len(), count);
    for key in keys {
        assert_eq!(key["comment"], "a key of PuTTY");
    }
    // PuTTYgen's own file, which has the private half, is refused.
    let refused = operator.run(&["user", "key", "add", "ann", "key.ppk"]);
    assert!(refused.refused().contains("private key of PuTTY"));
}
