//! The templates of one severity of one service, and what the store knows of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FoldOptions;
use super::clean::clean_to;
use super::shared::Shared;
use crate::template::{Change, Learnt, Miner, MinerOptions, Retired, Routed, TemplateId};

/// The longest body that is read and the longest template, in bytes. With it, no key of a table outgrows an index page
/// of any store.
const TEMPLATE_MAX_BYTES: usize = 2_000;

#[derive(Debug)]
pub(super) struct Templates {
    miner: Miner,
    /// By template; the first is the overflow.
    known: Vec<Known>,
    /// Texts that the store has and that belong to other templates now, until they are drained.
    moves: BTreeMap<Arc<str>, TemplateId>,
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

/// Where a text of the store comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From before the process began, when whoever learnt it had seen all there was.
    Before,
    /// From a process beside this one, which has seen other lines.
    Others,
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
        Self { miner: Miner::new(options), known: vec![Known::default()], moves: BTreeMap::new(), bytes: 0 }
    }

    /// The template of a body, whose example is `example` where it is new. What is counted of those that it replaced is
    /// left to the caller.
    #[inline]
    pub(super) fn route(&mut self, shared: &mut Shared, body: &str, example: impl FnOnce(usize) -> String) -> Routed {
        self.share_budget(shared);
        let routed = self.miner.route(body, &mut shared.scratch);
        match routed.change {
            Change::Known => {}
            Change::Overflow => shared.overflowed.templates += 1,
            Change::New => {
                let max_bytes = shared.options.example_max_bytes;
                let example = shared.options.keep_examples.then(|| example(max_bytes));
                let example = example.map(|example| clean_to(example.as_bytes(), max_bytes).as_ref().into());
                self.add(shared, routed.id, Known { text: None, example });
            }
            Change::Generalised { .. } => self.count_bytes(shared),
        }
        self.retire(shared, &routed.retired, routed.id);
        routed
    }

    /// Takes in a text that the store knows: from before this process, or of another one that is at work. Gives its template
    /// and those that it replaced; what is counted of these is left to the caller.
    pub(super) fn restore(&mut self, shared: &mut Shared, text: &Arc<str>, from: Origin) -> Learnt {
        self.share_budget(shared);
        let held = self.miner.len();
        let learnt = match from {
            Origin::Before => self.miner.learn(text),
            Origin::Others => self.miner.meet(text, &mut shared.scratch),
        };
        let id = learnt.id;
        if id == TemplateId::OVERFLOW {
            return learnt;
        }
        if self.miner.len() + learnt.retired.len() > held {
            self.add(shared, id, Known { text: Some(text.clone()), example: None });
        }
        self.retire(shared, &learnt.retired, id);
        let now = self.miner.template(id).clone();
        match &mut self.known[id.0 as usize].text {
            known @ None if now == *text => *known = Some(now.clone()),
            Some(known) if *known != now => {
                let before = std::mem::replace(known, now.clone());
                self.move_to(shared, before, id);
            }
            _ => {}
        }
        if now != *text {
            self.move_to(shared, text.clone(), id);
        }
        self.count_bytes(shared);
        learnt
    }

    /// Forgets templates that another one replaced.
    fn retire(&mut self, shared: &mut Shared, retired: &[Retired], by: TemplateId) {
        if retired.is_empty() {
            return;
        }
        for gone in retired {
            let Known { text, example } = std::mem::take(&mut self.known[gone.id.0 as usize]);
            let known = &mut self.known[by.0 as usize];
            known.example = known.example.take().or(example);
            self.moves.values_mut().filter(|to| **to == gone.id).for_each(|to| *to = by);
            if let Some(text) = text {
                self.move_to(shared, text, by);
            }
        }
        shared.templates -= retired.len();
        self.count_bytes(shared);
    }

    fn move_to(&mut self, shared: &mut Shared, from: Arc<str>, to: TemplateId) {
        let bytes = from.len() + size_of::<(Arc<str>, TemplateId)>();
        if self.moves.insert(from, to).is_none() {
            shared.pending.rows += 1;
            shared.pending.bytes += bytes;
        }
    }

    pub(super) fn has_moves(&self) -> bool {
        !self.moves.is_empty()
    }

    /// The texts that are no more, each with the one that took it over.
    pub(super) fn drain_moves(&mut self) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
        let moves = std::mem::take(&mut self.moves).into_iter();
        let moves = moves.map(|(from, to)| (from, self.miner.template(to).clone()));
        moves.filter(|(from, to)| from != to)
    }

    /// Takes in no more templates once all miners together have enough.
    fn share_budget(&mut self, shared: &Shared) {
        if shared.templates >= shared.options.max_templates_total {
            self.miner.set_max_templates(self.miner.len());
        }
    }

    fn add(&mut self, shared: &mut Shared, id: TemplateId, known: Known) {
        let at = id.0 as usize;
        if at >= self.known.len() {
            self.known.resize(at + 1, Known::default());
        }
        self.known[at] = known;
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
