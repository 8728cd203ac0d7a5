//! [`Blocks`]: the memory that is read into, used again once nobody looks at it any more.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// How many blocks are watched for becoming free. More may be in use; they are then freed instead of used again.
const WATCHED: usize = 16;

/// Blocks of one size. Every block is initialised from end to end, so that it can be read into again without being
/// cleared.
pub(crate) struct Blocks {
    size: usize,
    spare: Option<BytesMut>,
    /// Blocks that were given out, the oldest first.
    out: VecDeque<Bytes>,
}

impl Blocks {
    /// Blocks of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, spare: None, out: VecDeque::new() }
    }

    /// The size of a block that is used again.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A block of `len` bytes with anything in it; of the usual size it is a used one if one is free.
    pub(crate) fn take(&mut self, len: usize) -> BytesMut {
        let used = if len == self.size { self.spare.take().or_else(|| self.reclaim()) } else { None };
        used.unwrap_or_else(|| BytesMut::zeroed(len))
    }

    /// Gives back a block that nothing was put into.
    pub(crate) fn put(&mut self, block: BytesMut) {
        if block.len() == self.size {
            self.spare = Some(block);
        }
    }

    /// Makes a block one that can be shared, and watches it.
    pub(crate) fn share(&mut self, block: BytesMut) -> Bytes {
        let block = block.freeze();
        if block.len() == self.size {
            if self.out.len() == WATCHED {
                self.out.pop_front();
            }
            self.out.push_back(block.clone());
        }
        block
    }

    fn reclaim(&mut self) -> Option<BytesMut> {
        let free = self.out.iter().position(Bytes::is_unique)?;
        self.out.remove(free)?.try_into_mut().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_nobody_holds_it() {
        let mut blocks = Blocks::new(100);
        let (first, second) = (blocks.take(100), blocks.take(100));
        let addresses = [first.as_ptr(), second.as_ptr()];
        let (first, second) = (blocks.share(first), blocks.share(second));
        let part = first.slice(10..20);
        drop((first, second));
        let third = blocks.take(100);
        assert_eq!((third.as_ptr(), third.len()), (addresses[1], 100));
        assert_ne!(blocks.take(100).as_ptr(), addresses[0]);
        drop(part);
        assert_eq!(blocks.take(100).as_ptr(), addresses[0]);
    }

    #[test]
    fn what_nothing_was_put_into_is_used_first_and_other_sizes_are_not_kept() {
        let mut blocks = Blocks::new(100);
        let (spare, large) = (blocks.take(100), blocks.take(1_000));
        let address = spare.as_ptr();
        blocks.put(large);
        blocks.put(spare);
        assert_eq!(blocks.take(1_000).len(), 1_000);
        assert_eq!(blocks.take(100).as_ptr(), address);
    }

    #[test]
    fn no_more_than_so_many_are_watched() {
        let mut blocks = Blocks::new(10);
        let held: Vec<_> = (0..100)
            .map(|_| {
                let block = blocks.take(10);
                blocks.share(block)
            })
            .collect();
        assert_eq!(blocks.out.len(), WATCHED);
        drop(held);
        blocks.take(10);
        assert_eq!(blocks.out.len(), WATCHED - 1);
    }
}
