//! The few file operations that a segment writer needs, in one place so that a test can make them fail.
//!
//! Refuses to buffer: what `append` returned from was handed to the kernel, what `sync` returned from is durable.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The disk, or in unit tests one that can be full or broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: std::sync::Arc<faults::Faults>,
}

impl Disk {
    /// Writes `bytes` at `offset`. After an error any part of them may have arrived.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only a disk in a test has faults"))]
    pub(crate) fn write_at(&self, file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        #[cfg(test)]
        if let Some(room) = self.faults.take_room(bytes.len()) {
            file.write_all(&bytes[..room])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }

    /// Makes what was written survive a power cut.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only a disk in a test has faults"))]
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        self.faults.check_sync()?;
        file.sync_data()
    }
}

/// Creates a file that must not exist yet.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Cuts a file and makes the cut survive a power cut.
pub(crate) fn truncate(file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.sync_all()
}

/// Makes new, renamed and deleted names in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
pub(crate) mod faults {
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// What goes wrong, and when.
    #[derive(Debug)]
    pub(crate) struct Faults {
        /// Bytes that still fit on the disk.
        pub(crate) room: AtomicUsize,
        /// Whether syncing fails.
        pub(crate) broken: AtomicBool,
    }

    impl Default for Faults {
        fn default() -> Self {
            Self { room: AtomicUsize::new(usize::MAX), broken: AtomicBool::new(false) }
        }
    }

    impl Faults {
        /// Uses up room for `wanted` bytes; the room that was left when they do not fit.
        pub(super) fn take_room(&self, wanted: usize) -> Option<usize> {
            let room = self.room.load(Ordering::SeqCst);
            if room == usize::MAX {
                return None;
            }
            self.room.store(room.saturating_sub(wanted), Ordering::SeqCst);
            (room < wanted).then_some(room)
        }

        pub(super) fn check_sync(&self) -> io::Result<()> {
            if self.broken.load(Ordering::SeqCst) {
                Err(io::Error::other("input/output error"))
            } else {
                Ok(())
            }
        }
    }
}
