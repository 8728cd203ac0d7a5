use std::time::Duration;

use millstream_core::contracts::{Cause, Chunk, Ends, Event, Held, Source, SourceFactory};
use millstream_core::data::{Partition, Position};
use tokio::time::Instant;

use super::Generate;
use crate::testing::{batches, run};

fn held(position: Position) -> Held {
    Held::new([(Partition::new("sequence"), position)])
}

fn numbers(chunks: &[Chunk<u64>]) -> Vec<u64> {
    chunks.iter().flat_map(|chunk| chunk.column.as_slice().to_vec()).collect()
}

/// Reads for a while; the numbers and when they came, in milliseconds.
async fn read_for(source: &mut impl Source<Out = u64>, time: Duration) -> Vec<(u64, u128)> {
    let (start, mut all) = (Instant::now(), Vec::new());
    while let Ok(Ok(Event::Records(chunk))) = tokio::time::timeout_at(start + time, source.next()).await {
        all.extend(chunk.column.as_slice().iter().map(|number| (*number, start.elapsed().as_millis())));
    }
    all
}

#[test]
fn a_count_ends_it() {
    let all = batches(&mut Generate::sequence().count(9_000).make(), &Held::default()).expect("read");
    assert_eq!(numbers(&all), (0..9_000).collect::<Vec<_>>());
    assert_eq!(all.iter().map(Chunk::len).collect::<Vec<_>>(), [4_096, 4_096, 808]);
    assert_eq!(all[1].marks.place(1, &[], 0), "number 4097");
}

#[test]
fn a_function_makes_the_records() {
    let words = Generate::with(|number| format!("word {number}")).count(3);
    let all = batches(&mut words.make(), &Held::default()).expect("read");
    assert_eq!(all[0].column.text(2), "word 2");
    assert_eq!(words.traits().input, "3 Text made from their numbers");
}

#[test]
fn only_a_count_makes_it_bounded() {
    assert_eq!(Generate::sequence().traits().ends, Ends::Unbounded);
    assert_eq!(Generate::sequence().count(1).traits().ends, Ends::Bounded);
}

#[test]
fn after_any_record_exactly_the_rest_is_given() {
    let sequence = Generate::sequence().count(1_500);
    let mut done = 0;
    for chunk in batches(&mut sequence.make(), &Held::default()).expect("read") {
        for count in (0..=chunk.len()).filter(|count| count % 97 < 2 || *count == chunk.len()) {
            let position = chunk.marks.position(count as u32).expect("made").expect("one");
            let rest = batches(&mut sequence.make(), &held(position)).expect("read");
            assert_eq!(numbers(&rest), ((done + count) as u64..1_500).collect::<Vec<_>>());
        }
        done += chunk.len();
    }
    assert_eq!(done, 1_500);
}

#[test]
fn a_shorter_sequence_and_a_strange_position_are_refused() {
    let chunk = batches(&mut Generate::sequence().count(10).make(), &Held::default()).expect("read").remove(0);
    let position = chunk.marks.position(10).expect("made").expect("one");
    let error = batches(&mut Generate::sequence().count(9).make(), &held(position)).err().expect("refused");
    assert_eq!(error.cause(), Cause::State);
    assert!(error.message().contains("expected at least 10 records, found 9"), "{error}");
    for bytes in [&[][..], &[1], &[2, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let strange = Position::new(bytes.to_vec(), "strange").expect("small");
        let error = batches(&mut Generate::sequence().make(), &held(strange)).err().expect("refused");
        assert!(error.message().contains("(strange) can't be read"), "{error}");
    }
}

#[test]
fn with_a_rate_records_come_when_they_are_due() {
    let sequence = Generate::sequence().rate(10);
    run(async {
        let all = read_for(&mut sequence.make(), Duration::from_millis(1_050)).await;
        assert_eq!(all.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
        assert!(all.iter().all(|(number, at)| (0..=1).contains(&(*at as i64 - *number as i64 * 100))), "{all:?}");
    });
}

#[test]
fn what_was_due_meanwhile_comes_at_once() {
    let sequence = Generate::sequence().rate(1_000_000).count(1_500_000);
    run(async {
        let mut source = sequence.make();
        assert!(matches!(source.next().await, Ok(Event::Records(chunk)) if chunk.len() == 1));
        tokio::time::advance(Duration::from_millis(10)).await;
        let mut taken = 1;
        let start = Instant::now();
        while start.elapsed().is_zero() {
            let Ok(Event::Records(chunk)) = source.next().await else { panic!("records") };
            assert!(chunk.len() <= 4_096);
            taken += chunk.len();
        }
        assert!((10_000..13_000).contains(&taken), "{taken}");
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    let sequence = Generate::sequence().rate(2).count(4);
    run(async {
        let (mut source, mut all, mut dropped) = (sequence.make(), Vec::new(), 0);
        loop {
            match tokio::time::timeout(Duration::from_millis(70), source.next()).await {
                Ok(Ok(Event::Records(chunk))) => all.extend_from_slice(chunk.column.as_slice()),
                Ok(_) => break,
                Err(_) => dropped += 1,
            }
        }
        assert_eq!(all, [0, 1, 2, 3]);
        assert!(dropped >= 15, "{dropped}");
    });
}

#[test]
fn a_rate_of_nothing_is_a_mistake() {
    assert_eq!(Generate::sequence().rate(0).check().len(), 1);
    assert!(Generate::sequence().rate(1).check().is_empty());
}
