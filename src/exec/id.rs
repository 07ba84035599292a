//! `id`: the uid and gid of the files in the home, as a client sees them.

use super::work::{FAILED, say};
use crate::exec::arguments::Word;
use crate::io::pipe::{Disconnected, Pipe};

pub(super) async fn run<P: Pipe>(
    user: &str,
    (uid, gid): (u32, u32),
    words: &[Word],
    pipe: &mut P,
) -> Result<u32, Disconnected> {
    let line = match words {
        [] => format!("uid={uid}({user}) gid={gid}({user}) groups={gid}({user})\n"),
        [option] if option.text == b"-u" => format!("{uid}\n"),
        [option] if option.text == b"-g" || option.text == b"-G" => format!("{gid}\n"),
        _ => {
            pipe.notice("id: usage: id [-u|-g|-G]\n".to_owned()).await?;
            return Ok(FAILED);
        }
    };
    say(pipe, line).await
}
