//! Malformed streams end their channel, and no other.

use super::*;

#[test]
fn the_longest_packet_is_taken_whole() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("long", flag::WRITE | flag::CREAT);
    let head = sftp.body(wire::WRITE).string(&handle).u64(0);
    let data = bytes_of(MAX_PACKET - head.0.len() - 4, 1);
    let body = head.string(&data);
    assert_eq!(body.0.len(), MAX_PACKET);
    assert_eq!(sftp.ask(&body).code(), code::OK);
    assert!(fs::read(server.at_home("long")).unwrap() == data);
    sftp.assert_alive();
}

#[test]
fn a_packet_one_byte_too_long_ends_its_channel_and_no_other() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let (mut bad, mut neighbour) = (connection.sftp(), connection.sftp());
    let handle = bad.opened("file", flag::WRITE);
    let head = bad.body(wire::WRITE).string(&handle).u64(0);
    let data = bytes_of(MAX_PACKET + 1 - head.0.len() - 4, 1);
    let body = head.string(&data);
    assert_eq!(body.0.len(), MAX_PACKET + 1);
    bad.send(&body);
    bad.until_closed();
    if !against_openssh() {
        assert_eq!(bad.exit_status, Some(1));
    }
    neighbour.assert_alive();
    sftp.assert_alive();
    connection.sftp().assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_length_of_four_gibibytes_ends_the_channel_and_takes_no_memory() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let before = server.memory_kib("VmHWM");
    for length in [u32::MAX, i32::MAX as u32, MAX_PACKET as u32 + 1] {
        let mut bad = connection.sftp();
        bad.send_bytes(&length.to_be_bytes());
        bad.until_closed();
    }
    let after = server.memory_kib("VmHWM");
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_packet_too_short_for_an_id_ends_the_channel() {
    let (server, mut sftp) = session();
    for length in 0..5 {
        let mut bad = Connection::logged_in(&server).sftp();
        bad.send(&Body([wire::REMOVE, 0, 0, 0, 0][..length].to_vec()));
        bad.until_closed();
        if !against_openssh() {
            assert_eq!(bad.exit_status, Some(1));
        }
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_channel_that_ends_in_the_middle_of_a_packet_changes_nothing() {
    let (server, mut sftp) = session();
    let mut cut = Connection::logged_in(&server).sftp();
    let packet = cut.body(wire::REMOVE).string("file").packet();
    cut.send_bytes(&packet[..packet.len() - 1]);
    cut.send_eof();
    cut.until_closed();
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn random_bytes_harm_nobody_else() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let mut random = Random::new(7);
    for _ in 0..50 {
        let mut bad = connection.sftp();
        let mut garbage = vec![0; 1 + random.below(600) as usize];
        random.fill(&mut garbage);
        // Half of them well framed, so that the garbage reaches the fields.
        if random.below(2) == 0 {
            bad.send(&Body(garbage));
        } else {
            bad.send_bytes(&garbage);
        }
        bad.send_eof();
        bad.until_closed();
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

// INIT

#[test]
fn a_request_before_init_ends_the_channel_and_is_not_carried_out() {
    let (server, mut sftp) = session();
    let mut early = Connection::logged_in(&server).subsystem();
    let body = early.body(wire::REMOVE).string("file");
    early.send(&body);
    early.until_closed();
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn an_init_without_a_version_ends_the_channel() {
    let server = TestServer::start();
    let mut bad = Connection::logged_in(&server).subsystem();
    bad.send(&Body(vec![wire::INIT, 0, 0]));
    bad.until_closed();
    Connection::logged_in(&server).sftp().assert_alive();
}

#[test]
fn a_second_init_is_answered_and_the_open_handles_stay() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::READ);
    sftp.init();
    assert_eq!(sftp.read(&handle, 0, 100).data(), b"untouched");
    assert_eq!(sftp.close(&handle), code::OK);
    assert_untouched(&server);
}

// ---- requests for the subsystem

#[test]
fn a_refused_subsystem_holds_up_nothing_and_a_running_one_is_not_started_again() {
    let server = TestServer::start_with(&[("sftp.max_channels", "3")]);
    let connection = Connection::logged_in(&server);
    let mut beside = connection.sftp();
    for _ in 0..5 {
        let mut channel = connection.channel();
        // More than russh's mailbox holds: they must be drained, granted or not.
        for _ in 0..150 {
            channel.send(Outgoing::Subsystem("nonsense"));
            assert!(!channel.accepted());
        }
        channel.send(Outgoing::Subsystem("sftp"));
        assert!(channel.accepted());
        channel.send(Outgoing::Subsystem("sftp"));
        assert!(!channel.accepted());
        beside.assert_alive();
        channel.send(Outgoing::Eof);
        channel.until_closed();
    }
}
