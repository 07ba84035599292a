//! Whether a file misses something that its client may take for written.

use std::ops::Range;

/// Where WRITEs were refused. A client that asks on before it hears of that may take the upload for whole
/// if one that comes later is not refused: OpenSSH's sftp goes by the last answer.
#[derive(Debug, Default)]
pub(super) struct Gap {
    refused: Option<Range<u64>>,
    is_hidden: bool,
}

impl Gap {
    /// These bytes could not be written.
    pub(super) fn refused(&mut self, bytes: Range<u64>) {
        let known = self.refused.take().unwrap_or(bytes.clone());
        self.refused = Some(known.start.min(bytes.start)..known.end.max(bytes.end));
    }

    /// These were.
    pub(super) fn written(&mut self, bytes: Range<u64>) {
        let Some(refused) = &mut self.refused else {
            return;
        };
        if bytes.start > refused.start {
            self.is_hidden = true;
        } else {
            refused.start = refused.start.max(bytes.end);
            if refused.is_empty() {
                *self = Self::default();
            }
        }
    }

    /// The file ends here now.
    pub(super) fn cut(&mut self, size: u64) {
        let is_before = |refused: &Range<u64>| refused.start < size;
        if !self.refused.as_ref().is_some_and(is_before) {
            *self = Self::default();
        }
    }

    /// Where something is missing that something was written behind.
    pub(super) fn hidden_at(&self) -> Option<u64> {
        let refused = self.refused.as_ref().filter(|_| self.is_hidden);
        refused.map(|refused| refused.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hidden_until_all_of_it_is_written_after_all() {
        let mut gap = Gap::default();
        gap.written(0..10);
        gap.refused(10..20);
        gap.refused(20..30);
        assert_eq!(gap.hidden_at(), None, "nothing came behind it");
        gap.written(30..40);
        assert_eq!(gap.hidden_at(), Some(10));
        gap.written(0..10);
        gap.written(10..20);
        assert_eq!(gap.hidden_at(), Some(20), "a part is still missing");
        gap.written(20..40);
        assert_eq!(gap.hidden_at(), None);
        gap.written(50..60);
        assert_eq!(gap.hidden_at(), None, "it is forgotten");
        gap.refused(10..20);
        gap.written(20..30);
        gap.cut(15);
        assert_eq!(gap.hidden_at(), Some(10), "a part of it is left");
        gap.cut(10);
        assert_eq!(gap.hidden_at(), None, "it is gone with the end of the file");
    }
}
