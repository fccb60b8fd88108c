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

/// A template of one [`Miner`]. It stays the same template when its text changes, until it is [`Retired`].
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
    /// The templates that this one replaced.
    pub retired: Vec<Retired>,
}

impl Routed {
    fn without_retired(id: TemplateId, change: Change) -> Self {
        Self { id, change, retired: Vec::new() }
    }
}

/// Where a text was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The template that covers the text. Where it has another text and is not the overflow, what was counted under the
    /// learnt text belongs to it.
    pub id: TemplateId,
    /// The templates that this one replaced.
    pub retired: Vec<Retired>,
}

/// A template that is no more, since another one covers it: what was counted under it belongs to that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// What it was. A later template may get it.
    pub id: TemplateId,
    /// Its last text.
    pub text: Arc<str>,
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

/// The templates of one kind of line, by rule of one service and severity. None covers another one, except those without
/// a constant word.
#[derive(Debug)]
pub struct Miner {
    options: MinerOptions,
    limits: Limits,
    /// By id; the first is the overflow.
    templates: Vec<Template>,
    /// Those that were retired.
    free: Vec<TemplateId>,
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
            free: Vec::new(),
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
            return Routed::without_retired(id, change);
        }
        scratch.words.split(&scratch.masked);
        let line = &*scratch;
        let place = Place::of(&line.words);
        if let Some(id) = place.leaves(&line.words).find_map(|leaf| self.covering(leaf, line)) {
            return Routed::without_retired(id, Change::Known);
        }
        if let Some(id) = [place.own, place.next].into_iter().find_map(|leaf| self.most_similar(leaf, line)) {
            return self.generalise(id, line);
        }
        if self.len() >= self.options.max_templates {
            return Routed::without_retired(TemplateId::OVERFLOW, Change::Overflow);
        }
        let new = Template::new(&self.text_for_new(place, line));
        let replaced = self.replaced_by(&new);
        Routed { id: self.add(new), change: Change::New, retired: self.retire(replaced) }
    }

    /// Takes in a text that the [`Miner::template`] of this or another miner gave: as it is, unless a template that is
    /// known replaces it. A full miner answers with [`TemplateId::OVERFLOW`]. The order in which texts are learnt does not
    /// count.
    pub fn learn(&mut self, template: &str) -> Learnt {
        let new = Template::new(template);
        let known = self.find_text(new.text_hash, template.as_bytes());
        if let Some(id) = known.or_else(|| self.replacing(&new)) {
            return Learnt { id, retired: Vec::new() };
        }
        let replaced = self.replaced_by(&new);
        if replaced.is_empty() && self.len() >= self.options.max_templates {
            return Learnt { id: TemplateId::OVERFLOW, retired: Vec::new() };
        }
        Learnt { id: self.add(new), retired: self.retire(replaced) }
    }

    /// Takes in a text that another miner gave while this one was at work: as [`Miner::learn`] does, but where one of its
    /// templates is alike enough to take in a line of that text, it becomes more general and takes the text in. Two miners that
    /// each see one line of a kind so come to the text that one miner of both lines has.
    pub fn meet(&mut self, template: &str, scratch: &mut Scratch) -> Learnt {
        let new = Template::new(template);
        let known = self.find_text(new.text_hash, template.as_bytes()).or_else(|| self.replacing(&new));
        if known.is_none() && self.replaced_by(&new).is_empty() {
            scratch.masked.clear();
            scratch.masked.extend_from_slice(template.as_bytes());
            scratch.words.split(&scratch.masked);
            let leaves = [new.place.own, new.place.next];
            if let Some(id) = leaves.into_iter().find_map(|leaf| self.most_similar(leaf, scratch)) {
                let Routed { id, change: _, retired } = self.generalise(id, scratch);
                return Learnt { id, retired };
            }
        }
        self.learn(template)
    }

    /// The text of a template; that of the overflow for an id that no template has.
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
        self.texts.len() - 1
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
            + self.free.capacity() * size_of::<TemplateId>()
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
            return Routed::without_retired(id, Change::Known);
        }
        let mut replaced = self.replaced_by(&new);
        replaced.retain(|&other| other != id);
        let from = self.exchange(id, new);
        self.hang(id);
        Routed { id, change: Change::Generalised { from }, retired: self.retire(replaced) }
    }

    fn add(&mut self, template: Template) -> TemplateId {
        let id = if let Some(id) = self.free.pop() {
            self.templates[id.0 as usize] = template;
            id
        } else {
            self.templates.push(template);
            TemplateId(self.templates.len() as u32 - 1)
        };
        self.hang(id);
        id
    }

    /// The most specific template that replaces `new`.
    fn replacing(&self, new: &Template) -> Option<TemplateId> {
        let replacing = self.live().filter(|(_, template)| template.replaces(new));
        let best = replacing.max_by(|(_, a), (_, b)| a.constants.cmp(&b.constants).then_with(|| b.text.cmp(&a.text)));
        best.map(|(id, _)| id)
    }

    fn replaced_by(&self, new: &Template) -> Vec<TemplateId> {
        self.live().filter(|(_, template)| new.replaces(template)).map(|(id, _)| id).collect()
    }

    fn retire(&mut self, replaced: Vec<TemplateId>) -> Vec<Retired> {
        let retire = |id| {
            let text = self.exchange(id, Template::new(OVERFLOW));
            self.free.push(id);
            Retired { id, text }
        };
        replaced.into_iter().map(retire).collect()
    }

    /// All templates but the overflow.
    fn live(&self) -> impl Iterator<Item = (TemplateId, &Template)> {
        let ids = self.texts.iter().filter(|&&id| id != TemplateId::OVERFLOW);
        ids.map(|&id| (id, &self.templates[id.0 as usize]))
    }

    /// Puts a template, which is not findable yet, in the place of another one, whose text it gives.
    fn exchange(&mut self, id: TemplateId, new: Template) -> Arc<str> {
        let old = replace(&mut self.templates[id.0 as usize], new);
        if let Ok(found) = self.texts.find_entry(old.text_hash, |&other| other == id) {
            found.remove();
        }
        self.tree.take(old.place, id);
        self.template_bytes -= old.memory_bytes();
        old.text
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
