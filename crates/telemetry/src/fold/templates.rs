//! The templates of one severity of one service, and what the store knows of them.

use std::sync::Arc;

use super::FoldOptions;
use super::clean::clean_to;
use super::shared::Shared;
use crate::template::{Change, Miner, MinerOptions, TemplateId};

/// The longest body that is read and the longest template, in bytes. With it, no key of a table outgrows an index page
/// of any store.
const TEMPLATE_MAX_BYTES: usize = 2_000;

#[derive(Debug)]
pub(super) struct Templates {
    miner: Miner,
    /// By template; the first is the overflow.
    known: Vec<Known>,
    /// Bytes held, as counted in [`Shared`].
    bytes: usize,
}

/// What the store knows of a template.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The text under which it was drained last, or restored.
    text: Option<Arc<str>>,
    /// One body, until it is drained.
    example: Option<Arc<str>>,
}

/// A template as it is drained.
#[derive(Debug)]
pub(super) struct Drained {
    pub(super) text: Arc<str>,
    /// The text under which it was drained before, where that was another one.
    pub(super) before: Option<Arc<str>>,
    pub(super) example: Option<Arc<str>>,
}

impl Templates {
    pub(super) fn new(options: &FoldOptions) -> Self {
        let options = MinerOptions {
            max_templates: options.max_templates_per_miner,
            max_body_bytes: TEMPLATE_MAX_BYTES,
            ..MinerOptions::default()
        };
        Self { miner: Miner::new(options), known: vec![Known::default()], bytes: 0 }
    }

    /// The template of a body, whose example is `example` where it is new.
    #[inline]
    pub(super) fn route(
        &mut self,
        shared: &mut Shared,
        body: &str,
        example: impl FnOnce(usize) -> String,
    ) -> TemplateId {
        self.share_budget(shared);
        let routed = self.miner.route(body, &mut shared.scratch);
        match routed.change {
            Change::Known => {}
            Change::Overflow => shared.overflowed.templates += 1,
            Change::New => {
                let max_bytes = shared.options.example_max_bytes;
                let example = shared.options.keep_examples.then(|| example(max_bytes));
                let example = example.map(|example| clean_to(example.as_bytes(), max_bytes).as_ref().into());
                self.add(shared, Known { text: None, example });
            }
            Change::Generalised { .. } => self.count_bytes(shared),
        }
        routed.id
    }

    /// Takes in a text that the store knows.
    pub(super) fn restore(&mut self, shared: &mut Shared, text: &str) {
        self.share_budget(shared);
        let id = self.miner.learn(text);
        // Ids follow each other, so this one is new.
        if id.0 as usize == self.known.len() {
            self.add(shared, Known { text: Some(self.miner.template(id).clone()), example: None });
        }
    }

    /// Takes in no more templates once all miners together have enough.
    fn share_budget(&mut self, shared: &Shared) {
        if shared.templates >= shared.options.max_templates_total {
            self.miner.set_max_templates(self.miner.len());
        }
    }

    fn add(&mut self, shared: &mut Shared, known: Known) {
        self.known.push(known);
        shared.templates += 1;
        self.count_bytes(shared);
    }

    fn count_bytes(&mut self, shared: &mut Shared) {
        let bytes = self.miner.memory_bytes() + self.known.capacity() * size_of::<Known>();
        shared.template_bytes = shared.template_bytes + bytes - self.bytes;
        self.bytes = bytes;
    }

    /// A template that was counted since the last drain.
    pub(super) fn drain(&mut self, id: TemplateId) -> Drained {
        let text = self.miner.template(id);
        let Some(known) = self.known.get_mut(id.0 as usize) else {
            return Drained { text: text.clone(), before: None, example: None };
        };
        let before = known.text.replace(text.clone()).filter(|before| before != text);
        Drained { text: text.clone(), before, example: known.example.take() }
    }
}
