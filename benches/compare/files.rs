//! The files that servers and clients move: big, half (of its size), small/ and names/.

use std::fs::{self, File};
use std::io::{self, Write};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::args::Scale;
use crate::common::fixture::Fixture;

/// Size of a small file in bytes.
const SMALL: usize = 4096;

/// Creates all of them.
pub(crate) fn make(fixture: &Fixture, scale: &Scale) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(1);
    for (name, size) in [("big", scale.size), ("half", scale.size / 2)] {
        fixture.make_file(name, size, &mut random)?;
    }

    for folder in [fixture.source(), fixture.home()] {
        fs::create_dir(folder.join("small"))?;
    }
    let mut small = vec![0; SMALL];
    for number in 0..scale.small_files {
        let name = format!("small/{number:04}");
        random.fill_bytes(&mut small);
        File::create(fixture.source().join(&name))?.write_all(&small)?;
        fs::hard_link(fixture.source().join(&name), fixture.home().join(&name))?;
    }

    fixture.make_names("names", scale.names)
}
