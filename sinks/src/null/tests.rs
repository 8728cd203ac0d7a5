use millstream_core::contracts::{DynSinkFactory, SinkContext};
use millstream_core::data::Typed;

use super::*;
use crate::support::{packed, wait, write};

#[test]
fn it_takes_any_type_and_leaves_the_ticket_to_the_engine() {
    let mut bytes = DynSinkFactory::make(&Null::<millstream_core::data::Bytes>::new());
    assert_eq!(wait(bytes.open(&SinkContext::default())).unwrap(), None);
    write(&mut *bytes, packed(&["a"])).unwrap();
    let mut numbers = DynSinkFactory::make(&Null::<u64>::default());
    write(&mut *numbers, Typed::from(vec![1_u64, 2])).unwrap();
    wait(numbers.flush()).unwrap();
    wait(numbers.close()).unwrap();
}

#[test]
fn it_says_what_it_is() {
    let traits = DynSinkFactory::traits(&Null::<u64>::new(), true);
    assert_eq!((traits.kind.as_str(), traits.ordered), ("NULL", false));
    assert!(traits.transactional.is_err());
    assert_eq!(format!("{:?}", Null::<u64>::new()), "Null<U64>");
}
