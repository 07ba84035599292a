//! Timing reveals nothing to an unauthenticated client. In a file of its own, so that no other test runs
//! beside it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use landfall::accounts::{Accounts, NewAccount, Password};
use landfall::config::Config;
use landfall::rules::{LoginPolicy, Rules};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Closes an account to passwords.
type Close = fn(&mut Rules);

#[tokio::test]
async fn who_is_not_there_costs_as_much_as_who_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[login]\nargon2_memory = \"8MiB\"\n").unwrap();
    let accounts = Accounts::open_or_make(Config::load(&file).unwrap().accounts())
        .await
        .unwrap();
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
    // The password is right, and the login is refused all the same.
    let closed: [(&str, Close); 4] = [
        ("disabled", |rules| rules.disabled = true),
        ("expired", |rules| rules.expires_at = Some(1)),
        ("elsewhere", |rules| {
            rules.networks = vec!["10.0.0.0/8".parse().unwrap()]
        }),
        ("keys-only", |rules| {
            rules.login_policy = LoginPolicy::KeyOnly
        }),
    ];
    for (name, close) in closed {
        let mut new = NewAccount {
            password: Some(Password::new("wrong".to_owned().into()).unwrap()),
            ..NewAccount::new(name.parse().unwrap())
        };
        close(&mut new.settings.rules);
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
        ("disabled", "wrong"),
        ("expired", "wrong"),
        ("elsewhere", "wrong"),
        ("keys-only", "wrong"),
    ];
    let mut fastest = tries.map(|_| f64::MAX);
    // Without the dummy hash the ratio would be far below 0.1.
    let alike = |fastest: &[f64]| {
        fastest
            .iter()
            .all(|time| (0.8..1.25).contains(&(time / fastest[0])))
    };
    // The fastest of many, interleaved, so that a busy moment of the machine affects all alike.
    for round in 0..200 {
        for ((name, wrong), fastest) in tries.iter().zip(&mut fastest) {
            let wrong = (*wrong).to_owned().into();
            let began = Instant::now();
            assert!(
                accounts
                    .check_password(name, wrong, HERE, None)
                    .await
                    .unwrap()
                    .is_err()
            );
            *fastest = fastest.min(began.elapsed().as_secs_f64());
        }
        if round > 10 && alike(&fastest) {
            break;
        }
    }
    assert!(alike(&fastest), "{tries:?} took {fastest:?} s");
    let right = accounts
        .check_password("known", "right".to_owned().into(), HERE, None)
        .await
        .unwrap();
    assert_eq!(right.unwrap().account().name.as_str(), "known");
}
