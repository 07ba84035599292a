//! The file in which other servers look for keys. This server does not read it, and tells a client that
//! writes it (`ssh-copy-id`) what to do instead.

/// Its path in a home.
pub const PATH: &[u8] = b".ssh/authorized_keys";

/// The message for the user.
pub const ADVICE: &str = "landfall: no keys are read from .ssh/authorized_keys here; ask the operator to add \
     yours: landfall user key add NAME FILE.pub\n";
