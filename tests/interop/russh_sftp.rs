//! russh-sftp's client: Rust programs that speak SFTP.

use std::fs;

use russh_sftp::protocol::StatusCode;
use tokio::io::AsyncWriteExt as _;

use crate::common::connection::{Connection, finish};
use crate::common::{MIB, TRANSFER, TestServer, bytes_of};

#[test]
fn it_uploads_lists_renames_downloads_and_hears_what_is_wrong() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let sftp = connection.russh_sftp();
    let content = bytes_of(3 * MIB + 1, 1);
    let sent = content.clone();
    let back = finish("the whole of it", TRANSFER, async move {
        sftp.create_dir("d").await.unwrap();
        let mut file = sftp.create("d/new").await.unwrap();
        file.write_all(&sent).await.unwrap();
        file.shutdown().await.unwrap();
        sftp.rename("d/new", "d/file").await.unwrap();
        let names: Vec<_> = sftp.read_dir("d").await.unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].file_name(), "file");
        assert_eq!(names[0].metadata().len(), sent.len() as u64);
        let missing = sftp.metadata("d/new").await.unwrap_err();
        let russh_sftp::client::error::Error::Status(missing) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!(missing.status_code, StatusCode::NoSuchFile);
        sftp.read("d/file").await.unwrap()
    });
    assert!(back == content);
    assert!(fs::read(server.at_home("d/file")).unwrap() == content);
}
