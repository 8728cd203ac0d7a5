use millstream_core::contracts::{DynSinkFactory, SinkContext};
use millstream_core::data::{Bytes, Typed};

use super::*;
use crate::support::{lines_of, wait, write};

#[test]
fn what_is_written_is_there_in_order_with_its_stamps() {
    let collect = Collect::<u64>::new();
    let collected = collect.collected();
    let mut sink = DynSinkFactory::make(&collect);
    assert_eq!(wait(sink.open(&SinkContext::default())).unwrap(), None);
    write(&mut *sink, Typed::from(vec![7_u64, 8])).unwrap();
    write(&mut *sink, Typed::from(vec![9_u64])).unwrap();
    assert_eq!(collected.values(), [7, 8, 9]);
    let sequences: Vec<_> = collected.stamped().iter().map(|(stamp, _)| stamp.sequence).collect();
    assert_eq!(sequences, [0, 1, 0]);
    assert_eq!(collected.take().len(), 3);
    assert!(collected.is_empty());
}

#[test]
fn bytes_are_collected_too() {
    let collect = Collect::<Bytes>::default();
    let mut sink = DynSinkFactory::make(&collect);
    write(&mut *sink, lines_of("a\nb\n")).unwrap();
    assert_eq!(collect.collected().values(), ["a", "b"]);
    assert_eq!(format!("{collect:?}"), "Collect(Collected(2 records))");
}
