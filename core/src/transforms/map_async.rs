//! `map_async`: one row of each, by a future.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::contracts::{BoxFuture, Made, MakeAsync, Panicked};
use crate::data::{AnyColumn, Column, Data};

/// Takes each row by value and makes one of it, asynchronously.
pub struct MapAsync<A, B, F> {
    f: Arc<F>,
    types: PhantomData<fn(A) -> B>,
}

impl<A, B, F> MapAsync<A, B, F> {
    /// Maps by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<A, B, Fut, F> MakeAsync for MapAsync<A, B, F>
where
    A: Data,
    B: Data,
    Fut: Future<Output = B> + Send + 'static,
    F: Fn(A) -> Fut + Send + Sync + 'static,
{
    fn begin(&mut self, mut from: Box<dyn AnyColumn>) -> Vec<BoxFuture<'static, Made>> {
        let Some(from) = from.cast_mut::<A::Column>() else {
            let failure = || std::future::ready(Err("this stage was given a column of another type".into())).boxed();
            return (0..from.rows()).map(|_| failure()).collect();
        };
        from.drain().map(|value| one::<A, B, Fut, F>(self.f.clone(), value).boxed()).collect()
    }

    fn gather(&self, made: Box<dyn AnyColumn>, to: &mut dyn AnyColumn) {
        let made = made.into_any().downcast::<B::Column>();
        if let (Ok(mut made), Some(to)) = (made, to.cast_mut::<B::Column>()) {
            made.drain().for_each(|value| to.push(value));
        }
    }

    fn empty(&self) -> Box<dyn AnyColumn> {
        Box::new(B::Column::default())
    }
}

/// The call of `f` itself is inside the future: what panics there is caught with the rest.
async fn one<A: Data, B: Data, Fut: Future<Output = B>, F: Fn(A) -> Fut>(f: Arc<F>, value: A) -> Made {
    let made = AssertUnwindSafe(async move { f(value).await }).catch_unwind().await;
    let made = made.map_err(Panicked::new)?;
    let mut column = B::Column::default();
    column.push(made);
    Ok(Box::new(column))
}
