//! The handles of one SFTP session: capped, and never mistaken for one another.

use std::io::Write as _;

use crate::error::Error;
use crate::vfs::{OpenDirectory, OpenFile};

/// What a handle stands for.
pub(super) enum Open {
    File(OpenFile),
    Directory(OpenDirectory),
}

/// A handle on the wire: the slot, and a stamp that no other handle of the process has, so that one
/// that was closed, or belongs to another session, is never taken for a new one in its slot. In
/// hexadecimal digits, since there are clients that keep it as text (russh-sftp).
const SLOT_DIGITS: usize = 8;
const WIRE_LENGTH: usize = SLOT_DIGITS + 16;

pub(super) struct Handles {
    slots: Vec<Option<(u64, Open)>>,
    free: Vec<u32>,
    max: usize,
}

const NOT_A_FILE: Error = Error::Handle("Handle is a directory's");
const UNKNOWN: Error = Error::Handle("Invalid handle");

impl Handles {
    pub(super) fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            max,
        }
    }

    /// May one more be opened? Asked before opening, so that a refused OPEN changes nothing.
    pub(super) fn check_room(&self) -> Result<(), Error> {
        if self.slots.len() - self.free.len() < self.max {
            Ok(())
        } else {
            Err(Error::Limit(
                "Too many open files and directories",
                self.max as u64,
            ))
        }
    }

    pub(super) fn insert(&mut self, open: Open) -> Result<[u8; WIRE_LENGTH], Error> {
        self.check_room()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        let stamp: u64 = rand::random();
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some((stamp, open));
        }
        let mut wire = [0; WIRE_LENGTH];
        // Cannot fail: it is exactly as long.
        let _ = write!(&mut wire[..], "{slot:08x}{stamp:016x}");
        Ok(wire)
    }

    pub(super) fn get(&mut self, wire: &[u8]) -> Result<&mut Open, Error> {
        let (slot, stamp) = parse(wire)?;
        match self.slots.get_mut(slot as usize) {
            Some(Some((held, open))) if *held == stamp => Ok(open),
            _ => Err(UNKNOWN),
        }
    }

    pub(super) fn remove(&mut self, wire: &[u8]) -> Result<Open, Error> {
        self.get(wire)?;
        let (slot, _) = parse(wire)?;
        let held = self.slots.get_mut(slot as usize).and_then(Option::take);
        self.free.push(slot);
        held.map(|(_, open)| open).ok_or(UNKNOWN)
    }

    pub(super) fn any(&self) -> bool {
        self.slots.len() > self.free.len()
    }

    /// Takes all handles, as when the session ends.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Open> {
        self.free.clear();
        std::mem::take(&mut self.slots)
            .into_iter()
            .flatten()
            .map(|(_, open)| open)
    }

    pub(super) fn file(&mut self, wire: &[u8]) -> Result<&mut OpenFile, Error> {
        match self.get(wire)? {
            Open::File(file) => Ok(file),
            Open::Directory(_) => Err(NOT_A_FILE),
        }
    }

    /// As [`Self::file`], for two at once.
    pub(super) fn shared(&self, wire: &[u8]) -> Result<&OpenFile, Error> {
        let (slot, stamp) = parse(wire)?;
        match self.slots.get(slot as usize) {
            Some(Some((held, Open::File(file)))) if *held == stamp => Ok(file),
            Some(Some((held, Open::Directory(_)))) if *held == stamp => Err(NOT_A_FILE),
            _ => Err(UNKNOWN),
        }
    }

    pub(super) fn directory(&mut self, wire: &[u8]) -> Result<&mut OpenDirectory, Error> {
        match self.get(wire)? {
            Open::Directory(directory) => Ok(directory),
            Open::File(_) => Err(Error::Handle("Handle is a file's")),
        }
    }
}

fn parse(wire: &[u8]) -> Result<(u32, u64), Error> {
    let wire = std::str::from_utf8(wire).map_err(|_| UNKNOWN)?;
    let (slot, stamp) = wire.split_at_checked(SLOT_DIGITS).ok_or(UNKNOWN)?;
    let slot = u32::from_str_radix(slot, 16).map_err(|_| UNKNOWN)?;
    let stamp = u64::from_str_radix(stamp, 16).map_err(|_| UNKNOWN)?;
    Ok((slot, stamp))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{Directory, Entry, Identity, Metadata, Space};

    struct Empty;

    impl Directory for Empty {
        fn next(&mut self) -> Result<Option<Entry>, Error> {
            Ok(None)
        }
        fn metadata(&self) -> Result<Metadata, Error> {
            Err(UNKNOWN)
        }
        fn identity(&self) -> Result<Identity, Error> {
            Err(UNKNOWN)
        }
        fn change(&self, _: &crate::store::Changes) -> Result<(), Error> {
            Err(UNKNOWN)
        }
        fn space(&self) -> Result<Space, Error> {
            Err(UNKNOWN)
        }
        fn sync_names(&self) -> Result<(), Error> {
            Err(UNKNOWN)
        }
    }

    fn directory() -> Open {
        Open::Directory(OpenDirectory::granted_nothing(Box::new(Empty)))
    }

    #[test]
    fn a_closed_handle_is_not_the_new_one_in_its_slot() {
        let mut handles = Handles::new(10);
        let old = handles.insert(directory()).unwrap();
        handles.remove(&old).unwrap();
        let new = handles.insert(directory()).unwrap();
        assert_eq!(
            old.first_chunk::<SLOT_DIGITS>(),
            new.first_chunk::<SLOT_DIGITS>()
        );
        assert!(handles.get(&new).is_ok());
        assert!(matches!(handles.get(&old), Err(Error::Handle(_))));
        assert!(matches!(handles.remove(&old), Err(Error::Handle(_))));
        assert!(handles.remove(&new).is_ok());
    }

    #[test]
    fn the_cap_holds_and_closing_makes_room() {
        let mut handles = Handles::new(2);
        let first = handles.insert(directory()).unwrap();
        handles.insert(directory()).unwrap();
        assert_eq!(
            handles.insert(directory()),
            Err(Error::Limit("Too many open files and directories", 2))
        );
        handles.remove(&first).unwrap();
        assert!(handles.insert(directory()).is_ok());
    }

    #[test]
    fn nonsense_is_no_handle() {
        let mut handles = Handles::new(2);
        handles.insert(directory()).unwrap();
        for wire in [
            &b""[..],
            b"x",
            b"00000000",
            &[b'0'; 24],
            &[0; 24],
            &[0xff; 24],
            &[b'0'; 300],
        ] {
            assert!(
                matches!(handles.get(wire), Err(Error::Handle(_))),
                "{wire:?}"
            );
        }
    }
}
