//! Time tells a stranger nothing. In a file of its own, so that no other test runs beside it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Instant;

use landfall::accounts::{Accounts, NewAccount, Password};
use landfall::config::Config;

#[tokio::test]
async fn who_is_not_there_costs_as_much_as_who_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[login]\nargon2_memory = \"8MiB\"\n").unwrap();
    let accounts = Accounts::open(&Config::load(&file).unwrap()).await.unwrap();
    for (name, password) in [
        (
            "known",
            Some(Password::new("right".to_owned().into()).unwrap()),
        ),
        ("keyless", None),
    ] {
        let new = NewAccount {
            password,
            ..NewAccount::new(name.parse().unwrap())
        };
        accounts.add(new).await.unwrap();
    }
    let long = "x".repeat(2000);
    let tries = [
        ("known", "wrong"),
        ("unknown", "wrong"),
        ("keyless", "wrong"),
        ("../no name at all", "wrong"),
        (&long, "wrong"),
        ("known", &long),
        ("known", ""),
    ];
    let mut fastest = tries.map(|_| f64::MAX);
    // Without the dummy hash the ratio would be far below 0.1.
    let alike = |fastest: &[f64]| {
        fastest
            .iter()
            .all(|time| (0.8..1.25).contains(&(time / fastest[0])))
    };
    // The fastest of many, interleaved, so that a busy moment of the machine meets all alike.
    for round in 0..200 {
        for ((name, wrong), fastest) in tries.iter().zip(&mut fastest) {
            let wrong = (*wrong).to_owned().into();
            let began = Instant::now();
            assert!(
                accounts
                    .check_password(name, wrong)
                    .await
                    .unwrap()
                    .is_none()
            );
            *fastest = fastest.min(began.elapsed().as_secs_f64());
        }
        if round > 10 && alike(&fastest) {
            break;
        }
    }
    assert!(alike(&fastest), "{tries:?} took {fastest:?} s");
    let right = accounts
        .check_password("known", "right".to_owned().into())
        .await
        .unwrap();
    assert_eq!(right.unwrap().account().name.as_str(), "known");
}
