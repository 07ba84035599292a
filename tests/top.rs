//! `landfall top` in a real terminal: tmux runs it, sends keys, and returns the screen.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::wire::flag;
use crate::common::{
    MIB, PASSWORD, STEP, TestServer, USER, have, random_name, run, run_ok, wait_until,
};

/// A terminal that runs `landfall top` and then prints its exit status.
struct Screen {
    name: String,
}

impl Screen {
    /// Returns `None` if this machine has no tmux, which is reported loudly.
    fn open(server: &TestServer, columns: u16, rows: u16) -> Option<Self> {
        if !have(&["tmux"]) {
            return None;
        }
        let screen = Self {
            name: random_name("landfall-top"),
        };
        let shell = format!(
            "cd '{}'; '{}' top; echo \"It ended with $?\"; stty -a | grep -wo -e '-*echo' -e '-*icanon'; sleep 600",
            server.path("").display(),
            env!("CARGO_BIN_EXE_landfall"),
        );
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut new = screen.tmux(&["-f", "/dev/null", "new-session", "-d"]);
        new.args(["-x", &columns, "-y", &rows, "sh", "-c", &shell]);
        new.env_remove("LANDFALL_CONFIG").env_remove("TMUX");
        run_ok(new.env("TERM", "xterm-256color"), STEP);
        Some(screen)
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-L", &self.name]).args(args);
        tmux
    }

    /// Returns the current screen.
    fn text(&self) -> String {
        run(&mut self.tmux(&["capture-pane", "-p"]), STEP).out()
    }

    #[track_caller]
    fn wait_for(&self, words: &str) {
        let mut last = String::new();
        for _ in 0..200 {
            last = self.text();
            if last.contains(words) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{words:?} never came; the screen is:\n{last}");
    }

    fn press(&self, keys: &[&str]) {
        run_ok(self.tmux(&["send-keys"]).args(keys), STEP);
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        run_ok(
            &mut self.tmux(&["resize-window", "-x", &columns, "-y", &rows]),
            STEP,
        );
    }

    /// Expects that it has exited and left the terminal usable.
    #[track_caller]
    fn assert_left_clean(&self, status: u8) {
        self.wait_for(&format!("It ended with {status}"));
        self.wait_for("icanon");
        let text = self.text();
        assert!(
            text.contains("\necho\n") || text.contains("\necho"),
            "{text}"
        );
        assert!(
            !text.contains("-echo") && !text.contains("-icanon"),
            "{text}"
        );
        assert!(!text.contains("q quit"), "{text}");
        let cursor = ["display-message", "-p", "#{cursor_flag}#{alternate_on}"];
        assert_eq!(run_ok(&mut self.tmux(&cursor), STEP).out().trim(), "10");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        run(&mut self.tmux(&["kill-server"]), STEP);
    }
}

#[test]
fn a_transfer_is_seen_from_its_begin_to_its_end() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    fs::write(server.at_home("film"), vec![7; 4 * MIB]).unwrap();
    let Some(screen) = Screen::open(&server, 120, 30) else {
        return;
    };
    screen.wait_for("1 session ");
    screen.wait_for(USER);
    screen.wait_for("LandfallTest_1.0");
    let file = sftp.opened("film", flag::READ);
    let mut done = 0;
    for (part, percent, bar) in [
        (1, "25%", "███░░░░░░░░░"),
        (2, "50%", "██████░░░░░░"),
        (3, "75%", "█████████░░░"),
        (4, "100%", "████████████"),
    ] {
        while done < part * MIB {
            sftp.read(&file, done as u64, 32 * 1024);
            done += 32 * 1024;
        }
        screen.wait_for("down /film");
        screen.wait_for(&format!("{bar} {percent:>4}"));
    }
    assert_eq!(sftp.close(&file), crate::common::wire::code::OK);
    wait_until("it is gone", STEP, || !screen.text().contains("/film"));
    screen.press(&["q"]);
    screen.assert_left_clean(0);
}

#[test]
fn speeds_quotas_and_failed_logins_are_seen() {
    let server = TestServer::start();
    server
        .admin(&["user", "set", USER, "--quota", "10MiB"], "")
        .ok();
    fs::write(server.at_home("half"), vec![7; 5 * MIB]).unwrap();
    let mut sftp = Connection::logged_in(&server).sftp();
    let stranger = Connection::open(&server, &Options::default());
    assert!(!stranger.password("r\u{1b}[2Joot", "x").unwrap().success());
    let Some(screen) = Screen::open(&server, 120, 30) else {
        return;
    };
    screen.wait_for("██████░░░░░░  50% of 10.0 MiB");
    screen.wait_for("FAILED LOGINS");
    screen.wait_for("[2Joot");
    screen.wait_for("password");
    let file = sftp.opened("up", flag::WRITE | flag::CREAT);
    let mut seen = false;
    for round in 0..200 {
        let offset = round % 32 * 32 * 1024;
        sftp.write(&file, offset, &[1; 32 * 1024]);
        std::thread::sleep(Duration::from_millis(20));
        let text = screen.text();
        let head = text.lines().next().unwrap_or_default();
        seen |= head.contains("iB/s   down 0");
    }
    assert!(seen, "{}", screen.text());
}

