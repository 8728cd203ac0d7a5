//! [`Lane`]s on the wire: each is a stream of its own one way, opened by whoever sends on it when it does so first.
//!
//! ```text
//! lane    kind: u8 (0 control, 1 outcomes, 2 records) | network stage: u16 LE (0 but for records)     3 bytes
//! frames  length: u32 LE | that many bytes                                                            to the end
//! ```
//!
//! A frame that is longer than agreed, a lane that is opened twice or a stream that ends within a frame closes the link.
//! Memory for a frame grows as its bytes come in, whatever its length says.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::contracts::Lane;
use quinn::{Connection, ReadError, RecvStream, SendStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::spare::Spare;

/// What a lane may hold that has come in and not been taken, in bytes; but one frame always.
const HELD: usize = 4 << 20;
/// What a frame takes of it beside its bytes, so that small ones are bounded too.
const FRAME_COST: usize = 128;
/// Frames that are written together at most.
const BATCH: usize = 256;
/// Pieces up to this are copied together, longer ones are handed over as they are.
const SMALL: usize = 4096;
/// Chunks that are read at once.
const CHUNKS: usize = 32;
/// The first memory for a frame: enough for a block as sources read them and its table, so that few frames outgrow it.
const FIRST: usize = 512 << 10;

/// When no frame has come for so long, the memory that was kept for them is given back.
const QUIET: Duration = Duration::from_secs(1);

/// A frame, in the pieces it was given in.
pub(super) type Pieces = Vec<Bytes>;

fn head(lane: Lane) -> [u8; 3] {
    let (kind, stage) = match lane {
        Lane::Control => (0, 0),
        Lane::Outcomes => (1, 0),
        Lane::Records(stage) => (2, stage),
    };
    let [low, high] = u16::to_le_bytes(stage);
    [kind, low, high]
}

fn lane_of(head: [u8; 3]) -> Option<Lane> {
    let [kind, low, high] = head;
    match (kind, u16::from_le_bytes([low, high])) {
        (0, 0) => Some(Lane::Control),
        (1, 0) => Some(Lane::Outcomes),
        (2, stage) => Some(Lane::Records(stage)),
        _ => None,
    }
}

/// Writes what is queued for a lane until nothing more will be, and waits until the peer has it.
pub(super) async fn write(connection: Connection, lane: Lane, mut queue: mpsc::UnboundedReceiver<Pieces>) {
    // The connection says why, to those who ask it.
    let _ = drain(&connection, lane, &mut queue).await;
}

async fn drain(
    connection: &Connection,
    lane: Lane,
    queue: &mut mpsc::UnboundedReceiver<Pieces>,
) -> Result<(), quinn::WriteError> {
    let mut stream = connection.open_uni().await?;
    // Records make way for what is said about them.
    let _ = stream.set_priority(i32::from(!matches!(lane, Lane::Records(_))));
    stream.write_all(&head(lane)).await?;
    let mut frames = Vec::new();
    while queue.recv_many(&mut frames, BATCH).await > 0 {
        stream.write_all_chunks(&mut chunks(&mut frames)).await?;
    }
    end(stream).await;
    Ok(())
}

async fn end(mut stream: SendStream) {
    let _ = stream.finish();
    let _ = stream.stopped().await;
}

/// Frames as they are on the wire, in few chunks.
fn chunks(frames: &mut Vec<Pieces>) -> Vec<Bytes> {
    let (mut chunks, mut small) = (Vec::new(), BytesMut::new());
    for pieces in frames.drain(..) {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        small.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
        for piece in pieces {
            if piece.len() <= SMALL {
                small.extend_from_slice(&piece);
            } else {
                chunks.push(small.split().freeze());
                chunks.push(piece);
            }
        }
    }
    chunks.push(small.freeze());
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// Why a lane was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// The connection is no more, and says why itself.
    Ended,
    /// What came is not as it should be.
    Malformed(String),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(_) => Self::Malformed("a lane was given up in its middle".to_owned()),
            _ => Self::Ended,
        }
    }
}

/// Reads a lane.
pub(super) struct Reader {
    stream: RecvStream,
    chunks: [Bytes; CHUNKS],
    /// The chunks that have been read and not been used up.
    filled: std::ops::Range<usize>,
    max_frame: usize,
    room: Arc<Semaphore>,
    spare: Spare,
}

