//! [`Declaration`]: everything the user declared.

use std::sync::Arc;

use super::{Guarantee, Mistake, Policy, Stage};
use crate::contracts::{Coder, DynSinkFactory, DynSourceFactory, Fold, Look, Make, MakeAsync, StoreFactory};

/// Everything the user declared: the stages as data, and beside them what makes their operators.
pub struct Declaration {
    /// The pipeline's name: positions are kept under it.
    pub name: String,
    /// The stages, source first, sink last.
    pub stages: Vec<Stage>,
    /// What makes each stage's operator, by stage.
    pub factories: Vec<Factory>,
    /// Coders for this pipeline alone: they win over the defaults.
    pub coders: Vec<Coder>,
    /// Where dead letters go, by the number in [`Policy::DeadLetter`].
    pub letters: Vec<Letters>,
    /// The policy of stages that have none of their own.
    pub policy: Policy,
    /// Where positions are kept.
    pub store: Option<Arc<dyn StoreFactory>>,
    /// The guarantee that the user asks for.
    pub wants: Option<Guarantee>,
    /// Mistakes that were found while declaring.
    pub mistakes: Vec<Mistake>,
}

/// A declared destination of dead letters; it takes bytes.
pub type Letters = Arc<dyn DynSinkFactory>;

/// What makes a stage's operator; each worker gets its own.
#[derive(Clone)]
pub enum Factory {
    /// A source.
    Source(Arc<dyn DynSourceFactory>),
    /// A stage that looks.
    Look(Arc<dyn Fn() -> Box<dyn Look> + Send + Sync>),
    /// A stage that makes.
    Make(Arc<dyn Fn() -> Box<dyn Make> + Send + Sync>),
    /// A stage that makes by futures.
    MakeAsync(Arc<dyn Fn() -> Box<dyn MakeAsync> + Send + Sync>),
    /// A fold.
    Fold(Arc<dyn Fn() -> Box<dyn Fold> + Send + Sync>),
    /// A coder that the user named.
    Coder(Coder),
    /// A sink.
    Sink(Arc<dyn DynSinkFactory>),
}
