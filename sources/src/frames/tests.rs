use super::*;
use crate::testing::framings::{Lines, Marked};
use millstream_core::contracts::Framing as _;

/// Says the same at each scan, whatever it is shown.
struct Liar {
    records: Vec<Range32>,
    consumed: usize,
}

impl Framer for Liar {
    fn scan(&mut self, _: &[u8], _: bool, _: usize, found: &mut Scan) -> Result<(), FramingError> {
        found.records = self.records.clone();
        found.consumed = self.consumed;
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn liar(records: &[(u32, u32)], consumed: usize) -> Box<dyn Framer> {
    let records = records.iter().map(|&(start, end)| Range32 { start, end }).collect();
    Box::new(Liar { records, consumed })
}

fn over(framer: Box<dyn Framer>, content: &[u8]) -> Frames {
    let mut frames = Frames::new(framer, Blocks::new(64), 0, Start { line: Some(0), ..Start::default() });
    frames
        .fill(|block| {
            block[..content.len()].copy_from_slice(content);
            Ok((content.len(), true))
        })
        .expect("filled");
    frames
}

/// Steps until it ends or breaks; the bound says that it does.
fn steps(mut frames: Frames) -> Result<usize, Broken> {
    let mut found = 0;
    for _ in 0..10 {
        match frames.step(5)? {
            Step::Found(some) => found += some.records.len(),
            Step::Hungry => panic!("it has ended"),
            Step::End => return Ok(found),
        }
    }
    panic!("it goes on for ever")
}

#[test]
fn a_framing_that_breaks_its_contract_is_found_out() {
    let wrong = [
        (liar(&[(0, 4)], 4), "at byte 4 of 3"),
        (liar(&[(0, 2)], 4), "at byte 2 of 3"),
        (liar(&[(0, 2)], 0), "consumed none"),
        (liar(&[], 0), "left 3 bytes at the end"),
    ];
    for (framer, text) in wrong {
        let broken = steps(over(framer, b"abc")).expect_err("found out");
        assert_eq!(broken.cause, Cause::Bug);
        assert!(broken.message.contains(text), "{}", broken.message);
    }
    assert!(steps(over(liar(&[(0, 0)], 0), b"")).expect_err("found out").message.contains("consumed none"));
}

#[test]
fn a_broken_stream_stays_broken() {
    let mut frames = over(Marked.framer(None).expect("begun"), b"|a|\nb");
    assert!(matches!(frames.step(5), Ok(Step::Found(found)) if found.records.get(0) == b"a"));
    for _ in 0..2 {
        let broken = frames.step(5).err().expect("broken");
        assert_eq!((broken.cause, broken.offset, broken.line), (Cause::Record, 3, Some(0)));
    }
}

#[test]
fn a_failed_read_changes_nothing() {
    let mut frames = Frames::new(Lines::default().framer(None).expect("begun"), Blocks::new(64), 0, Start::default());
    let mut read = |content: Result<&'static [u8]>| {
        frames.fill(|block| {
            let content = content?;
            block[..content.len()].copy_from_slice(content);
            Ok((content.len(), false))
        })
    };
    read(Ok(b"one")).expect("filled");
    assert!(read(Err(Error::new(Cause::Outside, "unplugged"))).is_err());
    assert!(matches!(frames.step(5), Ok(Step::Hungry)));
    frames
        .fill(|block| {
            block[0] = b'\n';
            Ok((1, true))
        })
        .expect("filled");
    assert!(matches!(frames.step(5), Ok(Step::Found(found)) if found.records.get(0) == b"one"));
    assert!(matches!(frames.step(5), Ok(Step::End)));
}

#[test]
fn a_wish_for_more_is_followed_within_bounds() {
    struct Wishes(usize);
    impl Framer for Wishes {
        fn scan(&mut self, _: &[u8], _: bool, _: usize, found: &mut Scan) -> Result<(), FramingError> {
            found.wanted = self.0;
            Ok(())
        }
        fn state(&self) -> Vec<u8> {
            Vec::new()
        }
    }
    for (wish, expected) in [(0, 63), (50, 63), (5_000, 5_000), (usize::MAX, WISH)] {
        let mut frames = Frames::new(Box::new(Wishes(wish)), Blocks::new(64), 0, Start::default());
        frames.fill(|_| Ok((1, false))).expect("filled");
        assert!(matches!(frames.step(5), Ok(Step::Hungry)));
        let mut room = 0;
        frames
            .fill(|block| {
                room = block.len();
                Ok((0, false))
            })
            .expect("filled");
        assert_eq!(room, expected);
    }
}
