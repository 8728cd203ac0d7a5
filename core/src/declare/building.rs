//! The declaration as it grows.

use std::sync::Arc;

use super::OnError;
use crate::contracts::Coder;
use crate::data::Form;
use crate::plan::{Declaration, Factory, Line, Mistake, Options, Policy, Stage, StageKind};

/// The declaration as it grows: it only pushes stages.
pub(super) struct Building(pub(super) Declaration);

impl Building {
    pub(super) fn new(name: &str) -> Self {
        Self(Declaration {
            name: name.to_owned(),
            stages: Vec::new(),
            factories: Vec::new(),
            coders: Vec::new(),
            letters: Vec::new(),
            policy: Policy::Fail,
            store: None,
            wants: None,
            mistakes: Vec::new(),
        })
    }

    pub(super) fn push(
        &mut self,
        kind: StageKind,
        name: String,
        takes: Option<Form>,
        gives: Option<Form>,
        line: Line,
        factory: Factory,
    ) {
        self.0.stages.push(Stage { name, kind, takes, gives, options: Options::default(), line });
        self.0.factories.push(factory);
    }

    /// The name of a stage that is a function: what it does, and where it was declared.
    pub(super) fn function(what: &str, line: Line) -> String {
        format!("{what}({line})")
    }

    /// What the stage declared last gives.
    pub(super) fn current(&self) -> Option<Form> {
        self.0.stages.last().and_then(|stage| stage.gives.clone())
    }

    pub(super) fn options(&mut self) -> Option<&mut Options> {
        self.0.stages.last_mut().map(|stage| &mut stage.options)
    }

    pub(super) fn name(&mut self, name: &str) {
        if let Some(stage) = self.0.stages.last_mut() {
            name.clone_into(&mut stage.name);
            stage.options.named = true;
        }
    }

    pub(super) fn policy(&mut self, policy: OnError) -> Policy {
        match policy {
            OnError::Fail => Policy::Fail,
            OnError::Skip => Policy::Skip,
            OnError::DeadLetter(sink) => {
                let known = self.0.letters.iter().position(|letters| Arc::ptr_eq(letters, &sink));
                Policy::DeadLetter(known.unwrap_or_else(|| {
                    self.0.letters.push(sink);
                    self.0.letters.len() - 1
                }))
            }
        }
    }

    /// A stage that codes by a format the user named.
    pub(super) fn code(&mut self, kind: StageKind, coder: Option<Coder>, gives: Form, line: Line) {
        let what = if matches!(kind, StageKind::Encode) { "encode" } else { "decode" };
        let Some(coder) = coder else {
            self.0.mistakes.push(Mistake {
                stages: vec![Self::function(&what.to_uppercase(), line)],
                line: Some(line),
                wrong: format!("this format can't {what}"),
                advice: format!("give `{what}_as` a format that has a coder for that direction"),
            });
            return;
        };
        let (name, takes) = (coder.name.clone(), coder.from.clone());
        self.push(kind, name, Some(takes), Some(gives), line, Factory::Coder(coder));
    }
}
