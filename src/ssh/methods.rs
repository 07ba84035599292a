//! The authentication methods that the server offers.

use russh::{MethodKind, MethodSet};

/// The methods that remain after a refusal: a wrong password must not remove the method.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(
        &[
            MethodKind::PublicKey,
            MethodKind::Password,
            MethodKind::KeyboardInteractive,
        ][..],
    )
}