#[test]
fn the_chosen_session_is_ended_after_a_question() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, &[&server.public_key()]);
    let mut hers = Held::open(&server);
    let his = Connection::open(&server, &Options::default());
    assert!(his.key("bob", &server.key(), None).unwrap().success());
    let Some(screen) = Screen::open(&server, 120, 30) else {
        return;
    };
    screen.wait_for("2 sessions");
    // Without a selection there is nothing to confirm.
    screen.press(&["k"]);
    screen.press(&["s"]);
    screen.wait_for("s sort: user");
    assert!(!screen.text().contains("y/n"));
    screen.press(&["/", "b", "o", "b", "Enter"]);
    screen.wait_for("1 session ");
    screen.press(&["Down", "k"]);
    screen.wait_for("Close session 2 of bob from 127.0.0.1:");
    screen.press(&["n"]);
    screen.wait_for("q quit");
    assert!(!his.is_closed());
    screen.press(&["k"]);
    screen.wait_for("Close session 2 of bob from 127.0.0.1:");
    screen.press(&["y"]);
    wait_until("his session is ended", STEP, || his.is_closed());
    screen.wait_for("0 sessions");
    // The audit log names the operator, as for `session kill`.
    let uid = rustix::process::geteuid().as_raw();
    wait_until("the kill is noted", STEP, || {
        let log = fs::read_to_string(server.path("data/audit.jsonl")).unwrap();
        log.lines().any(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event"] == "kill" && event["name"] == "bob" && event["operator"]["uid"] == uid
        })
    });
    screen.press(&["Escape"]);
    screen.wait_for("1 session ");
    hers.assert_alive();
    screen.press(&["C-c"]);
    screen.assert_left_clean(0);
    hers.leave();
}

#[test]
fn any_size_of_terminal_will_do() {
    let server = TestServer::start();
    let held = Held::open(&server);
    let Some(screen) = Screen::open(&server, 120, 30) else {
        return;
    };
    screen.wait_for("ACCOUNT");
    screen.resize(40, 10);
    wait_until("there are no panels", STEP, || {
        !screen.text().contains("ACCOUNT")
    });
    screen.wait_for(USER);
    screen.wait_for("SPEED");
    for (columns, rows) in [
        (1, 1),
        (2, 2),
        (5, 3),
        (300, 100),
        (300, 1),
        (1, 100),
        (20, 18),
    ] {
        screen.resize(columns, rows);
        std::thread::sleep(Duration::from_millis(150));
    }
    screen.resize(120, 30);
    screen.wait_for("ACCOUNT");
    screen.wait_for("q quit");
    held.leave();
}

#[test]
fn a_server_that_is_killed_is_waited_for() {
    let mut server = TestServer::start();
    let Some(screen) = Screen::open(&server, 100, 24) else {
        return;
    };
    screen.wait_for("0 sessions");
    let held = Held::open(&server);
    screen.wait_for("1 session ");
    server.kill();
    screen.wait_for("reconnecting: ");
    held.ended();
    // Keys that need a server do nothing.
    screen.press(&["Down", "k", "y", "s"]);
    screen.wait_for("s sort: user");
    assert!(!screen.text().contains(USER), "{}", screen.text());
    server.serve();
    screen.wait_for("0 sessions");
    let held = Held::open(&server);
    screen.wait_for("1 session ");
    screen.wait_for(USER);
    held.leave();
    server.stop();
    screen.wait_for("reconnecting: no server runs on");
    screen.press(&["q"]);
    screen.assert_left_clean(0);
}

#[test]
fn names_reasons_and_addresses_have_the_room_that_there_is() {
    let server = TestServer::start();
    let long = format!("{}-the-end", "partner.with-a-long-name".repeat(2));
    server.add_user(&long, PASSWORD, &[]);
    let theirs = Connection::open(&server, &Options::default());
    assert!(theirs.password(&long, PASSWORD).unwrap().success());
    server.admin(&["user", "set", USER, "--disabled"], "").ok();
    let refused = Connection::open(&server, &Options::default());
    assert!(!refused.password(USER, PASSWORD).unwrap().success());
    let Some(screen) = Screen::open(&server, 160, 30) else {
        return;
    };
    screen.wait_for("FAILED LOGINS");
    let text = screen.text();
    let line = |start: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with(start))
            .unwrap()
            .to_owned()
    };
    // As a session, and as an account.
    assert!(line("1 ").contains(&long), "{text}");
    assert!(line(&long).contains("0 bytes"), "{text}");
    let failed = text.lines().find(|line| line.contains("password"));
    assert!(failed.unwrap().contains("disabled"), "{text}");
    screen.press(&["Down", "k"]);
    screen.wait_for(&format!("Close session 1 of {long} from 127.0.0.1:"));
    screen.press(&["n", "q"]);
    screen.assert_left_clean(0);
}

#[test]
fn a_signal_leaves_the_terminal_clean_too() {
    let server = TestServer::start();
    let Some(screen) = Screen::open(&server, 100, 24) else {
        return;
    };
    screen.wait_for("0 sessions");
    // The shell's child process is the command itself.
    let shell = run_ok(
        &mut screen.tmux(&["display-message", "-p", "#{pane_pid}"]),
        STEP,
    )
    .out();
    let children = format!("/proc/{0}/task/{0}/children", shell.trim());
    let top = fs::read_to_string(children).unwrap();
    let top: i32 = top.trim().parse().unwrap();
    kill_process(Pid::from_raw(top).unwrap(), Signal::TERM).unwrap();
    screen.assert_left_clean(0);
}

#[test]
fn without_a_terminal_or_a_server_it_says_what_to_do() {
    let mut server = TestServer::start();
    let words = server.admin(&["top"], "").refused();
    assert!(words.contains("needs a terminal"), "{words}");
    assert!(words.contains("session list --json"), "{words}");
    server.stop();
    let Some(screen) = Screen::open(&server, 100, 24) else {
        return;
    };
    screen.wait_for("no server runs on");
    screen.wait_for("It ended with 1");
}
