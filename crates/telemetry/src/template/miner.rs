//! Routing: body to template, and how templates come to be and become more general.

use std::cmp::Ordering;
use std::mem::replace;
use std::sync::Arc;

use hashbrown::HashTable;
use tallybook_core::OVERFLOW;
use xxhash_rust::xxh3::xxh3_64;

use super::bytes::MASK;
use super::mask::{Limits, mask};
use super::pattern::{Similarity, Template};
use super::tree::{Place, Tree};
use super::words::{VARIABLE, Words};

/// How a [`Miner`] decides, and what it may hold.
#[derive(Clone, Copy, Debug)]
pub struct MinerOptions {
    /// The share of constant words, 0 to 1, that a line and a template must have in common for the template to become
    /// more general and take the line in. Words that are variable in both do not count.
    pub similarity: f32,
    /// How many templates may differ by their first constant word before that word becomes variable in further ones.
    /// Every word becomes variable in further ones where this many, or if that is more a quarter of `max_templates`, have
    /// the same delimiters already: one kind of line cannot use up all templates.
    pub max_children: usize,
    /// Templates held. What matches none of them is routed to [`TemplateId::OVERFLOW`].
    pub max_templates: usize,
    /// Bytes of a body that are read, and of a masked text; what is beyond becomes one `<*>`. At least 16.
    pub max_body_bytes: usize,
    /// Tokens (separated by white space) of a masked text; what is beyond becomes one `<*>`. At least 1.
    pub max_tokens: usize,
}

impl Default for MinerOptions {
    fn default() -> Self {
        Self { similarity: 0.5, max_children: 32, max_templates: 1000, max_body_bytes: 1536, max_tokens: 256 }
    }
}

/// A template of one [`Miner`]. It stays the same template when its text changes, for as long as the miner lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(pub u32);

impl TemplateId {
    /// Where a full miner routes what it does not know. Its text is [`tallybook_core::OVERFLOW`].
    pub const OVERFLOW: Self = Self(0);
}

/// Where a body was routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The template that covers the body.
    pub id: TemplateId,
    /// What that did to the miner.
    pub change: Change,
}

/// What routing a body changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Known,
    /// The template is new.
    New,
    /// The template became more general and has a new text. What was counted under its text before, `from`, belongs to
    /// the new one; no template has the text `from` any more.
    Generalised {
        /// The text before.
        from: Arc<str>,
    },
    /// Nothing: the miner is full and does not know the body.
    Overflow,
}

/// The templates of one kind of line, by rule of one service and severity.
#[derive(Debug)]
pub struct Miner {
    options: MinerOptions,
    limits: Limits,
    /// By id; the first is the overflow.
    templates: Vec<Template>,
    /// The id of every text.
    texts: HashTable<TemplateId>,
    tree: Tree,
    template_bytes: usize,
}

/// The buffers that one body needs while it is routed. One serves any number of miners, so that a known body allocates
/// nothing and a miner holds nothing but its templates.
#[derive(Debug, Default)]
pub struct Scratch {
    masked: Vec<u8>,
    words: Words,
}

