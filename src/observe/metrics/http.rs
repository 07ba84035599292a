//! Serves Prometheus, with the part of HTTP/1.1 (RFC 9112) that a scraper needs: one request per
//! connection, limited in length, with a deadline for all of it. docs/adr/0009 says why this is not a
//! library.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::observe::log::RateLimited;

/// Longest request.
const MOST_ASKED: usize = 8 << 10;
/// From the connection to the last byte of the response.
const DEADLINE: Duration = Duration::from_secs(10);
/// Scrapers at the same time; others wait.
const AT_ONCE: usize = 16;
/// Pause after an error of accept(2).
const PAUSE: Duration = Duration::from_millis(100);

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpPage {
    /// `/metrics`
    Metrics,
    /// `/healthz`: whether the server is healthy.
    Health,
}

/// The text of a page; an error for an unhealthy server.
pub type Text = Result<String, String>;

/// Serves requests and never returns. `page` returns the text of a page.
pub async fn serve<F>(listener: TcpListener, page: impl Fn(HttpPage) -> F + Send + Sync + 'static)
where
    F: Future<Output = Text> + Send,
{
    let page = Arc::new(page);
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut failures = RateLimited::default();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let page = page.clone();
                tokio::spawn(async move {
                    if !matches!(timeout(DEADLINE, answer(stream, &*page)).await, Ok(Ok(()))) {
                        debug!(%peer, "a request for the metrics failed");
                    }
                    drop(permit);
                });
            }
            Err(failure) => {
                if let Some(times) = failures.count() {
                    warn!(%failure, times, "cannot accept a request for the metrics; trying again");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer<F: Future<Output = Text>>(
    mut stream: TcpStream,
    page: &(impl Fn(HttpPage) -> F + Sync),
) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let (status, body) = match asked(&head) {
        Asked::For { what, .. } => match page(what).await {
            Ok(text) => ("200 OK", text),
            Err(text) => ("503 Service Unavailable", text),
        },
        Asked::SomethingElse => (
            "404 Not Found",
            "Not found; this server has /metrics and /healthz\n".to_owned(),
        ),
        Asked::ToChange => ("405 Method Not Allowed", "GET or HEAD\n".to_owned()),
        Asked::Nonsense => ("400 Bad Request", "Not an HTTP/1.1 request\n".to_owned()),
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if !matches!(
        asked(&head),
        Asked::For {
            head_alone: true,
            ..
        }
    ) {
        answer.push_str(&body);
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads up to an empty line, the end of the stream, or the limit.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while head.len() < MOST_ASKED && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    Ok(head)
}

enum Asked {
    For { what: HttpPage, head_alone: bool },
    SomethingElse,
    ToChange,
    Nonsense,
}

fn asked(head: &[u8]) -> Asked {
    let is_whole = head.windows(4).any(|end| end == b"\r\n\r\n");
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), true) =
        (method, target, version, is_whole && words.next().is_none())
    else {
        return Asked::Nonsense;
    };
    let what = match target.split(|byte| *byte == b'?').next() {
        Some(b"/metrics") => Some(HttpPage::Metrics),
        Some(b"/healthz") => Some(HttpPage::Health),
        _ => None,
    };
    match (method, what) {
        (b"GET" | b"HEAD", Some(what)) => Asked::For {
            what,
            head_alone: method == b"HEAD",
        },
        (b"GET" | b"HEAD", None) => Asked::SomethingElse,
        _ => Asked::ToChange,
    }
}
