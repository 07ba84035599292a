//! Tests of accounts, with a database on disk.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::keys::AuthorizedKey;
use super::{Accounts, Credential, KeyProof, NewAccount, Password, UserName};
use crate::config::Config;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const OTHER_ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

fn config(folder: &Path, login: &str) -> Config {
    let file = folder.join("config.toml");
    std::fs::write(&file, format!("[login]\n{login}")).unwrap();
    Config::load(&file).unwrap()
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The cheapest hash that the configuration allows.
const CHEAP: &str = "argon2_memory = \"8MiB\"\nargon2_passes = 1\nparallel_hashes = 2\n";

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn account(text: &str, password: Option<&str>, keys: &[&str]) -> NewAccount {
    NewAccount {
        password: password.map(|password| Password::new(secret(password)).unwrap()),
        keys: keys
            .iter()
            .map(|line| AuthorizedKey::parse(line).unwrap())
            .collect(),
        ..NewAccount::new(name(text))
    }
}

fn wire(line: &str) -> Vec<u8> {
    ssh_key::PublicKey::from_openssh(line)
        .unwrap()
        .to_bytes()
        .unwrap()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

async fn logs_in(accounts: &Accounts, name: &str, password: &str) -> bool {
    let proof = accounts
        .check_password(name, secret(password), HERE, None)
        .await
        .unwrap();
    if let Ok(proof) = &proof {
        assert_eq!(proof.account().name.as_str(), name);
        assert!(proof.account().home.is_absolute() && proof.account().home.is_dir());
    }
    proof.is_ok()
}

#[test]
fn names_that_are_safe_as_a_folder_and_in_a_log_are_names() {
    for good in [
        "a",
        "A1",
        "li.wei",
        "bob@example.com",
        "a_b-c",
        &"x".repeat(64),
        "0",
    ] {
        assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "_a",
        "@a",
        "a b",
        "a/b",
        "a\nb",
        "a\0",
        "å",
        "a\u{202e}",
        "a:b",
        &"x".repeat(65),
    ] {
        assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
    }
}

#[test]
fn only_the_password_of_the_account_logs_in() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        accounts
            .add(account("ann", Some("right"), &[]))
            .await
            .unwrap();
        accounts
            .add(account("bob", Some("other"), &[]))
            .await
            .unwrap();
        accounts
            .add(account("key", None, &[ED25519]))
            .await
            .unwrap();
        assert!(logs_in(&accounts, "ann", "right").await);
        let long = "x".repeat(1 << 20);
        for (name, password) in [
            ("ann", "wrong"),
            ("ann", "other"),
            ("ann", "right "),
            ("ann", "right\0"),
            ("ann", ""),
            ("ann", long.as_str()),
            ("Ann", "right"),
            ("ann ", "right"),
            ("key", ""),
            ("key", "right"),
            ("", "right"),
            ("", ""),
            ("nobody", "right"),
            ("ann' OR '1'='1", "right"),
            ("ann\0", "right"),
            (long.as_str(), "right"),
        ] {
            let short: String = name.chars().take(20).collect();
            assert!(!logs_in(&accounts, name, password).await, "{short:?}");
        }
        accounts
            .set_password(&name("ann"), Some(Password::new(secret("new")).unwrap()))
            .await
            .unwrap();
        assert!(!logs_in(&accounts, "ann", "right").await);
        assert!(logs_in(&accounts, "ann", "new").await);
        accounts.set_password(&name("ann"), None).await.unwrap();
        assert!(!logs_in(&accounts, "ann", "new").await);
        assert!(!logs_in(&accounts, "ann", "").await);
        accounts.remove(&name("bob")).await.unwrap();
        assert!(!logs_in(&accounts, "bob", "other").await);
    });
}

#[test]
fn only_a_key_of_the_account_logs_in() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        accounts
            .add(account("ann", None, &[ED25519]))
            .await
            .unwrap();
        let expired = format!("expiry-time=\"20200101Z\" {OTHER_ED25519}");
        accounts
            .add(account("old", None, &[&expired]))
            .await
            .unwrap();
        let later = format!("expiry-time=\"29991231Z\" {OTHER_ED25519}");
        accounts.add(account("new", None, &[&later])).await.unwrap();
        let (key, other) = (wire(ED25519), wire(OTHER_ED25519));
        let shown = |blob: &Vec<u8>| Credential::Key(blob.clone());
        let longer = [key.as_slice(), b"x"].concat();
        let huge = vec![0; 1 << 20];
        for (name, blob, good) in [
            ("ann", &key, true),
            ("new", &other, true),
            ("old", &other, false),
            ("ann", &other, false),
            ("ann", &longer, false),
            ("ann", &huge, false),
            ("ann", &Vec::new(), false),
            ("bob", &key, false),
            ("", &key, false),
            ("a/b", &key, false),
        ] {
            assert_eq!(
                accounts
                    .accepts(name, shown(blob), HERE)
                    .await
                    .unwrap()
                    .is_ok(),
                good,
                "{name}"
            );
            let proof = accounts.check(name, shown(blob), None, HERE).await.unwrap();
            assert_eq!(proof.is_ok(), good, "{name}");
            if let Ok(KeyProof::Login(proof)) = proof {
                assert_eq!(proof.account().name.as_str(), name);
            }
        }
        let fingerprint = AuthorizedKey::parse(ED25519).unwrap().fingerprint;
        accounts
            .remove_key(&name("ann"), &fingerprint)
            .await
            .unwrap();
        assert!(
            accounts
                .accepts("ann", shown(&key), HERE)
                .await
                .unwrap()
                .is_err()
        );
        accounts.remove(&name("new")).await.unwrap();
        accounts.add(account("new", None, &[])).await.unwrap();
        assert!(
            accounts
                .accepts("new", shown(&other), HERE)
                .await
                .unwrap()
                .is_err(),
            "keys went with their account"
        );
    });
}

