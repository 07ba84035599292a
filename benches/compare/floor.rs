//! The floor: the work that every SFTP server has to do, and nothing else. For a download, it reads the
//! file, seals it with AES-256-GCM in packets of the size that clients accept, and writes them to a socket;
//! for an upload, it reads the socket, opens the packets, and writes the file. There is no protocol, no
//! second thread, and no copy.
//!
//! The CPU time is that of the one thread that does it, as the kernel counts it; the thread at the other
//! end of the socket does as little as possible.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::time::{ClockId, clock_gettime};

use crate::common::fixture::Fixture;

/// Bytes of data in a packet: the maximum that clients accept.
const DATA: usize = 32 * 1024;
/// The bytes before the data: as many as packet_length, padding_length and the header of a DATA reply in
/// CHANNEL_DATA.
const HEAD: usize = 4 + 1 + 9 + 13;
const TAG: usize = 16;
/// The bytes of a packet that are authenticated but not encrypted: packet_length.
const CLEAR: usize = 4;
const PACKET: usize = HEAD + DATA + TAG;
/// Packets per system call: with more, the memory no longer stays in the cache.
const AT_ONCE: usize = 8;

/// The direction, as the client sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Floor {
    Get,
    Put,
}

impl Floor {
    /// Moves the big file and returns the CPU time. An uploaded file is stored in the home, as a server
    /// would, and then removed.
    pub(crate) fn run(self, fixture: &Fixture, size: u64) -> Result<Duration> {
        ensure!(
            size.is_multiple_of((DATA * AT_ONCE) as u64),
            "the floor moves whole batches"
        );
        let (here, there) = connected()?;
        match self {
            Self::Get => {
                let file = File::open(fixture.home().join("big"))?;
                let taking = std::thread::spawn(move || take_all(there));
                let cpu = timed(|| give(&file, here, size))?;
                let taken = taking.join().map_err(|_| anyhow!("the reader failed"))??;
                ensure!(taken == size / DATA as u64 * PACKET as u64);
                Ok(cpu)
            }
            Self::Put => {
                let path = fixture.home().join(fixture.new_name());
                let file = File::create_new(&path)?;
                let source = File::open(fixture.source().join("big"))?;
                let giving = std::thread::spawn(move || give(&source, there, size));
                let cpu = timed(|| take(&file, here, size))?;
                giving.join().map_err(|_| anyhow!("the writer failed"))??;
                ensure!(file.metadata()?.len() == size);
                std::fs::remove_file(path)?;
                Ok(cpu)
            }
        }
    }
}

fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let there = TcpStream::connect(listener.local_addr()?)?;
    let (here, _) = listener.accept()?;
    Ok((here, there))
}

/// CPU time of this thread for `work`.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let used = || -> Result<Duration> { Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?) };
    let before = used()?;
    work()?;
    Ok(used()? - before)
}

/// Both ends have the same key and count packets.
struct Sealed {
    key: LessSafeKey,
    packets: u64,
}

impl Sealed {
    fn new() -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| anyhow!("no key"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            packets: 0,
        })
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        let (_, number) = nonce.split_at_mut(4);
        number.copy_from_slice(&self.packets.to_be_bytes());
        self.packets += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, packet: &mut [u8]) -> Result<()> {
        let (clear, rest) = packet.split_at_mut(CLEAR);
        let (text, tag) = rest.split_at_mut(HEAD - CLEAR + DATA);
        let nonce = self.nonce();
        let made = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*clear), text);
        let made = made.map_err(|_| anyhow!("a packet cannot be sealed"))?;
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    fn open(&mut self, packet: &mut [u8]) -> Result<()> {
        let (clear, rest) = packet.split_at_mut(CLEAR);
        let nonce = self.nonce();
        let opened = self.key.open_in_place(nonce, Aad::from(&*clear), rest);
        opened.map_err(|_| anyhow!("a packet is not what was sealed"))?;
        Ok(())
    }
}

fn data_of(packet: &mut [u8]) -> &mut [u8] {
    let (_, rest) = packet.split_at_mut(HEAD);
    let (data, _) = rest.split_at_mut(DATA);
    data
}

/// Reads the file, seals, and writes to the socket.
fn give(file: &File, mut socket: TcpStream, size: u64) -> Result<()> {
    let mut sealed = Sealed::new()?;
    let mut packets = vec![0; PACKET * AT_ONCE];
    let mut offset = 0;
    while offset < size {
        for packet in packets.chunks_mut(PACKET) {
            file.read_exact_at(data_of(packet), offset)?;
            offset += DATA as u64;
            sealed.seal(packet)?;
        }
        socket.write_all(&packets)?;
    }
    Ok(())
}

/// Reads from the socket, opens, and writes the file.
fn take(file: &File, mut socket: TcpStream, size: u64) -> Result<()> {
    let mut sealed = Sealed::new()?;
    let mut packets = vec![0; PACKET * AT_ONCE];
    let mut offset = 0;
    while offset < size {
        socket
            .read_exact(&mut packets)
            .context("the other end has stopped")?;
        for packet in packets.chunks_mut(PACKET) {
            sealed.open(packet)?;
            file.write_all_at(data_of(packet), offset)?;
            offset += DATA as u64;
        }
    }
    Ok(())
}

/// Reads and discards all data.
fn take_all(mut socket: TcpStream) -> Result<u64> {
    let mut memory = vec![0; 256 * 1024];
    let mut taken = 0;
    loop {
        match socket.read(&mut memory)? {
            0 => return Ok(taken),
            count => taken += count as u64,
        }
    }
}
