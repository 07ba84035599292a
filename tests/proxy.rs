//! Behind a real balancer that sends the client's address: haproxy with send-proxy-v2.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::common::{STEP, TestServer, against_openssh, have, run, run_ok, wait_until};

/// haproxy in front of a server; it ends when it is dropped.
struct Balancer {
    process: Child,
    port: u16,
}

impl Balancer {
    fn start(server: &TestServer, option: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = server.path("haproxy.cfg");
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen sftp\n bind 127.0.0.1:{port}\n server one 127.0.0.1:{} {option}\n",
            server.port()
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("haproxy listens", STEP, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self { process, port }
    }

    /// Returns an `sftp` command through the balancer, from another address of this machine.
    fn sftp(&self, server: &TestServer) -> Command {
        let mut command = server.sftp_batch(
            &[
                "-P",
                &self.port.to_string(),
                "-o",
                "BindAddress=127.0.0.5",
                "-o",
                &format!("HostKeyAlias=[127.0.0.1]:{}", server.port()),
            ],
            "put up\nls -l\n",
        );
        command.stderr(Stdio::piped());
        command
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_client_behind_a_trusted_balancer_is_who_counts() {
    if against_openssh() || !have(&["haproxy"]) {
        return;
    }
    let server = TestServer::start_with(&[("server.proxies", r#"["127.0.0.1/32"]"#)]);
    let balancer = Balancer::start(&server, "send-proxy-v2");
    fs::write(server.local("up"), "through the balancer").unwrap();
    run_ok(&mut balancer.sftp(&server), STEP);
    assert_eq!(
        fs::read(server.at_home("up")).unwrap(),
        b"through the balancer"
    );
    let log = server.log();
    let login = log
        .lines()
        .find(|line| line.contains(" login user="))
        .unwrap();
    assert!(login.contains("127.0.0.5:"), "{login}");

    // A connection from the balancer's address without a header is closed without an answer.
    let mut bare = TcpStream::connect(server.address()).unwrap();
    bare.write_all(b"SSH-2.0-bare_and_long_enough\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = bare.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    wait_until("the log tells it", STEP, || {
        server.log().contains("no header of the PROXY protocol")
    });
}

#[test]
fn who_is_no_trusted_balancer_cannot_say_who_they_are() {
    if against_openssh() || !have(&["haproxy"]) {
        return;
    }
    let server = TestServer::start_with(&[("server.proxies", r#"["192.0.2.0/24"]"#)]);
    // Its data is not SSH, which would ban an address without a successful login.
    run_ok(&mut server.sftp_batch(&[], "pwd\n"), STEP);
    let balancer = Balancer::start(&server, "send-proxy-v2");
    fs::write(server.local("up"), "x").unwrap();
    assert!(!run(&mut balancer.sftp(&server), STEP).status.success());
    assert!(!server.log().contains("127.0.0.5"), "{}", server.log());
    // Direct connections work as usual.
    run_ok(&mut server.sftp_batch(&[], "put up\n"), STEP);
}