impl Scratch {
    /// The masked body with those words variable for which `variable` holds.
    fn text_with(&self, variable: impl Fn(usize) -> bool) -> String {
        let mut text = Vec::with_capacity(self.masked.len() + MASK.len());
        let mut from = 0;
        for (_, span) in self.words.spans.iter().enumerate().filter(|&(word, _)| variable(word)) {
            text.extend_from_slice(&self.masked[from..span.start]);
            text.extend_from_slice(MASK);
            from = span.end;
        }
        text.extend_from_slice(&self.masked[from..]);
        // Cut and joined at ASCII only, so nothing is lost here.
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Miner {
    /// An empty miner.
    pub fn new(options: MinerOptions) -> Self {
        let mut miner = Self {
            options,
            limits: Limits { bytes: options.max_body_bytes.max(16), tokens: options.max_tokens.max(1) },
            templates: vec![Template::new(OVERFLOW)],
            texts: HashTable::new(),
            tree: Tree::default(),
            template_bytes: 0,
        };
        // Known by its text but at no place in the tree, so that it covers nothing else.
        miner.add_text(TemplateId::OVERFLOW);
        miner
    }

    /// The template of a body. Allocates nothing while the answer is [`Change::Known`] or [`Change::Overflow`], once
    /// `scratch` has seen bodies as long.
    pub fn route(&mut self, body: &str, scratch: &mut Scratch) -> Routed {
        mask(body, self.limits, &mut scratch.masked);
        if let Some(id) = self.find_text(xxh3_64(&scratch.masked), &scratch.masked) {
            let change = if id == TemplateId::OVERFLOW { Change::Overflow } else { Change::Known };
            return Routed { id, change };
        }
        scratch.words.split(&scratch.masked);
        let line = &*scratch;
        let place = Place::of(&line.words);
        if let Some(id) = [place.own, place.next, place.bare].into_iter().find_map(|leaf| self.covering(leaf, line)) {
            return Routed { id, change: Change::Known };
        }
        if let Some(id) = [place.own, place.next].into_iter().find_map(|leaf| self.most_similar(leaf, line)) {
            return self.generalise(id, line);
        }
        if self.len() >= self.options.max_templates {
            return Routed { id: TemplateId::OVERFLOW, change: Change::Overflow };
        }
        Routed { id: self.add(Template::new(&self.text_for_new(place, line))), change: Change::New }
    }

    /// Takes in a text that [`Miner::template`] gave, as it is; at start, from the store. A full miner answers with
    /// [`TemplateId::OVERFLOW`].
    pub fn learn(&mut self, template: &str) -> TemplateId {
        let new = Template::new(template);
        match self.find_text(new.text_hash, template.as_bytes()) {
            Some(id) => id,
            None if self.len() >= self.options.max_templates => TemplateId::OVERFLOW,
            None => self.add(new),
        }
    }

    /// The text of a template; that of the overflow for an id that this miner has not given.
    pub fn template(&self, id: TemplateId) -> &Arc<str> {
        &self.templates.get(id.0 as usize).unwrap_or(&self.templates[0]).text
    }

    /// Changes [`MinerOptions::max_templates`] from now on, as a budget that several miners share is used up. What is
    /// held stays.
    pub fn set_max_templates(&mut self, max_templates: usize) {
        self.options.max_templates = max_templates;
    }

    /// Templates held, without the overflow.
    pub fn len(&self) -> usize {
        self.templates.len() - 1
    }

    /// True if no template is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, about.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.template_bytes
            + self.templates.capacity() * size_of::<Template>()
            + self.texts.allocation_size()
            + self.tree.memory_bytes(self.len())
    }

    fn find_text(&self, hash: u64, text: &[u8]) -> Option<TemplateId> {
        let same = |&id: &TemplateId| self.template(id).as_bytes() == text;
        self.texts.find(hash, same).copied()
    }

    /// The most specific template at a leaf that covers the line as it is.
    fn covering(&self, leaf: u64, line: &Scratch) -> Option<TemplateId> {
        self.best(leaf, |template| template.covers(&line.masked, &line.words).then_some(()), |(), ()| Ordering::Equal)
    }

    /// The template at a leaf that is most like the line, if one is alike enough to take it in.
    fn most_similar(&self, leaf: u64, line: &Scratch) -> Option<TemplateId> {
        let constants = line.words.hashes.iter().filter(|&&word| word != VARIABLE).count();
        let similarity = |template: &Template| template.similarity(&line.words, constants, self.options.similarity);
        self.best(leaf, similarity, Similarity::compare)
    }

    /// The template with the greatest score. Among equals the more specific one, then the lesser text: the order in
    /// which templates came to be does not count.
    fn best<S: Copy>(
        &self,
        leaf: u64,
        score: impl Fn(&Template) -> Option<S>,
        compare: impl Fn(S, S) -> Ordering,
    ) -> Option<TemplateId> {
        let mut best: Option<(S, &Template, TemplateId)> = None;
        for &id in self.tree.templates(leaf) {
            let Some(template) = self.templates.get(id.0 as usize) else { continue };
            let Some(score) = score(template) else { continue };
            let better = best.is_none_or(|(best_score, best, _)| {
                compare(score, best_score)
                    .then(template.constants.cmp(&best.constants))
                    .then_with(|| best.text.cmp(&template.text))
                    .is_gt()
            });
            if better {
                best = Some((score, template, id));
            }
        }
        best.map(|(_, _, id)| id)
    }

    /// The line as a template: as it is, or, where there are too many like it, with its first or every word variable.
    fn text_for_new(&self, place: Place, line: &Scratch) -> String {
        let shape_limit = self.options.max_children.max(self.options.max_templates / 4);
        if self.tree.same_shape(place) >= shape_limit {
            return line.text_with(|_| true);
        }
        let first = line.words.anchors().next();
        let variable = first.filter(|_| self.tree.siblings(place) >= self.options.max_children);
        line.text_with(|word| variable == Some(word))
    }

    /// Makes variable what the line and the template do not share.
    ///
    /// The new text is no other template's: that one would hang at the same leaf and cover the line.
    fn generalise(&mut self, id: TemplateId, line: &Scratch) -> Routed {
        let at = id.0 as usize;
        let text = line.text_with(|word| self.templates[at].words.get(word) != line.words.hashes.get(word));
        let new = Template::new(&text);
        // Unless two leaves have one hash. No text may be there twice even then.
        if let Some(id) = self.find_text(new.text_hash, text.as_bytes()) {
            return Routed { id, change: Change::Known };
        }
        let old = replace(&mut self.templates[at], new);
        if let Ok(found) = self.texts.find_entry(old.text_hash, |&other| other == id) {
            found.remove();
        }
        self.tree.take(old.place, id);
        self.template_bytes -= old.memory_bytes();
        self.hang(id);
        Routed { id, change: Change::Generalised { from: old.text } }
    }

    fn add(&mut self, template: Template) -> TemplateId {
        let id = TemplateId(self.templates.len() as u32);
        self.templates.push(template);
        self.hang(id);
        id
    }

    /// Makes a template findable.
    fn hang(&mut self, id: TemplateId) {
        self.add_text(id);
        let template = &self.templates[id.0 as usize];
        self.tree.hang(template.place, id);
        self.template_bytes += template.memory_bytes();
    }

    fn add_text(&mut self, id: TemplateId) {
        let hash = |id: &TemplateId| self.templates[id.0 as usize].text_hash;
        self.texts.insert_unique(hash(&id), id, hash);
    }
}
