//! An account changes while its session is open: open handles follow the change.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::{Bytes, BytesMut};
use landfall::error::{Cause, Error};
use landfall::hashes::Algorithm;
use landfall::quota::Limits;
use landfall::rules::{Denied, Permission};
use landfall::session::{Session, count_home};
use landfall::store::{Changes, OpenHow};
use landfall::values::path::VPath;
use landfall::vfs::{Copying, Vfs};
use tempfile::TempDir;

use super::*;
use crate::common::session::Entrance;

/// A session in this process, with a home on the disk.
struct Scene {
    _folder: TempDir,
    session: Arc<Session>,
    vfs: Vfs,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let entrance = Entrance::new(folder.path(), "", None, count_home).await;
        let client = entrance.log_in("Test", Limits::default(), entrance.terms());
        let session = client.await;
        let store = session.open_store().unwrap();
        let vfs = Vfs::new(session.clone(), store, Arc::new(AtomicBool::new(false)));
        Self {
            _folder: folder,
            session,
            vfs,
        }
    }

    fn permit(&self, rules: &[&str]) {
        let mut account = (*self.session.account()).clone();
        for rule in rules {
            account
                .settings
                .rules
                .permissions
                .set(rule.parse().unwrap());
        }
        self.session.change(account, None);
    }

    fn home(&self) -> &std::path::Path {
        self.session.home()
    }
}

fn path(text: &str) -> VPath {
    VPath::parse(text.as_bytes()).unwrap()
}

fn lacks<T>(permission: Permission) -> Result<T, Error> {
    Err(Error::NotAllowed(Denied::Lacks(permission)))
}

const BOTH: OpenHow = OpenHow {
    read: true,
    write: true,
    append: false,
    create: true,
    truncate: false,
    exclusive: false,
    permissions: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_ask_what_holds_now() {
    let scene = Scene::new().await;
    let vfs = &scene.vfs;
    let mut file = vfs.open(&path("file"), BOTH, None).unwrap();
    let mut target = vfs.open(&path("target"), BOTH, None).unwrap();
    let content = [Bytes::from_static(b"content")];
    let mut write = |offset| vfs.write(&mut file, offset, &content);
    assert_eq!(write(0), Ok(()));
    scene.permit(&["read-only"]);
    assert_eq!(write(0), lacks(Permission::Upload));
    let mut out = BytesMut::new();
    assert_eq!(vfs.read(&mut file, 0, 7, &mut out), Ok(7));
    let longer = Changes {
        size: Some(100),
        ..Changes::default()
    };
    assert_eq!(
        vfs.change_file(&mut file, &longer),
        lacks(Permission::Upload)
    );
    assert_eq!(
        vfs.copy_on(&file, &target, &mut Copying::new(0, None, 0)),
        lacks(Permission::Upload)
    );
    scene.permit(&["upload-only"]);
    assert_eq!(
        vfs.read(&mut file, 0, 7, &mut out),
        lacks(Permission::Download)
    );
    assert_eq!(vfs.read_now(&file, 0, &mut [0; 7]), None);
    assert_eq!(
        vfs.copy_on(&file, &target, &mut Copying::new(0, None, 0)),
        lacks(Permission::Download)
    );
    let whole = landfall::vfs::Part {
        offset: 0,
        length: None,
    };
    let hashed = vfs.hash_blocks(&file, Algorithm::named(b"md5").unwrap(), whole, None, 100);
    assert_eq!(hashed.map(drop), lacks(Permission::Download));
    assert_eq!(vfs.write(&mut target, 0, &content), Ok(()));
    scene.permit(&["full"]);
    assert_eq!(vfs.read(&mut file, 0, 7, &mut out), Ok(7));
    assert_eq!(vfs.read_now(&file, 0, &mut [0; 7]), Some(7));
    assert_eq!(
        vfs.copy_on(&file, &target, &mut Copying::new(0, None, 0)),
        Ok(true)
    );
    // A WRITE was refused and not repeated.
    let upload = Denied::Lacks(Permission::Upload);
    assert_eq!(
        vfs.close(file),
        Err(Error::Missing(Cause::NotAllowed(upload)))
    );
    vfs.close(target).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_open_is_listed_no_further() {
    let scene = Scene::new().await;
    fs::write(scene.home().join("file"), "").unwrap();
    let mut open = scene.vfs.open_directory(&VPath::home()).unwrap();
    assert!(scene.vfs.next_entry(&mut open).unwrap().is_some());
    scene.permit(&["upload-only"]);
    assert_eq!(scene.vfs.next_entry(&mut open), lacks(Permission::List));
    let change = Changes {
        permissions: Some(0o700),
        ..Changes::default()
    };
    let refused = scene.vfs.change_directory(&mut open, &change);
    assert_eq!(refused, lacks(Permission::Attributes));
    scene.permit(&["read-only"]);
    assert!(scene.vfs.next_entry(&mut open).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_a_directory_that_come_later_hold_for_what_was_opened_through_a_link() {
    let scene = Scene::new().await;
    lay_out(
        scene.home(),
        &[
            "in/",
            "in/file=secret",
            "free/",
            "free/file=free!!",
            "link@in/file",
        ],
    );
    let vfs = &scene.vfs;
    let mut out = BytesMut::new();
    let reading = OpenHow {
        create: false,
        write: false,
        ..BOTH
    };
    let mut by_link = vfs.open(&path("link"), reading, None).unwrap();
    let mut by_name = vfs.open(&path("in/file"), reading, None).unwrap();
    let mut other = vfs.open(&path("free/file"), reading, None).unwrap();
    scene.permit(&["/in=upload-only"]);
    assert_eq!(
        vfs.read(&mut by_link, 0, 6, &mut out),
        lacks(Permission::Download)
    );
    assert_eq!(
        vfs.read(&mut by_name, 0, 6, &mut out),
        lacks(Permission::Download)
    );
    assert_eq!(vfs.read(&mut other, 0, 6, &mut out), Ok(6));
    // A link that now leads elsewhere gives no access to the file that was opened through it.
    fs::remove_file(scene.home().join("link")).unwrap();
    symlink("free/file", scene.home().join("link")).unwrap();
    assert_eq!(
        vfs.read(&mut by_link, 0, 6, &mut out),
        lacks(Permission::Download)
    );
    scene.permit(&["/in=none"]);
    assert_eq!(vfs.read(&mut by_link, 0, 6, &mut out), Ok(6));
}
