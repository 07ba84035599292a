//! The methods of authentication that are offered.

use russh::{MethodKind, MethodSet};

/// What every refusal leaves open: a wrong password must not take the method away.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(
        &[
            MethodKind::PublicKey,
            MethodKind::Password,
            MethodKind::KeyboardInteractive,
        ][..],
    )
}