#[test]
fn a_hash_follows_the_config_at_the_next_login() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        accounts
            .add(account("ann", Some("right"), &[]))
            .await
            .unwrap();
        accounts.close().await;

        let dearer = CHEAP.replace("argon2_passes = 1", "argon2_passes = 2");
        let accounts = Accounts::open_or_make(config(folder.path(), &dearer).accounts())
            .await
            .unwrap();
        let hash = async || {
            let row = accounts.inner.rows.account("ann").await.unwrap().unwrap();
            row.password_hash.unwrap()
        };
        assert!(!logs_in(&accounts, "ann", "wrong").await);
        assert!(hash().await.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
        assert!(logs_in(&accounts, "ann", "right").await);
        let renewed = hash().await;
        assert!(
            renewed.starts_with("$argon2id$v=19$m=8192,t=2,p=1$"),
            "{renewed}"
        );
        assert!(logs_in(&accounts, "ann", "right").await);
        assert_eq!(hash().await, renewed);
    });
}

#[test]
fn hashes_wait_for_each_other() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        let permits = accounts.hasher().permits.clone();
        let all = permits.acquire_many(2).await.unwrap();
        let waiting = accounts.check_password("nobody", secret("x"), HERE, None);
        let waited = tokio::time::timeout(Duration::from_millis(300), waiting).await;
        assert!(waited.is_err(), "a third hash ran beside the two that may");
        drop(all);
        assert!(!logs_in(&accounts, "nobody", "x").await);
        assert_eq!(permits.available_permits(), 2);
    });
}

#[test]
fn a_database_from_the_future_is_refused() {
    let folder = TempDir::new().unwrap();
    run(async {
        let config = config(folder.path(), CHEAP);
        let accounts = Accounts::open_or_make(config.accounts()).await.unwrap();
        accounts.add(account("ann", None, &[])).await.unwrap();
        accounts.database().pretend_newer().await;
        accounts.close().await;
        let refused = Accounts::open_or_make(config.accounts())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("newer landfall") && refused.contains("9999"),
            "{refused}"
        );
    });
}

#[test]
fn a_data_folder_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    run(async {
        let config = config(folder.path(), CHEAP);
        let data = &config.server.data;
        std::fs::create_dir(data).unwrap();
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Accounts::open_or_make(config.accounts())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("chmod go-w"), "{refused}");
        assert_eq!(std::fs::read_dir(data).unwrap().count(), 0);
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).unwrap();
        let accounts = Accounts::open_or_make(config.accounts()).await.unwrap();
        accounts.add(account("ann", None, &[])).await.unwrap();
        for entry in std::fs::read_dir(data).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            if entry.file_type().unwrap().is_file() {
                assert_eq!(mode, 0o600, "{:?}", entry.file_name());
            }
        }
    });
}

#[test]
fn accounts_are_gone_through_in_parts() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        for new in ["ann", "bob", "cid"] {
            accounts.add(account(new, None, &[])).await.unwrap();
        }
        let names = async |after: Option<&str>, limit| -> Vec<String> {
            let after = after.map(name);
            let some = accounts.after(after.as_ref(), limit).await.unwrap();
            let names = some.iter().map(|user| user.account.name.to_string());
            names.collect()
        };
        assert_eq!(names(None, 2).await, ["ann", "bob"]);
        assert_eq!(names(Some("bob"), 2).await, ["cid"]);
        // A removed name has its position, too.
        assert_eq!(names(Some("b"), 9).await, ["bob", "cid"]);
        assert!(names(Some("cid"), 2).await.is_empty());
    });
}

#[test]
fn many_changes_are_told_in_parts() {
    let folder = TempDir::new().unwrap();
    run(async {
        let accounts = Accounts::open_or_make(config(folder.path(), CHEAP).accounts())
            .await
            .unwrap();
        sqlx::query(
            "WITH RECURSIVE numbers (n) AS
                 (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
             INSERT INTO account_change (account, number) SELECT 'user' || n, n FROM numbers",
        )
        .execute(accounts.database().pool())
        .await
        .unwrap();
        let (mut seen, mut told) = (0, Vec::new());
        loop {
            let (names, last) = accounts.changed_since(seen).await.unwrap();
            if names.is_empty() {
                assert_eq!(last, seen);
                break;
            }
            assert!(names.len() <= 1000 && last > seen);
            told.extend(names.iter().map(ToString::to_string));
            seen = last;
        }
        let all: Vec<String> = (1..=2500).map(|n| format!("user{n}")).collect();
        assert_eq!(told, all);
    });
}
