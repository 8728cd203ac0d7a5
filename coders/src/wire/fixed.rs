//! Values of a fixed size, a batch at a time.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Kind};
use millstream_core::data::{AnyColumn, Bytes, Column, Data, Packed, Range32, Typed};

use super::typed::COST;

/// A value of a fixed size.
trait Fixed: Data<Column = Typed<Self>> + Copy {
    /// Its bytes.
    type Array: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    /// How many bytes that are.
    const SIZE: usize;

    fn to_wire(self) -> Self::Array;

    /// The value; `None` if there is none of these bytes.
    fn of_wire(array: Self::Array) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty),+) => {
        $(impl Fixed for $type {
            type Array = [u8; size_of::<$type>()];
            const SIZE: usize = size_of::<$type>();

            fn to_wire(self) -> Self::Array {
                self.to_le_bytes()
            }

            fn of_wire(array: Self::Array) -> Option<Self> {
                Some(Self::from_le_bytes(array))
            }
        })+
    };
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

/// Types that travel as another, of which they may not have all values.
macro_rules! by_way_of {
    ($($type:ty as $way:ty: $to:expr, $of:expr);+ $(;)?) => {
        $(impl Fixed for $type {
            type Array = [u8; size_of::<$way>()];
            const SIZE: usize = size_of::<$way>();

            fn to_wire(self) -> Self::Array {
                let to: fn($type) -> $way = $to;
                to(self).to_le_bytes()
            }

            fn of_wire(array: Self::Array) -> Option<Self> {
                let of: fn($way) -> Option<$type> = $of;
                of(<$way>::from_le_bytes(array))
            }
        })+
    };
}

by_way_of! {
    usize as u64: |n| n as u64, |n| n.try_into().ok();
    isize as i64: |n| n as i64, |n| n.try_into().ok();
    bool as u8: u8::from, |n| match n { 0 => Some(false), 1 => Some(true), _ => None };
    char as u32: u32::from, char::from_u32;
}

impl Fixed for () {
    type Array = [u8; 0];
    const SIZE: usize = 0;

    fn to_wire(self) -> Self::Array {
        []
    }

    fn of_wire(_: Self::Array) -> Option<Self> {
        Some(())
    }
}

pub(super) fn coders() -> Vec<Coder> {
    fn both<T: Fixed>() -> [Coder; 2] {
        let (from, bytes) = (T::form(), Bytes::form());
        let coder = |name: &str, from, to, kind, make| Coder {
            name: name.to_owned(),
            from,
            to,
            kind,
            cost: COST,
            heavy: false,
            waits: false,
            make,
        };
        [
            coder(
                "WIRE-ENCODER",
                from.clone(),
                bytes.clone(),
                Kind::WireEncode,
                Arc::new(|| Box::new(ToWire::<T>(PhantomData))),
            ),
            coder("WIRE-DECODER", bytes, from, Kind::WireDecode, Arc::new(|| Box::new(OfWire::<T>(PhantomData)))),
        ]
    }
    [
        both::<u8>(),
        both::<u16>(),
        both::<u32>(),
        both::<u64>(),
        both::<i8>(),
        both::<i16>(),
        both::<i32>(),
        both::<i64>(),
        both::<usize>(),
        both::<isize>(),
        both::<f32>(),
        both::<f64>(),
        both::<bool>(),
        both::<char>(),
        both::<()>(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

struct ToWire<T>(PhantomData<fn() -> T>);
struct OfWire<T>(PhantomData<fn() -> T>);

impl<T: Fixed> Code for ToWire<T> {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Typed<T>>(), to.cast_mut::<Packed<Bytes>>()) else {
            return mistyped(from, faults);
        };
        if to.is_empty() && T::SIZE > 0 && from.weight() < u32::MAX as usize / 2 {
            *to = whole(from.as_slice());
            return;
        }
        from.as_slice().iter().for_each(|value| to.append_bytes(value.to_wire().as_ref()));
        to.freeze();
    }
}

/// All values in one block, four times as fast as one by one.
fn whole<T: Fixed>(values: &[T]) -> Packed<Bytes> {
    let mut block = Vec::with_capacity(values.len() * T::SIZE);
    values.iter().for_each(|value| block.extend_from_slice(value.to_wire().as_ref()));
    let size = T::SIZE as u32;
    let range = |row: u32| Range32 { start: row * size, end: (row + 1) * size };
    Packed::new(block.into(), (0..values.len() as u32).map(range).collect())
}

impl<T: Fixed> Code for OfWire<T> {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Packed<Bytes>>(), to.cast_mut::<Typed<T>>()) else {
            return mistyped(from, faults);
        };
        for row in 0..from.len() {
            let bytes = from.get(row);
            match T::Array::try_from(bytes).ok().and_then(T::of_wire) {
                Some(value) => to.push(value),
                None => faults.push((row as u32, unreadable::<T>(bytes).into())),
            }
        }
    }
}

fn unreadable<T: Fixed>(bytes: &[u8]) -> CodeError {
    let found = match bytes.len() {
        size if size == T::SIZE => format!("{bytes:02x?}, which none has"),
        size => format!("{size}"),
    };
    CodeError::new(format!(
        "expected the {} bytes of a [{}] from another instance, found {found}; run the same program everywhere",
        T::SIZE,
        T::NAME
    ))
}

fn mistyped(from: &dyn AnyColumn, faults: &mut Faults) {
    let message = "this coder was given a column of another type: the graph does not fit its operators";
    faults.extend((0..from.rows()).map(|row| (row as u32, CodeError::new(message).into())));
}
