//! `df`: free space in the format of POSIX's `df -P`.

use std::sync::Arc;

use super::work::{FAILED, blocking, say};
use crate::exec::arguments::Word;
use crate::io::pipe::{Disconnected, Pipe};
use crate::values::path::VPath;
use crate::values::units::show_rounded;
use crate::vfs::{Room, Vfs};

pub(super) async fn run<P: Pipe>(
    vfs: &Arc<Vfs>,
    words: &[Word],
    pipe: &mut P,
) -> Result<u32, Disconnected> {
    let mut for_people = false;
    let mut path = None;
    for word in words {
        match word.text.as_slice() {
            b"-h" => for_people = true,
            b"-k" | b"-P" | b"-Pk" | b"-kP" | b"--" => for_people = false,
            option if option.starts_with(b"-") => {
                pipe.notice("df: usage: df [-k|-h] [PATH]\n".to_owned())
                    .await?;
                return Ok(FAILED);
            }
            given => path = Some(given.to_owned()),
        }
    }
    let shown = path.unwrap_or_else(|| b"/".to_vec());
    let given = shown.clone();
    let room = blocking(vfs, move |vfs| vfs.room(&VPath::parse(&given)?)).await?;
    match room {
        Ok(room) => say(pipe, table(&room, for_people)).await,
        Err(error) => {
            let shown = String::from_utf8_lossy(&shown);
            pipe.notice(format!("df: {shown}: {error}\n")).await?;
            Ok(FAILED)
        }
    }
}

fn table(room: &Room, for_people: bool) -> String {
    let used = room.user_total.saturating_sub(room.user_free);
    let percent = (u128::from(used) * 100).div_ceil(u128::from(room.user_total.max(1)));
    let figures = [room.user_total, used, room.user_free];
    let (title, [total, used, free]) = if for_people {
        ("Size", figures.map(show_rounded))
    } else {
        let blocks = |bytes: u64| (bytes / 1024).to_string();
        ("1024-blocks", figures.map(blocks))
    };
    format!(
        "{:<10} {title:>12} {:>12} {:>12} {:>8} {}\n{:<10} {total:>12} {used:>12} {free:>12} {:>8} {}\n",
        "Filesystem",
        "Used",
        "Available",
        "Capacity",
        "Mounted on",
        "landfall",
        format!("{percent}%"),
        "/",
    )
}
