//! Clients that Debian packages and that need no display: restic, duplicity, Perl's Net::SFTP::Foreign,
//! Ruby's net-sftp.

use std::fs;
use std::process::Command;

use crate::common::files::{assert_same, disk_use, random_tree, tree_of};
use crate::common::{
    HOST, MIB, PASSWORD, STEP, TRANSFER, TestServer, USER, have, random_file, run, run_ok, skip,
};

#[test]
fn restic_backs_up_checks_restores_and_prunes() {
    if !have(&["restic"]) {
        return;
    }
    let server = TestServer::start();
    random_tree(&server.local("tree"), 1);
    let ssh = format!(
        "sftp.command=ssh -F {} {HOST} -s sftp",
        server.ssh_config().display()
    );
    let restic = |args: &[&str]| {
        let mut restic = Command::new("restic");
        restic.args(["-q", "-r", "sftp::/backups/repo", "-o", &ssh, "--no-cache"]);
        restic.args(args).env("RESTIC_PASSWORD", "secret");
        run_ok(restic.current_dir(server.path("client")), TRANSFER)
    };
    fs::create_dir(server.at_home("backups")).unwrap();
    restic(&["init"]);
    restic(&["backup", "tree"]);
    random_file(&server.local("tree/new"), MIB as u64, 2);
    restic(&["backup", "tree"]);
    restic(&["check", "--read-data"]);
    let restored = server.local("restored");
    restic(&["restore", "latest", "--target", restored.to_str().unwrap()]);
    assert_eq!(
        tree_of(&restored.join("tree")),
        tree_of(&server.local("tree"))
    );
    restic(&["forget", "--keep-last", "1", "--prune"]);
    restic(&["check"]);
}

/// duplicity's two backends: paramiko, and OpenSSH's `sftp` behind a terminal.
#[test]
fn duplicity_backs_up_verifies_and_restores_and_only_one_backend_shows_the_quota() {
    if !have(&["duplicity"]) {
        return;
    }
    let server = TestServer::start();
    let client = server.path("client");
    random_tree(&server.local("tree"), 1);
    let port = server.port();
    fs::create_dir(client.join(".ssh")).unwrap();
    let scanned = run_ok(
        Command::new("ssh-keyscan").args(["-p", &port.to_string(), "127.0.0.1"]),
        STEP,
    );
    fs::write(client.join(".ssh/known_hosts"), scanned.out()).unwrap();
    let ssh = format!("--ssh-options=-F{}", server.ssh_config().display());
    let duplicity = |arguments: &[&str]| {
        let mut duplicity = Command::new("duplicity");
        duplicity.args(["--no-encryption", "--num-retries=1", &ssh]);
        duplicity.args(arguments).current_dir(&client);
        duplicity.env("HOME", &client).env("FTP_PASSWORD", PASSWORD);
        run(&mut duplicity, TRANSFER)
    };
    for (backend, folder) in [("sftp", "paramiko"), ("pexpect+sftp", "pexpect")] {
        let url = format!("{backend}://{USER}@127.0.0.1:{port}/{folder}");
        duplicity(&["full", "tree", &url]).ok();
        random_file(&server.local(&format!("tree/for-{folder}")), 10_000, 2);
        duplicity(&["incremental", "tree", &url]).ok();
        duplicity(&["verify", "--compare-data", &url, "tree"]).ok();
        duplicity(&["restore", &url, folder]).ok();
        assert_eq!(
            tree_of(&server.local(folder)),
            tree_of(&server.local("tree"))
        );
    }
    server
        .admin(&["user", "set", USER, "--quota", "1"], "")
        .ok();
    let url = |backend| format!("{backend}://{USER}@127.0.0.1:{port}/refused");
    let refused = duplicity(&["full", "tree", &url("sftp")]).failed();
    // For a small file paramiko learns only that it does not exist.
    let said = refused.out() + &refused.err();
    let words = ["Quota exceeded", "size mismatch"];
    assert!(words.iter().any(|words| said.contains(words)), "{said}");
    // No error although nothing has arrived: `sftp` fails, and the backend does not check.
    let done = duplicity(&["full", "tree", &url("pexpect+sftp")]).ok();
    assert!(!(done.out() + &done.err()).contains("Quota"));
    let (arrived, _) = disk_use(&server.at_home("refused"));
    assert_eq!(arrived, 0);
}

