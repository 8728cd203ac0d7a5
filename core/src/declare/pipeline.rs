//! [`Pipeline`]: a declared pipeline.

use std::sync::Arc;

use super::building::Building;
use super::{OnError, Root, Stream};
use crate::contracts::{Coder, Format, Source, SourceFactory, StoreFactory};
use crate::data::Data;
use crate::plan::{Declaration, Factory, Guarantee, Line, StageKind};

/// A declared pipeline, from source to sink. The suffixes that set options belong to the sink.
pub struct Pipeline {
    pub(super) building: Building,
}

/// A pipeline of which only the name is known.
#[derive(Debug, Clone)]
pub struct Called(String);

impl Pipeline {
    /// Begins a pipeline named `pipeline`.
    #[track_caller]
    pub fn source<F: SourceFactory>(source: F) -> Stream<<F::Source as Source>::Out, Root> {
        Called("pipeline".to_owned()).source(source)
    }

    /// Begins a pipeline of this name: positions are kept under it, so it has to stay the same over restarts.
    pub fn called(name: &str) -> Called {
        Called(name.to_owned())
    }

    /// Registers a format for this pipeline alone: its coders win over the defaults.
    #[must_use]
    pub fn with(mut self, format: impl Format) -> Self {
        self.building.0.coders.extend(format.decoder().into_iter().chain(format.encoder()));
        self
    }

    /// Registers a coder for this pipeline alone: it wins over the defaults.
    #[must_use]
    pub fn with_coder(mut self, coder: Coder) -> Self {
        self.building.0.coders.push(coder);
        self
    }

    /// Keeps positions in `store`, so that a restart goes on where the last run was committed.
    #[must_use]
    pub fn store(mut self, store: impl StoreFactory) -> Self {
        self.building.0.store = Some(Arc::new(store));
        self
    }

    /// What is to become of failed records of all stages that don't say so themselves; [`OnError::Fail`] by default.
    #[must_use]
    pub fn on_any_error(mut self, policy: OnError) -> Self {
        self.building.0.policy = self.building.policy(policy);
        self
    }

    /// Asks for a delivery guarantee: planning fails, and says why, where source and sink can't give it.
    #[must_use]
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.building.0.wants = Some(guarantee);
        self
    }

    /// What was declared, as data.
    pub fn declaration(&self) -> &Declaration {
        &self.building.0
    }
}

impl Called {
    /// Begins the pipeline with its source.
    #[track_caller]
    pub fn source<F: SourceFactory>(self, source: F) -> Stream<<F::Source as Source>::Out, Root> {
        let line = Line::here();
        let traits = source.traits();
        let mut building = Building::new(&self.0);
        let (name, gives) = (traits.kind.clone(), <F::Source as Source>::Out::form());
        building.push(StageKind::Source(traits), name, None, Some(gives), line, Factory::Source(Arc::new(source)));
        Stream::new(building)
    }
}
