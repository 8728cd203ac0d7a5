//! Messages as frames.

use millstream_core::data::Bytes;

use super::{FrameError, MAX_MESSAGES, MAX_MESSAGES_FRAME};
use crate::exchange::message::Message;

/// The messages in as few frames as hold them, in order. An error is a message that no frame holds.
pub(crate) fn encode_messages(messages: &[Message]) -> Result<Vec<Bytes>, FrameError> {
    let mut frames = Vec::new();
    let (mut frame, mut count) = (Vec::new(), 0);
    for (number, message) in messages.iter().enumerate() {
        let before = frame.len();
        frame = postcard::to_extend(message, frame).map_err(|source| FrameError::Message { number, source })?;
        let found = frame.len() - before;
        if found > MAX_MESSAGES_FRAME {
            return Err(FrameError::TooLong { what: "a message", found, most: MAX_MESSAGES_FRAME });
        }
        count += 1;
        if frame.len() > MAX_MESSAGES_FRAME || count > MAX_MESSAGES {
            let next = frame.split_off(before);
            frames.push(Bytes::from(std::mem::replace(&mut frame, next)));
            count = 1;
        }
    }
    if !frame.is_empty() {
        frames.push(frame.into());
    }
    Ok(frames)
}

/// The messages of a frame, in order.
pub(crate) fn decode_messages(frame: &[u8]) -> Result<Vec<Message>, FrameError> {
    if frame.len() > MAX_MESSAGES_FRAME {
        let (what, found, most) = ("a frame of messages", frame.len(), MAX_MESSAGES_FRAME);
        return Err(FrameError::TooLong { what, found, most });
    }
    let (mut messages, mut rest) = (Vec::new(), frame);
    while !rest.is_empty() {
        if messages.len() == MAX_MESSAGES {
            return Err(FrameError::Messages);
        }
        let number = messages.len();
        let (message, behind) =
            postcard::take_from_bytes(rest).map_err(|source| FrameError::Message { number, source })?;
        messages.push(message);
        rest = behind;
    }
    Ok(messages)
}
