//! Transfers with many requests in flight, as clients make them.

use super::raw::{InFlight, RawSftp};
use super::wire::{self, Reply, code};

/// How far a client pipelines requests.
#[derive(Clone, Copy)]
pub struct Ahead {
    pub requests: usize,
    /// Bytes of each.
    pub piece: usize,
}

impl RawSftp {
    /// Writes to an open file in chunks, with this many in flight.
    #[track_caller]
    pub fn write_ahead(&mut self, handle: &[u8], offset: u64, data: &[u8], ahead: Ahead) {
        let mut in_flight = InFlight::default();
        let mut offset = offset;
        for piece in data.chunks(ahead.piece) {
            if in_flight.0.len() == ahead.requests {
                assert_eq!(in_flight.reply(self).code(), code::OK);
            }
            let body = self.body(wire::WRITE).string(handle);
            in_flight.send(self, &body.u64(offset).string(piece));
            offset += piece.len() as u64;
        }
        while !in_flight.0.is_empty() {
            assert_eq!(in_flight.reply(self).code(), code::OK);
        }
    }

    /// Reads an open file from an offset to its end, with this many READs in flight.
    #[track_caller]
    pub fn read_ahead(&mut self, handle: &[u8], mut offset: u64, ahead: Ahead) -> Vec<u8> {
        let mut in_flight = InFlight::default();
        let mut data = Vec::new();
        let mut at_end = false;
        while !at_end || !in_flight.0.is_empty() {
            while !at_end && in_flight.0.len() < ahead.requests {
                let body = self.body(wire::READ).string(handle).u64(offset);
                in_flight.send(self, &body.u32(u32::try_from(ahead.piece).unwrap()));
                offset += ahead.piece as u64;
            }
            match in_flight.reply(self) {
                Reply::Data { data: piece, .. } => {
                    assert!(!at_end, "data after the end");
                    at_end = piece.len() < ahead.piece;
                    data.extend(piece);
                }
                end => {
                    assert_eq!(end.code(), code::EOF);
                    at_end = true;
                }
            }
        }
        data
    }
}
