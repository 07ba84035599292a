//! The handles of one SFTP session: limited in number, and never reused.

use crate::error::Error;
use crate::session::descriptors::{HeldDescriptor, Holdings};
use crate::vfs::{OpenDirectory, OpenFile};

/// The object of a handle.
pub(super) enum OpenHandle {
    File(OpenFile),
    Directory(OpenDirectory),
}

/// Length of a handle on the wire: its slot, and a stamp that is unique in the process, so that a closed
/// handle, or one of another session, never denotes a new object in its slot. Text, since some clients
/// store it as text (russh-sftp); short, since every request contains it.
const WIRE_LENGTH: usize = 12;
/// Six bits each.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// Slot bits of the 72 bits. There are never more than 100,000 slots (`sftp.max_handles`).
const SLOT_BITS: u32 = 20;
const STAMP_BITS: u32 = 52;

/// Directories that one session may hold open: each can have some KiB of names read ahead.
const DIRECTORIES: usize = 1024;

pub(super) struct Handles {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    max: usize,
    directories: usize,
    holdings: Holdings,
}

struct Slot {
    stamp: u64,
    open: OpenHandle,
    held: HeldDescriptor,
}

const NOT_A_FILE: Error = Error::Handle("Handle of a directory");
const UNKNOWN: Error = Error::Handle("Invalid handle");

impl Handles {
    /// Makes a table of at most `max` handles, of those that the account may hold.
    pub(super) fn new(max: usize, holdings: Holdings) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            max,
            directories: 0,
            holdings,
        }
    }

    /// Returns how many handles the session may have at present.
    pub(super) fn most(&self) -> usize {
        self.max.min(self.holdings.most())
    }

    /// Reserves a handle for a file. Called before opening it, so that a refused OPEN changes nothing.
    pub(super) fn room(&self) -> Result<HeldDescriptor, Error> {
        if self.slots.len() - self.free.len() < self.max {
            self.holdings.take()
        } else {
            Err(Error::Limit(
                "Too many open files and directories",
                self.max as u64,
            ))
        }
    }

    /// Reserves a handle for a directory.
    pub(super) fn room_for_directory(&self) -> Result<HeldDescriptor, Error> {
        if self.directories < DIRECTORIES {
            self.room()
        } else {
            Err(Error::Limit(
                "Too many open directories",
                DIRECTORIES as u64,
            ))
        }
    }

    /// Stores an open object under its reserved handle.
    pub(super) fn insert(&mut self, held: HeldDescriptor, open: OpenHandle) -> [u8; WIRE_LENGTH] {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.directories += usize::from(matches!(open, OpenHandle::Directory(_)));
        let stamp = rand::random::<u64>() >> (u64::BITS - STAMP_BITS);
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(Slot { stamp, open, held });
        }
        written(slot, stamp)
    }

    pub(super) fn get(&mut self, wire: &[u8]) -> Result<&mut OpenHandle, Error> {
        let (slot, stamp) = parse(wire)?;
        match self.slots.get_mut(slot as usize) {
            Some(Some(slot)) if slot.stamp == stamp => Ok(&mut slot.open),
            _ => Err(UNKNOWN),
        }
    }

    /// Removes a handle; returns its object, and the descriptor that it holds until it is closed.
    pub(super) fn remove(&mut self, wire: &[u8]) -> Result<(OpenHandle, HeldDescriptor), Error> {
        self.get(wire)?;
        let (number, _) = parse(wire)?;
        let slot = self.slots.get_mut(number as usize).and_then(Option::take);
        self.free.push(number);
        let is_directory = |slot: &Slot| matches!(slot.open, OpenHandle::Directory(_));
        self.directories -= usize::from(slot.as_ref().is_some_and(is_directory));
        slot.map(|slot| (slot.open, slot.held)).ok_or(UNKNOWN)
    }

    pub(super) fn any(&self) -> bool {
        self.slots.len() > self.free.len()
    }

    /// Removes all handles, as at the end of the session.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = OpenHandle> {
        self.free.clear();
        self.directories = 0;
        std::mem::take(&mut self.slots)
            .into_iter()
            .flatten()
            .map(|slot| slot.open)
    }

    pub(super) fn file(&mut self, wire: &[u8]) -> Result<&mut OpenFile, Error> {
        match self.get(wire)? {
            OpenHandle::File(file) => Ok(file),
            OpenHandle::Directory(_) => Err(NOT_A_FILE),
        }
    }

    /// Returns as [`Self::file`] does, without exclusive access.
    pub(super) fn shared(&self, wire: &[u8]) -> Result<&OpenFile, Error> {
        let (slot, stamp) = parse(wire)?;
        match self.slots.get(slot as usize) {
            Some(Some(slot)) if slot.stamp == stamp => match &slot.open {
                OpenHandle::File(file) => Ok(file),
                OpenHandle::Directory(_) => Err(NOT_A_FILE),
            },
            _ => Err(UNKNOWN),
        }
    }

    pub(super) fn directory(&mut self, wire: &[u8]) -> Result<&mut OpenDirectory, Error> {
        match self.get(wire)? {
            OpenHandle::Directory(directory) => Ok(directory),
            OpenHandle::File(_) => Err(Error::Handle("Handle of a file")),
        }
    }
}

