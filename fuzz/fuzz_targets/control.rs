//! However lines arrive at the control socket, they are the same requests, and encode to the same lines; an
//! invalid request ends the connection, and no line exceeds its limit.
//!
//! The input: the length of the chunks in which the rest arrives, and the rest.
#![no_main]

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use landfall::control::{Frames, ControlReply, ControlRequest};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
}

fuzz_target!(|input: &[u8]| RUNTIME.with(|runtime| {
    let Some((&chunk, lines)) = input.split_first() else {
        return;
    };
    runtime.block_on(async {
        check::<ControlRequest>(lines, usize::from(chunk)).await;
        check::<ControlReply>(lines, usize::from(chunk)).await;
    });
}));

async fn check<T: Serialize + DeserializeOwned>(lines: &[u8], chunk: usize) {
    let (whole, end) = read::<T>(lines, usize::MAX).await;
    assert_eq!(read::<T>(lines, chunk.max(1)).await, (whole.clone(), end));
    assert!(whole.len() <= lines.split(|byte| *byte == b'\n').count());
    // What was sent reads back as the same.
    let sent = whole.concat();
    if !sent.is_empty() {
        assert_eq!(read::<T>(&sent, chunk.max(1)).await, (whole, None));
    }
}

/// All values, each as it is sent, and the reason for the end.
async fn read<T: Serialize + DeserializeOwned>(
    lines: &[u8],
    chunk: usize,
) -> (Vec<Vec<u8>>, Option<ErrorKind>) {
    let stream = Stream {
        lines,
        chunk,
        sent: None,
    };
    let mut frames = Frames::new(stream);
    let mut values = Vec::new();
    loop {
        match frames.receive::<T>().await {
            Ok(Some(value)) => {
                let mut sent = Vec::new();
                let out = Stream {
                    lines: &[],
                    chunk: 0,
                    sent: Some(&mut sent),
                };
                Frames::new(out).send(&[value]).await.unwrap();
                values.push(sent);
            }
            Ok(None) => return (values, None),
            Err(failure) => return (values, Some(failure.kind())),
        }
    }
}

/// Delivers lines in chunks, and keeps what is sent.
struct Stream<'a> {
    lines: &'a [u8],
    chunk: usize,
    sent: Option<&'a mut Vec<u8>>,
}

impl AsyncRead for Stream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.chunk.min(out.remaining()).min(self.lines.len());
        let (now, later) = self.lines.split_at(length);
        out.put_slice(now);
        self.lines = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sent.as_mut().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
