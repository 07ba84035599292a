//! `landfall top`: shows the running server live in a terminal.

mod draw;
mod model;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::model::View;
use crate::control::{ControlReply, ControlRequest, RunningServer};
use crate::operator::commands::audit::operator;
use crate::values::error_chain::chain;

/// Interval between two requests to the server.
const REFRESH: Duration = Duration::from_secs(1);
/// Interval at which the thread that reads keys checks whether it is still needed.
const KEYS: Duration = Duration::from_millis(100);

/// Handles a key.
enum Act {
    Nothing,
    Quit,
    Kill(u64),
}

/// Shows the server of this data folder until the user quits. Reconnects to a server that restarts.
///
/// # Errors
/// There is no terminal, or no server at the start.
pub async fn run(data: &Path) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("landfall top needs a terminal; programs can use: landfall session list --json");
    }
    let server = RunningServer::need(data).await?;
    let mut link = ServerLink {
        data,
        server: Some(server),
    };
    let mut view = View::default();
    view.take(link.ask(ControlRequest::Top).await?, Instant::now());
    // Also restores the terminal after a panic.
    let mut terminal = ratatui::try_init().context("cannot use this terminal")?;
    let outcome = watch(&mut terminal, &mut link, &mut view).await;
    ratatui::restore();
    outcome
}

/// The connection to the server, which may close and come back.
struct ServerLink<'a> {
    data: &'a Path,
    server: Option<RunningServer>,
}

impl ServerLink<'_> {
    /// Asks the server; reconnects if there is no connection.
    async fn ask(&mut self, request: ControlRequest) -> anyhow::Result<Vec<ControlReply>> {
        let mut server = match self.server.take() {
            Some(server) => server,
            None => RunningServer::need(self.data).await?,
        };
        let replies = server.ask(request).await?;
        self.server = Some(server);
        Ok(replies)
    }

    async fn refresh(&mut self, view: &mut View) {
        match self.ask(ControlRequest::Top).await {
            Ok(replies) => view.take(replies, Instant::now()),
            Err(failure) => view.lose(chain(&failure).to_string()),
        }
    }
}

async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    link: &mut ServerLink<'_>,
    view: &mut View,
) -> anyhow::Result<()> {
    let mut events = events();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut refresh = interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| draw::all(frame, view))?;
        tokio::select! {
            _ = refresh.tick() => link.refresh(view).await,
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            event = events.recv() => match event {
                Some(Event::Key(key)) => match act(view, key) {
                    Act::Nothing => {}
                    Act::Quit => return Ok(()),
                    Act::Kill(id) => {
                        let request = ControlRequest::Kill {
                            ids: vec![id],
                            user: None,
                            reason: None,
                            by: operator(),
                        };
                        match link.ask(request).await {
                            Ok(_) => link.refresh(view).await,
                            Err(failure) => view.lose(chain(&failure).to_string()),
                        }
                    }
                },
                // A resize: the next frame is drawn in any case.
                Some(_) => {}
                None => bail!("the terminal was closed"),
            },
        }
    }
}

/// The events of the terminal, read by a thread because reading blocks.
fn events() -> mpsc::UnboundedReceiver<Event> {
    let (sender, events) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let next = event::poll(KEYS).and_then(|ready| ready.then(event::read).transpose());
            let Ok(next) = next else { return };
            if next.is_some_and(|event| sender.send(event).is_err()) {
                return;
            }
        }
    });
    events
}

fn act(view: &mut View, key: KeyEvent) -> Act {
    if key.kind == KeyEventKind::Release {
        return Act::Nothing;
    }
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if with_control && key.code == KeyCode::Char('c') {
        return Act::Quit;
    }
    if let Some(id) = view.asked_to_kill().map(|session| session.id) {
        view.answered();
        return match key.code {
            KeyCode::Char('y' | 'Y') => Act::Kill(id),
            _ => Act::Nothing,
        };
    }
    if view.is_typing() {
        match key.code {
            KeyCode::Enter => view.end_typing(),
            KeyCode::Esc => view.forget_filter(),
            KeyCode::Backspace => view.untype(),
            KeyCode::Char(letter) if !with_control => view.type_letter(letter),
            _ => {}
        }
        return Act::Nothing;
    }
    match key.code {
        KeyCode::Char('q') => return Act::Quit,
        KeyCode::Char('s') => view.sort_otherwise(),
        KeyCode::Char('/') => view.start_typing(),
        KeyCode::Char('k') => view.ask_to_kill(),
        KeyCode::Esc => view.forget_filter(),
        KeyCode::Up => view.move_choice(-1),
        KeyCode::Down => view.move_choice(1),
        KeyCode::PageUp => view.move_choice(-10),
        KeyCode::PageDown => view.move_choice(10),
        _ => {}
    }
    Act::Nothing
}
