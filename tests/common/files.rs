//! Files to send, and their comparison.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Pseudo-random bytes, the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn fill(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
    }
}

/// `length` random bytes.
pub fn bytes_of(length: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; length];
    Random::new(seed).fill(&mut out);
    out
}

/// Creates a file of `length` random bytes.
pub fn random_file(path: &Path, length: u64, seed: u64) {
    let mut random = Random::new(seed);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut block = vec![0; 1 << 16];
    let mut left = length;
    while left > 0 {
        let piece = usize::try_from(left.min(block.len() as u64)).unwrap();
        random.fill(&mut block[..piece]);
        file.write_all(&block[..piece]).unwrap();
        left -= piece as u64;
    }
    file.flush().unwrap();
}

/// Copies the first `length` bytes of a file, as an interrupted transfer leaves them.
pub fn cut(from: &Path, to: &Path, length: usize) {
    let whole = std::fs::read(from).unwrap();
    std::fs::write(to, &whole[..length]).unwrap();
}

/// Returns a name that is unique in this process.
pub fn random_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{prefix}{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The SHA-256 of a file, in hexadecimal.
#[track_caller]
pub fn sha256_of(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block).unwrap() {
            0 => break,
            length => hash.update(&block[..length]),
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Fails unless both files have the same bytes.
#[track_caller]
pub fn assert_same(left: &Path, right: &Path) {
    let size = |path: &Path| {
        std::fs::metadata(path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            .len()
    };
    assert_eq!(
        size(left),
        size(right),
        "sizes of {} and {}",
        left.display(),
        right.display()
    );
    assert_eq!(
        sha256_of(left),
        sha256_of(right),
        "contents of {} and {}",
        left.display(),
        right.display()
    );
}

/// Creates a folder with files of several sizes, an empty one, and folders in it.
pub fn random_tree(root: &Path, seed: u64) {
    let folders = ["", "sub", "sub/deeper", "with space"];
    let sizes = [0, 1, 4096, 32_768, 300_001];
    let mut number = seed;
    for folder in folders {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        for size in sizes {
            number += 1;
            random_file(
                &root.join(folder).join(format!("file-{size}.bin")),
                size,
                number,
            );
        }
    }
    std::fs::create_dir_all(root.join("empty folder")).unwrap();
}

/// Returns the contents of a folder: relative path, and the SHA-256 of files or "/" for folders; sorted.
#[track_caller]
pub fn tree_of(root: &Path) -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                found.push((name, "/".into()));
                walk(root, &path, found);
            } else {
                found.push((name, sha256_of(&path)));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

/// Returns what a walk finds: sizes of regular files and links, each inode once, and the number of names.
pub fn disk_use(folder: &Path) -> (u64, u64) {
    fn walk(folder: &Path, seen: &mut HashSet<(u64, u64)>, total: &mut (u64, u64)) {
        // Names come and go meanwhile.
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = std::fs::symlink_metadata(&path) else {
                continue;
            };
            total.1 += 1;
            if metadata.is_dir() {
                walk(&path, seen, total);
            } else if (metadata.is_file() || metadata.is_symlink())
                && seen.insert((metadata.dev(), metadata.ino()))
            {
                total.0 += metadata.len();
            }
        }
    }
    let mut total = (0, 0);
    walk(folder, &mut HashSet::new(), &mut total);
    total
}

/// Returns all bytes of an open file, from its start.
pub fn read_from_start(mut file: &File) -> Vec<u8> {
    let mut out = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut out).unwrap();
    out
}

/// Returns everything that a program has written into a file so far, without moving its position.
pub fn read_meanwhile(file: &File) -> Vec<u8> {
    let mut out = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    let read = file.read_at(&mut out, 0).unwrap();
    out.truncate(read);
    out
}

/// Polls until the condition holds; fails with `what` after the deadline.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(
            began.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
