//! What people see: prompts and lists.

use super::*;

#[test]
fn list_and_show_are_for_people_too() {
    let operator = operator();
    operator.add("first");
    operator.run(&["user", "rm", "first"]).accepted();
    assert!(
        operator
            .run(&["user", "list"])
            .accepted()
            .contains("landfall user add")
    );
    assert_eq!(operator.json(&["user", "list"]), json!([]));
    operator.add("a-much-longer-name");
    operator
        .run_with("a secret", &["user", "add", "ann", "--password-stdin"])
        .accepted();
    let table = operator.run(&["user", "list"]).accepted();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    let column = lines[0].find("HOME").unwrap();
    for line in &lines[1..] {
        assert!(line[column..].starts_with('/'), "{table}");
    }
    let shown = operator.run(&["user", "show", "ann"]).accepted();
    for text in [
        "Name         ann\n",
        "Password     yes\n",
        "Keys         none\n",
        "/data/homes/ann\n",
    ] {
        assert!(shown.contains(text), "{text}{shown}");
    }
    assert!(
        operator
            .run(&["user", "show", "bob"])
            .refused()
            .contains("no user bob")
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let operator = operator();
    operator.add("ann");
    for arguments in [
        vec!["user", "list"],
        vec!["user", "show", "ann"],
        vec!["check"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = operator.command(&arguments);
        let child = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), complaint.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// A terminal with `landfall user add ann` in it; script(1) of util-linux makes one.
struct Terminal {
    script: Running,
    name: PathBuf,
    shown: String,
}

impl Terminal {
    fn start(operator: &Operator) -> Self {
        let name = operator.path("terminal");
        let landfall = env!("CARGO_BIN_EXE_landfall");
        let inside = format!("tty > {} && exec {landfall} user add ann", name.display());
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-c", &inside, "/dev/null"])
            .env_remove("LANDFALL_CONFIG");
        command
            .current_dir(operator.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command
            .spawn()
            .expect("this test needs script(1) of util-linux");
        let script = Running::adopt(child, "script".to_owned());
        Self {
            script,
            name,
            shown: String::new(),
        }
    }

    /// Waits for a prompt and for the echo to be off, as a person does without knowing, and answers.
    fn answer(&mut self, prompt: &str, answer: &str) {
        while !self.shown.ends_with(prompt) {
            let mut byte = [0];
            self.script
                .child()
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut byte)
                .unwrap();
            self.shown.push(char::from(byte[0]));
        }
        let terminal = fs::read_to_string(&self.name).unwrap();
        wait_until("the echo to be off", STEP, || {
            let settings = run_ok(
                Command::new("stty").args(["-a", "-F", terminal.trim()]),
                STEP,
            );
            settings.out().contains("-echo ")
        });
        self.script
            .child()
            .stdin
            .as_mut()
            .unwrap()
            .write_all(answer.as_bytes())
            .unwrap();
    }

    /// All that was shown, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        self.script
            .child()
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut self.shown)
            .unwrap();
        (self.shown, self.script.wait(STEP).status.code())
    }
}

#[test]
fn a_prompt_asks_twice_and_shows_nothing() {
    let operator = operator();
    let mut terminal = Terminal::start(&operator);
    terminal.answer("New password: ", "top secret\r");
    terminal.answer("Repeat the password: ", "top sacred\r");
    let (shown, code) = terminal.end();
    assert!(code == Some(1) && shown.contains("differ"), "{shown}");
    let mut terminal = Terminal::start(&operator);
    terminal.answer("New password: ", "\r");
    let (shown, code) = terminal.end();
    assert!(code == Some(1) && shown.contains("empty"), "{shown}");
    assert!(!operator.path("data").exists());
    let mut terminal = Terminal::start(&operator);
    terminal.answer("New password: ", "top secret\r");
    terminal.answer("Repeat the password: ", "top secret\r");
    let (shown, code) = terminal.end();
    assert!(code == Some(0) && shown.contains("Added ann"), "{shown}");
    assert!(!shown.contains("top secret"), "{shown}");
    assert!(operator.has_password("ann"));
}
