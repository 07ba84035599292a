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
    assert_eq!(said.accepted(), "ann had 1 already\n");
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
        .accepted();
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
        assert!(refused.contains("there is no user bob"), "{refused}");
    }
    operator.run(&["user", "key", "list", "bob"]).refused();
}