#[test]
fn net_sftp_foreign_of_perl_moves_resumes_links_and_removes() {
    let mut perl = Command::new("perl");
    if !run(perl.args(["-MNet::SFTP::Foreign", "-e", "1"]), STEP)
        .status
        .success()
    {
        skip("Perl's Net::SFTP::Foreign is not installed (tests/setup does it)");
        return;
    }
    let server = TestServer::start();
    random_file(&server.local("file"), 3 * MIB as u64 + 7, 1);
    random_tree(&server.local("tree"), 2);
    let script = r#"
        use strict; use Net::SFTP::Foreign;
        my ($config, $host) = @ARGV;
        my $sftp = Net::SFTP::Foreign->new(host => $host, more => ['-F', $config], autodie => 1);
        $sftp->put('file', 'file');
        $sftp->truncate('file', 1_000_001);
        $sftp->put('file', 'file', resume => 1);
        $sftp->get('file', 'back');
        $sftp->rput('tree', 'tree');
        $sftp->rget('tree', 'mirrored');
        $sftp->mkdir('d'); $sftp->rename('file', 'd/file');
        $sftp->symlink('link', 'd/file');
        die "not the target" unless $sftp->readlink('link') eq 'd/file';
        $sftp->chmod('d/file', 0600);
        my @names = sort map { $_->{filename} } @{ $sftp->ls('d', no_wanted => qr/^\.+$/) };
        die "@names" unless "@names" eq 'file';
        $sftp->rremove('tree');
        $sftp->statvfs('.')->{bsize} or die "no statvfs";
    "#;
    let mut perl = Command::new("perl");
    perl.args(["-e", script]).arg(server.ssh_config()).arg(HOST);
    run_ok(perl.current_dir(server.path("client")), TRANSFER);
    assert_same(&server.local("file"), &server.at_home("d/file"));
    assert_same(&server.local("file"), &server.local("back"));
    assert_eq!(
        tree_of(&server.local("mirrored")),
        tree_of(&server.local("tree"))
    );
    assert!(!server.at_home("tree").exists());
}

#[test]
fn net_sftp_of_ruby_needs_compatible_and_moves_links_and_removes() {
    let mut ruby = Command::new("ruby");
    let has_ruby = have(&["ruby"])
        && run(ruby.args(["-e", "require 'net/sftp'"]), STEP)
            .status
            .success();
    if !has_ruby {
        skip("Ruby's net-sftp is not installed (tests/setup does it)");
        return;
    }
    let script = r#"
        require 'net/sftp'
        port, user, password = ARGV
        Net::SFTP.start('127.0.0.1', user, port: port.to_i, password: password,
                        auth_methods: %w[password], verify_host_key: :never, config: false) do |sftp|
          sftp.upload!('file', 'file')
          sftp.download!('file', 'back')
          sftp.upload!('tree', 'tree', mkdir: true)
          sftp.mkdir!('d')
          sftp.rename!('file', 'd/file')
          sftp.symlink!('d/file', 'link')
          raise 'not the target' unless sftp.readlink!('link').name == 'd/file'
          sftp.setstat!('d/file', permissions: 0600)
          names = sftp.dir.entries('d').map(&:name).sort - %w[. ..]
          raise names.inspect unless names == %w[file]
          sftp.file.open('appended', 'w') { |file| file.puts 'line' }
          sftp.remove!('appended')
        end
    "#;
    let ruby = |server: &TestServer| {
        random_file(&server.local("file"), 3 * MIB as u64 + 7, 1);
        random_tree(&server.local("tree"), 2);
        let mut ruby = Command::new("ruby");
        let port = server.port().to_string();
        ruby.args(["-e", script, &port, USER, PASSWORD]);
        run(ruby.current_dir(server.path("client")), TRANSFER)
    };
    let refused = ruby(&TestServer::start()).failed().err();
    assert!(refused.contains("could not settle on"), "{refused}");
    let server = TestServer::start_with(&[("ssh.algorithms", "\"compatible\"")]);
    ruby(&server).ok();
    assert_same(&server.local("file"), &server.at_home("d/file"));
    assert_same(&server.local("file"), &server.local("back"));
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
}
