//! The file in which other servers look for keys. The server reads none from it, and answers a client that
//! writes one there (`ssh-copy-id`) with what to do instead.

/// Where it would be, below the home.
pub const PATH: &[u8] = b".ssh/authorized_keys";

/// For the person at the client.
pub const ADVICE: &str = "landfall: no keys are read from .ssh/authorized_keys here; ask the operator to add \
     yours: landfall user key add NAME FILE.pub\n";
