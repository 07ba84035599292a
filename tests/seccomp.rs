//! System calls that a file server does not need are refused; those that it needs work.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::Command;
use std::thread;

use landfall::sandbox::syscalls::SyscallFilter;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto, socket};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::connection::Connection;
use crate::common::{MIB, STEP, TestServer, USER, skip, wait_until};

const HOLDS: &str = "seccomp is active";

fn is_refused<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn errno<T>(outcome: rustix::io::Result<T>) -> Option<Errno> {
    outcome.err()
}

fn opened(family: AddressFamily, kind: SocketType, protocol: Option<Protocol>) -> Option<Errno> {
    errno(socket(family, kind, protocol))
}

/// A filter applies to a thread and the threads that it starts; this test filters one thread, the server
/// filters all.
#[test]
fn what_a_file_server_does_not_need_is_refused_and_what_it_needs_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let at = |name: &str| base.join(name);
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let somewhere = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(at("stream")).unwrap();
    let journal = UnixDatagram::bind(at("journal")).unwrap();
    let known = UnixDatagram::unbound().unwrap();
    known.connect(at("journal")).unwrap();
    fs::write(at("f"), "f").unwrap();
    // Without the filter, all of these work.
    assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).is_ok());
    assert!(UnixStream::connect(at("stream")).is_ok() && TcpStream::connect(somewhere).is_ok());
    assert!(Command::new("/bin/true").status().unwrap().success());
    let file = File::open(at("f")).unwrap();
    assert_ne!(errno(attribute_of(&file)), Some(Errno::PERM));

    let place = base.clone();
    let filtered = thread::spawn(move || {
        let at = |name: &str| place.join(name);
        if SyscallFilter::new().unwrap().apply_to_thread().is_err() {
            return false;
        }
        let refused = Some(Errno::PERM);
        // Outgoing connections on any socket.
        assert!(is_refused(TcpStream::connect(somewhere)));
        assert!(is_refused(UnixStream::connect(at("stream"))));
        let unconnected: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let fast_open = SendFlags::from_bits_retain(0x2000_0000);
        let sent = rustix::net::sendto(&unconnected, b"f", fast_open, &somewhere);
        assert_eq!(errno(sent), refused);
        // Other sockets.
        assert!(is_refused(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))));
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            for kind in [SocketType::DGRAM, SocketType::RAW, SocketType::SEQPACKET] {
                assert_eq!(opened(family, kind, None), refused, "{family:?} {kind:?}");
            }
            let multipath = Some(ipproto::MPTCP);
            assert_eq!(opened(family, SocketType::STREAM, multipath), refused);
            assert_eq!(opened(family, SocketType::STREAM, Some(ipproto::TCP)), None);
        }
        for family in [
            AddressFamily::NETLINK,
            AddressFamily::PACKET,
            AddressFamily::VSOCK,
            AddressFamily::from_raw(libc::AF_ALG as u16),
        ] {
            assert_eq!(opened(family, SocketType::RAW, None), refused, "{family:?}");
            assert_eq!(opened(family, SocketType::SEQPACKET, None), refused);
        }
        // Programs, processes, signals.
        assert!(is_refused(Command::new("/bin/true").spawn()));
        let other = rustix::process::getppid().unwrap();
        for process in [other, rustix::process::getpid(), Pid::INIT] {
            assert_eq!(errno(kill_process(process, Signal::CONT)), refused);
        }
        // Mounts, namespaces, attributes, devices.
        let mounted = rustix::mount::mount_bind(&place, &place);
        assert_eq!(errno(mounted), refused);
        assert_eq!(errno(rustix::process::chroot(&place)), refused);
        let file = File::open(at("f")).unwrap();
        assert_eq!(errno(attribute_of(&file)), refused);
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        let made = rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), kind, mode, 0);
        assert_eq!(errno(made), refused);

        // What the server needs: threads, listening sockets, the journal, systemd, files.
        let answer = thread::spawn(|| 42).join().unwrap();
        assert_eq!(answer, 42);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        drop(listener);
        let control = UnixListener::bind(at("control")).unwrap();
        drop(control);
        let (mut one, mut two) = UnixStream::pair().unwrap();
        one.write_all(b"f").unwrap();
        two.read_exact(&mut [0]).unwrap();
        let unbound = UnixDatagram::unbound().unwrap();
        unbound.send_to(b"an entry", at("journal")).unwrap();
        known.send(b"READY=1").unwrap();
        fs::write(at("g"), vec![7; MIB]).unwrap();
        fs::copy(at("g"), at("h")).unwrap();
        fs::set_permissions(at("g"), fs::metadata(at("f")).unwrap().permissions()).unwrap();
        true
    });
    match filtered.join() {
        Ok(true) => {}
        Ok(false) => return skip("this kernel has no seccomp"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
    let mut message = [0; 64];
    for expected in ["an entry", "READY=1"] {
        let length = journal.recv(&mut message).unwrap();
        assert_eq!(&message[..length], expected.as_bytes());
    }
    // Other threads are not filtered.
    assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).is_ok());
    drop((unix, tcp));
}

fn attribute_of(file: &File) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(file, "user.a", b"b", rustix::fs::XattrFlags::empty())
}

/// Returns how many threads a server has, and how many of them have a filter.
fn filtered(server: &TestServer) -> (usize, usize) {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process_id())).unwrap();
    let mut counts = (0, 0);
    for task in tasks {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        counts.0 += 1;
        counts.1 += usize::from(status.lines().any(|line| line == "Seccomp:\t2"));
    }
    counts
}

#[test]
fn all_threads_of_a_running_server_are_filtered_unless_the_config_says_otherwise() {
    let server = TestServer::start();
    if !server.log().contains(HOLDS) {
        return skip("this kernel has no seccomp");
    }
    // Work for threads of every kind.
    let sftp = &mut Connection::logged_in(&server).sftp();
    sftp.put("f", &[7; MIB]);
    let quota = server.admin(&["quota", "recount", USER], "");
    quota.ok();
    let (threads, held) = filtered(&server);
    assert!(threads > 2 && held == threads, "{held} of {threads}");
    sftp.assert_alive();

    let without = TestServer::start_with(&[("sandbox.seccomp", "false")]);
    assert!(!without.log().contains(HOLDS));
    assert_eq!(filtered(&without).1, 0);
    Connection::logged_in(&without).sftp().assert_alive();
}

#[test]
fn a_supervisor_without_a_path_is_told() {
    let operator =
        crate::common::operator::Operator::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\n");
    let name = crate::common::random_name("landfall-notify");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(STEP)).unwrap();
    let mut command = operator.command(&["serve"]);
    command
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", "1000000")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut server = command.spawn().unwrap();
    let receive = || {
        let mut message = [0; 64];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(receive(), "READY=1");
    assert_eq!(receive(), "WATCHDOG=1");
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    wait_until("it says that it stops", STEP, || receive() == "STOPPING=1");
    assert!(server.wait().unwrap().success());
}
