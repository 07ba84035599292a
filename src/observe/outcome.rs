//! How logins, transfers and operations go and end: the values that the audit log, the metrics and the
//! operator's commands share.

use crate::values::label::labels;

labels! {
    /// How a client logs in.
    pub enum LoginMethod {
        /// A password.
        Password = "password",
        /// A password, as the answer to a prompt.
        KeyboardInteractive = "keyboard-interactive",
        /// A key.
        PublicKey = "publickey",
        /// A key with a certificate.
        Certificate = "certificate",
        /// As the guest, without a credential.
        None = "none",
    }
}

labels! {
    /// The direction of a transfer.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Direction {
        /// From the client to the server.
        Upload = "upload",
        /// From the server to the client.
        Download = "download",
    }
}

labels! {
    /// How a transfer ended.
    pub enum TransferResult {
        /// An upload: closed by the client, and nothing failed. A download: the client has read at least
        /// as many bytes as there were from its offset to the end when it opened the file.
        Complete = "complete",
        /// A download: closed by the client before that.
        Partial = "partial",
        /// An upload: data that should have been written was not.
        Failed = "failed",
        /// The session ended before the client closed the file.
        Cut = "cut",
    }
}

labels! {
    /// Why the server refuses an operation.
    pub enum RefusalReason {
        /// The permissions of the account or of the file system.
        Permission = "permission",
        /// A path that leads out of the home.
        Confinement = "confinement",
        /// The quota of the account.
        Quota = "quota",
        /// The disk is full or fails.
        Disk = "disk",
        /// A limit of the server.
        Limit = "limit",
    }
}