fn written(slot: u32, stamp: u64) -> [u8; WIRE_LENGTH] {
    let mut bits = (u128::from(stamp) << SLOT_BITS) | u128::from(slot);
    [(); WIRE_LENGTH].map(|()| {
        let digit = DIGITS.get((bits & 63) as usize).copied();
        bits >>= 6;
        digit.unwrap_or_default()
    })
}

fn parse(wire: &[u8]) -> Result<(u32, u64), Error> {
    if wire.len() != WIRE_LENGTH {
        return Err(UNKNOWN);
    }
    let mut bits: u128 = 0;
    for byte in wire.iter().rev() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            b'-' => 62,
            b'_' => 63,
            _ => return Err(UNKNOWN),
        };
        bits = (bits << 6) | u128::from(digit);
    }
    let slot = bits & ((1 << SLOT_BITS) - 1);
    Ok((slot as u32, (bits >> SLOT_BITS) as u64))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::session::descriptors::Descriptors;
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

    fn handles(max: usize) -> Handles {
        Handles::new(max, Descriptors::of_process().join("somebody"))
    }

    fn insert(handles: &mut Handles) -> Result<[u8; WIRE_LENGTH], Error> {
        let held = handles.room()?;
        Ok(handles.insert(held, directory()))
    }

    fn directory() -> OpenHandle {
        OpenHandle::Directory(OpenDirectory::granted_nothing(Box::new(Empty)))
    }

    #[test]
    fn a_closed_handle_is_not_the_new_one_in_its_slot() {
        let mut handles = handles(10);
        let old = insert(&mut handles).unwrap();
        handles.remove(&old).unwrap();
        let new = insert(&mut handles).unwrap();
        assert_eq!(parse(&old).unwrap().0, parse(&new).unwrap().0);
        assert!(handles.get(&new).is_ok());
        assert!(matches!(handles.get(&old), Err(Error::Handle(_))));
        assert!(matches!(handles.remove(&old), Err(Error::Handle(_))));
        assert!(handles.remove(&new).is_ok());
    }

    #[test]
    fn a_handle_is_text_and_means_what_it_was_made_of() {
        for (slot, stamp) in [(0, 0), (99_999, 1), (1, (1 << STAMP_BITS) - 1)] {
            let wire = written(slot, stamp);
            assert!(wire.iter().all(u8::is_ascii_graphic), "{wire:?}");
            assert_eq!(parse(&wire), Ok((slot, stamp)));
        }
    }

    #[test]
    fn the_cap_holds_and_closing_makes_room() {
        let mut handles = handles(2);
        let first = insert(&mut handles).unwrap();
        insert(&mut handles).unwrap();
        assert_eq!(
            insert(&mut handles),
            Err(Error::Limit("Too many open files and directories", 2))
        );
        handles.remove(&first).unwrap();
        assert!(insert(&mut handles).is_ok());
    }

    #[test]
    fn directories_have_a_cap_of_their_own() {
        let mut handles = handles(usize::MAX);
        let first = handles.insert(handles.room().unwrap(), directory());
        for _ in 1..DIRECTORIES {
            let held = handles.room_for_directory().unwrap();
            handles.insert(held, directory());
        }
        assert!(handles.room_for_directory().is_err());
        assert!(handles.room().is_ok());
        handles.remove(&first).unwrap();
        assert!(handles.room_for_directory().is_ok());
    }

    #[test]
    fn nonsense_is_no_handle() {
        let mut handles = handles(2);
        insert(&mut handles).unwrap();
        for wire in [
            &b""[..],
            b"x",
            b"00000000000 ",
            &[b'0'; 12],
            &[0; 12],
            &[0xff; 12],
            &[b'0'; 300],
        ] {
            assert!(
                matches!(handles.get(wire), Err(Error::Handle(_))),
                "{wire:?}"
            );
        }
    }
}
