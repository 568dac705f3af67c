//! An object on its way into a bucket, part by part: of any number of bytes at most three parts are in memory.
//!
//! What fits into one part is one request. The object is there when the last request is answered, and never before.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayloadMut};
use tokio::task::JoinSet;

use super::unavailable;
use crate::AppError;

/// Bytes of a part. All but the last are equally large, which some stores insist on.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at a time.
const AT_ONCE: usize = 2;
/// Most bytes: S3 takes 10,000 parts.
pub(super) const MAX_BYTES: u64 = 10_000 * PART as u64;

/// An object on its way.
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    target: Path,
    buffer: PutPayloadMut,
    parts: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<Result<(), object_store::Error>>,
}

impl Upload {
    /// An object of which nothing has come yet.
    pub(super) fn begin(store: Arc<dyn ObjectStore>, target: Path) -> Self {
        Self { store, target, buffer: PutPayloadMut::new(), parts: None, sending: JoinSet::new() }
    }

    /// Takes more bytes; waits while too many are on their way.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), AppError> {
        while self.buffer.content_length() + bytes.len() > PART {
            let rest = bytes.split_to(PART - self.buffer.content_length());
            self.buffer.push(rest);
            self.send().await?;
        }
        self.buffer.push(bytes);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), AppError> {
        self.settle(AT_ONCE - 1).await?;
        let part = std::mem::take(&mut self.buffer).freeze();
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let begun = self.store.put_multipart(&self.target).await.map_err(|e| unavailable(&e))?;
                none.insert(begun)
            }
        };
        self.sending.spawn(parts.put_part(part));
        Ok(())
    }

    /// Waits until at most so many parts are on their way.
    async fn settle(&mut self, most: usize) -> Result<(), AppError> {
        while self.sending.len() > most {
            match self.sending.join_next().await {
                None | Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return Err(unavailable(&error)),
                Some(Err(error)) => return Err(unavailable(&error)),
            }
        }
        Ok(())
    }

    /// Lets the object be there.
    pub(super) async fn finish(mut self) -> Result<(), AppError> {
        let finished = self.complete().await;
        if finished.is_err() {
            self.abort().await;
        }
        finished
    }

    async fn complete(&mut self) -> Result<(), AppError> {
        if self.parts.is_none() {
            let whole = std::mem::take(&mut self.buffer).freeze();
            self.store.put(&self.target, whole).await.map_err(|e| unavailable(&e))?;
            return Ok(());
        }
        self.send().await?;
        self.settle(0).await?;
        if let Some(parts) = &mut self.parts {
            parts.complete().await.map_err(|e| unavailable(&e))?;
        }
        Ok(())
    }

    /// Throws away what has come.
    pub(super) async fn abort(mut self) {
        self.sending.shutdown().await;
        if let Some(mut parts) = self.parts
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(%error, "parts of an upload that broke off stay until the bucket expires them");
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// Sends as many bytes in chunks of that size, whose values tell their places.
    async fn sent(store: &Arc<InMemory>, bytes: usize, chunk: usize) -> Upload {
        let mut upload = Upload::begin(Arc::clone(store) as Arc<dyn ObjectStore>, Path::from("a/b"));
        let all: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        for some in all.chunks(chunk) {
            upload.write(Bytes::copy_from_slice(some)).await.unwrap();
            assert!(upload.sending.len() <= AT_ONCE && upload.buffer.content_length() <= PART);
        }
        upload
    }

    #[tokio::test]
    async fn bytes_arrive_in_their_order_whatever_the_chunks() {
        for (bytes, chunk) in [
            (0, 1),
            (1, 1),
            (PART, 1 << 20),
            (PART + 1, 999_983),
            (3 * PART, 3 * PART),
            (3 * PART + 5, 5 << 20),
        ] {
            let store = Arc::new(InMemory::new());
            let upload = sent(&store, bytes, chunk).await;
            assert_eq!(upload.parts.is_some(), bytes > PART, "{bytes}: one part is one request");
            assert!(store.head(&Path::from("a/b")).await.is_err(), "it is not there before it is finished");
            upload.finish().await.unwrap();
            let found = store.get(&Path::from("a/b")).await.unwrap().bytes().await.unwrap();
            assert_eq!(found.len(), bytes);
            assert!(found.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251), "{bytes}");
        }
    }

    #[tokio::test]
    async fn what_broke_off_is_not_there() {
        let store = Arc::new(InMemory::new());
        sent(&store, 2 * PART, 1 << 20).await.abort().await;
        assert!(store.head(&Path::from("a/b")).await.is_err());
    }
}