impl Reader {
    pub(super) fn new(stream: RecvStream, max_frame: usize) -> Self {
        let chunks = std::array::from_fn(|_| Bytes::new());
        Self { stream, chunks, filled: 0..0, max_frame, room: Arc::new(Semaphore::new(HELD)), spare: Spare::default() }
    }

    /// Which lane it is.
    pub(super) async fn lane(&mut self) -> Result<Lane, Unread> {
        let mut bytes = [0; 3];
        if !self.fill(&mut bytes).await? {
            return Err(Unread::Malformed("a lane has no name".to_owned()));
        }
        lane_of(bytes).ok_or_else(|| Unread::Malformed(format!("there is no lane {bytes:?}")))
    }

    /// The next frame, and the room that it takes; `None` at the end.
    pub(super) async fn frame(&mut self) -> Result<Option<(Bytes, tokio::sync::OwnedSemaphorePermit)>, Unread> {
        let Some(length) = self.length().await? else { return Ok(None) };
        if length > self.max_frame {
            let max = self.max_frame;
            return Err(Unread::Malformed(format!("a frame of {length} bytes is longer than any may be ({max})")));
        }
        let cost = u32::try_from((length + FRAME_COST).min(HELD)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(cost).await.map_err(|_| Unread::Ended)?;
        Ok(Some((self.body(length).await?, room)))
    }

    /// The length of the next frame. What is kept for frames is given back when none comes for a while.
    async fn length(&mut self) -> Result<Option<usize>, Unread> {
        let (mut length, spare) = ([0; 4], self.spare.clone());
        let there = {
            let mut filled = std::pin::pin!(self.fill(&mut length));
            match timeout(QUIET, filled.as_mut()).await {
                Ok(there) => there?,
                Err(_) => {
                    spare.give_back();
                    filled.await?
                }
            }
        };
        Ok(there.then_some(u32::from_le_bytes(length) as usize))
    }

    async fn body(&mut self, length: usize) -> Result<Bytes, Unread> {
        let mut body = self.spare.take(length.min(FIRST));
        while body.len() < length {
            let Some(chunk) = self.some(length - body.len()).await? else {
                return Err(Unread::Malformed("a lane ends within a frame".to_owned()));
            };
            if body.capacity() - body.len() < chunk.len() {
                // Twice as much each time, and never more than the frame needs.
                body.reserve_exact((length - body.len()).min(body.len().max(FIRST)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(self.spare.lend(body))
    }

    /// Fills a few bytes; `false`: the stream has ended before the first.
    async fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, Unread> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.some(bytes.len() - filled).await? {
                Some(chunk) => {
                    bytes[filled..filled + chunk.len()].copy_from_slice(&chunk);
                    filled += chunk.len();
                }
                None if filled == 0 => return Ok(false),
                None => return Err(Unread::Malformed("a lane ends within a length".to_owned())),
            }
        }
        Ok(true)
    }

    /// Some bytes, at least one and at most so many; `None` at the end.
    async fn some(&mut self, most: usize) -> Result<Option<Bytes>, Unread> {
        while self.filled.is_empty() {
            match self.stream.read_chunks(&mut self.chunks).await? {
                Some(count) => self.filled = 0..count,
                None => return Ok(None),
            }
        }
        let chunk = &mut self.chunks[self.filled.start];
        let taken = chunk.split_to(most.min(chunk.len()));
        if chunk.is_empty() {
            // Let go of it: it may keep a whole datagram's memory.
            *chunk = Bytes::new();
            self.filled.start += 1;
        }
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_told_apart_on_the_wire() {
        for lane in [Lane::Control, Lane::Outcomes, Lane::Records(0), Lane::Records(u16::MAX)] {
            assert_eq!(lane_of(head(lane)), Some(lane));
        }
        for head in [[0, 1, 0], [1, 0, 1], [3, 0, 0], [255; 3]] {
            assert_eq!(lane_of(head), None, "{head:?}");
        }
    }

    #[test]
    fn small_frames_share_a_chunk_and_large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; SMALL + 1]);
        let mut frames = vec![vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")], vec![], vec![large.clone()]];
        let chunks = chunks(&mut frames);
        assert_eq!(chunks.len(), 2);
        assert_eq!(chunks[0].as_ref(), b"\x03\0\0\0abc\0\0\0\0\x01\x10\0\0");
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
    }
}
