//! What is known of a client from its identification string (RFC 4253, section 4.2).

/// The clients that need something of their own; see PROTOCOL.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientQuirks {
    /// OpenSSH's `sftp`, `scp`, and sshfs on top of it.
    OpenSsh,
    /// PuTTY's `psftp` and `pscp`, and FileZilla.
    Putty,
    /// WinSCP.
    WinScp,
    /// libssh2, and so curl.
    Libssh2,
    /// Python's asyncssh.
    AsyncSsh,
    /// ssh2 of Node.
    Ssh2Js,
    /// libssh, and so what file managers of KDE build on.
    Libssh,
    /// PHP's phpseclib, and so Nextcloud and Flysystem.
    Phpseclib,
    /// All others.
    Other,
}

/// The software part of an identification starts so.
const KNOWN: &[(&str, ClientQuirks)] = &[
    ("OpenSSH", ClientQuirks::OpenSsh),
    ("WinSCP", ClientQuirks::WinScp),
    ("PuTTY", ClientQuirks::Putty),
    ("FileZilla", ClientQuirks::Putty),
    ("libssh2", ClientQuirks::Libssh2),
    ("AsyncSSH", ClientQuirks::AsyncSsh),
    ("ssh2js", ClientQuirks::Ssh2Js),
    ("libssh_", ClientQuirks::Libssh),
    ("phpseclib", ClientQuirks::Phpseclib),
];

impl ClientQuirks {
    /// From the whole line, `SSH-2.0-softwareversion comments`.
    pub fn identify(line: &[u8]) -> Self {
        let software = line.splitn(3, |b| *b == b'-').nth(2).unwrap_or_default();
        KNOWN
            .iter()
            .find(|(start, _)| software.starts_with(start.as_bytes()))
            .map_or(Self::Other, |(_, client)| *client)
    }

    /// SYMLINK's arguments: OpenSSH's server and nearly all clients have them as (target, link),
    /// the reverse of the draft; these keep to the draft with a server that is not OpenSSH's.
    pub fn symlink_in_draft_order(self) -> bool {
        matches!(
            self,
            Self::WinScp | Self::AsyncSsh | Self::Ssh2Js | Self::Libssh | Self::Phpseclib
        )
    }

    /// Shows codes 14 and 15 in words even in version 3.
    pub fn knows_version_5_codes(self) -> bool {
        matches!(self, Self::WinScp | Self::Libssh2)
    }

    /// Shows a person what comes on stderr, but not the text of a status.
    pub fn shows_only_stderr(self) -> bool {
        matches!(self, Self::OpenSsh | Self::Putty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_their_identification() {
        for (line, client) in [
            (
                &b"SSH-2.0-OpenSSH_9.2p1 Debian-2"[..],
                ClientQuirks::OpenSsh,
            ),
            (b"SSH-2.0-WinSCP_release_6.5", ClientQuirks::WinScp),
            (b"SSH-2.0-PuTTY_Release_0.78", ClientQuirks::Putty),
            (b"SSH-2.0-libssh2_1.10.0", ClientQuirks::Libssh2),
            (b"SSH-2.0-AsyncSSH_2.24.1", ClientQuirks::AsyncSsh),
            (b"SSH-2.0-ssh2js1.17.0", ClientQuirks::Ssh2Js),
            (b"SSH-2.0-libssh_0.10.5", ClientQuirks::Libssh),
            (
                b"SSH-2.0-phpseclib_3.0 (openssl, gmp)",
                ClientQuirks::Phpseclib,
            ),
            (b"SSH-2.0-paramiko_5.1.0", ClientQuirks::Other),
            (b"", ClientQuirks::Other),
        ] {
            assert_eq!(ClientQuirks::identify(line), client);
        }
    }
}
