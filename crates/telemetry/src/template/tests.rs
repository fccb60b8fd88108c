//! What holds for every miner, whatever the lines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tallybook_core::OVERFLOW;

use super::words::{VARIABLE, Words};
use super::{Change, Learnt, Miner, MinerOptions, Retired, Routed, Scratch, TemplateId};

/// What bodies are made of, chosen so that the kinds meet in every way.
const PIECES: &[&str] = &[
    " ",
    " ",
    " ",
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "a",
    "b",
    "cd",
    "x",
    "Jan",
    "Mon",
    "http",
    "GMT",
    "é",
    "µs",
    "μs",
    "用",
    "1",
    "7",
    "42",
    "2024",
    "01",
    "0x",
    "deadbeef",
    "<*>",
    "<*>",
    "<",
    ">",
    "*",
    ".",
    ".",
    ",",
    ", ",
    ";",
    ":",
    ":",
    "://",
    "=",
    "-",
    "-",
    "+",
    "_",
    "/",
    "/",
    "//",
    "\\",
    "C:\\",
    "@",
    "%",
    "?",
    "!",
    "\"",
    "\":",
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|",
    "&",
    "#",
    "~",
    "\u{1b}[1m",
    "\0",
    "2024-01-02 03:04:05",
    "10/Oct/2000",
    "Jan  2 03:04:05",
    "a/b/c",
    "/a?b=c",
    "a@b.cd",
    "550e8400-e29b-abcd-abcd-446655440000",
    "[1, ",
    "fe80::1",
    "<overflow>",
];

/// A body of at most so many pieces.
pub(super) fn line(pieces: usize) -> impl Strategy<Value = String> {
    vec(select(PIECES), 0..pieces).prop_map(|pieces| pieces.concat())
}

/// Lines as programs write them: a few formats, a few values, so that templates form, generalise and meet.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let word = || select(vec!["a", "b", "c", "d", "e", "up", "down", "7", "<*>"]);
    let spoken = vec(word(), 1..6).prop_map(|words| words.join(" "));
    let named = (word(), word(), word()).prop_map(|(x, y, z)| format!("{x}: k={y}, l=\"{z}\""));
    let pairs = (word(), word(), word()).prop_map(|(x, y, z)| format!("k={x} l=\"{y} b {z}\""));
    let json = (word(), word(), word()).prop_map(|(x, y, z)| format!(r#"{{"k":"{x}","l":{y},"m":[{z}]}}"#));
    vec(prop_oneof![4 => spoken, 2 => named, 1 => pairs, 1 => json, 1 => line(8)], 0..120)
}

fn options() -> impl Strategy<Value = MinerOptions> {
    let similarity = select(vec![0.0, 0.3, 0.5, 0.7, 1.0]);
    let children = select(vec![0, 1, 2, 4, 32]);
    let templates = select(vec![0, 1, 5, 20, 1000]);
    (similarity, children, templates).prop_map(|(similarity, max_children, max_templates)| MinerOptions {
        similarity,
        max_children,
        max_templates,
        ..MinerOptions::default()
    })
}

/// Routes with buffers of its own.
fn route(miner: &mut Miner, body: &str) -> Routed {
    miner.route(body, &mut Scratch::default())
}

fn text(miner: &Miner, id: TemplateId) -> &str {
    miner.template(id)
}

/// The live texts of a miner, each once.
fn texts(miner: &Miner, ids: &BTreeSet<TemplateId>) -> BTreeSet<String> {
    ids.iter().map(|&id| text(miner, id).to_owned()).collect()
}

/// A caller that counts by text and does with a change what its documentation says.
#[derive(Default)]
struct Counts {
    by_text: BTreeMap<String, usize>,
    ids: BTreeSet<TemplateId>,
    scratch: Scratch,
}

impl Counts {
    fn route(&mut self, miner: &mut Miner, body: &str) {
        let routed = miner.route(body, &mut self.scratch);
        let text = text(miner, routed.id).to_owned();
        match routed.change {
            Change::Known => assert!(self.by_text.contains_key(&text), "{text:?} was never announced"),
            Change::New => assert!(!self.by_text.contains_key(&text), "{text:?} is there twice"),
            Change::Generalised { from } => {
                let moved = self.by_text.remove(&*from).expect("only a live text becomes more general");
                assert_eq!(self.by_text.insert(text.clone(), moved), None, "{text:?} is there twice");
            }
            Change::Overflow => assert_eq!((routed.id, &*text), (TemplateId::OVERFLOW, OVERFLOW)),
        }
        for gone in routed.retired {
            assert!(self.ids.remove(&gone.id), "only what is live is retired");
            let moved = self.by_text.remove(&*gone.text).expect("only a live text is retired");
            *self.by_text.entry(text.clone()).or_default() += moved;
        }
        if routed.id != TemplateId::OVERFLOW {
            self.ids.insert(routed.id);
        }
        *self.by_text.entry(text).or_default() += 1;
    }

    fn check(&self, miner: &Miner, lines: usize) {
        assert_eq!(self.by_text.values().sum::<usize>(), lines);
        assert_eq!(self.ids.len(), miner.len());
        let mut live = texts(miner, &self.ids);
        assert_eq!(live.len(), miner.len(), "two live ids have the same text");
        if self.by_text.contains_key(OVERFLOW) {
            live.insert(OVERFLOW.to_owned());
        }
        assert_eq!(live, self.by_text.keys().cloned().collect());
    }
}

fn learned<'a>(options: MinerOptions, texts: impl IntoIterator<Item = &'a String>) -> Miner {
    let mut miner = Miner::new(options);
    for learned in texts {
        let learnt = miner.learn(learned);
        assert_eq!((text(&miner, learnt.id), learnt.retired), (&**learned, Vec::new()));
    }
    miner
}

/// The texts that are left of what was learnt.
fn left_of<'a>(options: MinerOptions, learned: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    left_after(options, learned, Miner::learn)
}

/// The texts that are left of what was taken in by `learn`.
fn left_after<'a>(
    options: MinerOptions,
    learned: impl IntoIterator<Item = &'a String>,
    mut learn: impl FnMut(&mut Miner, &str) -> Learnt,
) -> BTreeSet<String> {
    let mut miner = Miner::new(options);
    let mut ids = BTreeSet::new();
    for learned in learned {
        let learnt = learn(&mut miner, learned);
        for gone in learnt.retired {
            assert!(ids.remove(&gone.id), "only what is live is retired");
        }
        ids.insert(learnt.id);
    }
    assert_eq!(ids.len(), miner.len());
    texts(&miner, &ids)
}

/// A text of `texts` that another one of them, with a constant word, covers: told by routing, one text at a time.
fn covered(texts: &BTreeSet<String>) -> Option<(&String, &String)> {
    let general = texts.iter().filter(|text| Words::of(text).hashes.iter().any(|&word| word != VARIABLE));
    general.into_iter().find_map(|general| {
        let options = MinerOptions { similarity: 2.0, max_templates: 1, ..MinerOptions::default() };
        let mut miner = Miner::new(options);
        miner.learn(general);
        let mut scratch = Scratch::default();
        let mut is_covered = |text: &String| miner.route(text, &mut scratch).change == Change::Known;
        texts.iter().find(|text| *text != general && is_covered(text)).map(|special| (general, special))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_that_follow_the_changes_are_complete_and_under_live_texts(lines in lines(), options in options()) {
        let mut miner = Miner::new(options);
        let mut counts = Counts::default();
        for (at, body) in lines.iter().enumerate() {
            counts.route(&mut miner, body);
            counts.check(&miner, at + 1);
            prop_assert!(miner.len() <= options.max_templates);
        }
    }

    #[test]
    fn a_line_is_known_once_it_was_routed(lines in lines(), options in options()) {
        let mut miner = Miner::new(options);
        let mut scratch = Scratch::default();
        let mut taken_in = lines.clone();
        taken_in.retain(|body| miner.route(body, &mut scratch).id != TemplateId::OVERFLOW);
        for body in &taken_in {
            prop_assert_eq!(miner.route(body, &mut scratch).change, Change::Known, "{:?}", body);
        }
    }

    #[test]
    fn a_restart_continues(
        (before, after, options) in (lines(), lines(), options()),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut first = Miner::new(options);
        let mut counts = Counts::default();
        for body in &before {
            counts.route(&mut first, body);
        }
        let stored: Vec<String> = texts(&first, &counts.ids).into_iter().collect();
        let (left, right) = stored.split_at(if stored.is_empty() { 0 } else { shuffle.index(stored.len()) });
        let mut second = learned(options, right.iter().chain(left).chain(right));
        prop_assert_eq!(second.len(), first.len());

        // The same lines again: nothing is new. Other lines: both miners go the same way.
        for body in before.iter().chain(&after) {
            let (one, two) = (route(&mut first, body), route(&mut second, body));
            prop_assert_eq!(first.template(one.id), second.template(two.id), "{:?}", body);
            let from = |change| match change {
                Change::Generalised { from } => Some(from),
                _ => None,
            };
            prop_assert_eq!(from(one.change), from(two.change));
            prop_assert_eq!(first.len(), second.len());
        }
    }

    #[test]
    fn no_template_covers_another_whatever_was_learned_in_which_order(
        (lines, others, options) in (lines(), lines(), options()),
        shuffle in any::<prop::sample::Index>(),
    ) {
        // Two servers that see different lines, and then learn of each other.
        let mut stored = Vec::new();
        for lines in [&lines, &others] {
            let mut counts = Counts::default();
            let mut miner = Miner::new(options);
            for body in lines {
                counts.route(&mut miner, body);
            }
            stored.extend(texts(&miner, &counts.ids));
        }
        let options = MinerOptions { max_templates: 1000, ..options };
        let left = left_of(options, &stored);
        prop_assert_eq!(covered(&left), None);
        let (first, second) = stored.split_at(if stored.is_empty() { 0 } else { shuffle.index(stored.len()) });
        prop_assert_eq!(&left_of(options, second.iter().chain(first).rev()), &left);
        prop_assert_eq!(&left_of(options, second.iter().chain(first).chain(second)), &left);

        // Where those that are alike become one, too, what is left stays when it is met again.
        let mut scratch = Scratch::default();
        let met = left_after(options, &stored, |miner, text| miner.meet(text, &mut scratch));
        prop_assert_eq!(covered(&met), None);
        prop_assert!(met.len() <= left.len());
        prop_assert_eq!(left_of(options, &met), met);
    }

    #[test]
    fn any_texts_can_be_learned(texts in vec(any::<String>(), 0..8), some in subsequence(PIECES, 0..9), body in line(9)) {
        let texts: Vec<String> = texts.into_iter().chain([some.concat(), some.join(" ")]).collect();
        let mut miner = Miner::new(MinerOptions::default());
        for text in &texts {
            miner.learn(text);
        }
        route(&mut miner, &body);
        for text in &texts {
            route(&mut miner, text);
        }
    }
}

fn route_all(miner: &mut Miner, lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .map(|body| route(miner, body).id)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|id| text(miner, id).to_owned())
        .collect()
}

#[test]
fn words_that_differ_become_variable_and_names_do_not() {
    let mut miner = Miner::new(MinerOptions::default());
    let texts = route_all(&mut miner, &["login user=alice from office", "login user=bob from office"]);
    assert_eq!(texts, ["login user=<*> from office"; 2]);
    let texts = route_all(
        &mut miner,
        &[
            r#"{"user":"alice","action":"login"}"#,
            r#"{"user":"bob","action":"login"}"#,
            r#"{"host":"x","action":"login"}"#,
        ],
    );
    let user = r#"{"user":"<*>","action":"login"}"#;
    assert_eq!(texts, [user, user, r#"{"host":"x","action":"login"}"#]);
}

#[test]
fn a_quoted_word_before_a_colon_is_a_name_in_an_object_only() {
    let mut miner = Miner::new(MinerOptions::default());
    let texts = route_all(&mut miner, &[r#"bad value "a": no number"#, r#"bad value "b": no number"#]);
    assert_eq!(texts, [r#"bad value "<*>": no number"#; 2]);
    let objects = [r#"got {"b": 1, "a": "x"}"#, r#"got {"b": 1, "c": "x"}"#];
    assert_eq!(route_all(&mut miner, &objects), [r#"got {"b": <*>, "a": "x"}"#, r#"got {"b": <*>, "c": "x"}"#]);
}

#[test]
fn what_has_less_in_common_than_asked_stays_apart() {
    let lines = ["disk alice is full", "disk bob was slow"];
    let miner = |similarity| Miner::new(MinerOptions { similarity, ..MinerOptions::default() });
    assert_eq!(route_all(&mut miner(0.5), &lines), lines);
    assert_eq!(route_all(&mut miner(0.25), &lines), ["disk <*> <*> <*>"; 2]);
}

#[test]
fn what_is_masked_in_both_makes_them_neither_like_nor_unlike() {
    let mut miner = Miner::new(MinerOptions::default());
    let texts = route_all(&mut miner, &["1 2 3 4 user alice", "1 2 3 4 user bob", "1 2 3 4 up", "1 2 3 4 down"]);
    let user = "<*> <*> <*> <*> user <*>";
    assert_eq!(texts, [user, user, "<*> <*> <*> <*> up", "<*> <*> <*> <*> down"]);
}

#[test]
fn the_most_specific_template_that_covers_a_line_has_precedence() {
    let mut miner = Miner::new(MinerOptions::default());
    let two = miner.learn("node <*> is <*> now").id;
    let three = miner.learn("node a <*> down now").id;
    let none = miner.learn("<*> <*> <*> <*> <*>").id;
    for (body, id) in [("node a is down now", three), ("node b is up now", two), ("what is to be done", none)] {
        assert_eq!(route(&mut miner, body), Routed { id, change: Change::Known, retired: Vec::new() });
    }
}

#[test]
fn a_template_retires_those_that_it_covers() {
    let (special, other, general) = ("user ada paid order <*>", "user bob left", "user <*> paid order <*>");
    let mut miner = Miner::new(MinerOptions::default());
    let ada = miner.learn(special).id;
    let bob = miner.learn(other).id;
    let learnt = miner.learn(general);
    assert_eq!(learnt.retired, [Retired { id: ada, text: special.into() }]);
    assert_eq!(miner.len(), 2);
    // In the other order, it is not taken in at all.
    assert_eq!(miner.learn(special), Learnt { id: learnt.id, retired: Vec::new() });
    for (body, id) in [("user ada paid order 7", learnt.id), ("user bob left", bob)] {
        assert_eq!(route(&mut miner, body), Routed { id, change: Change::Known, retired: Vec::new() });
    }
    // What is free is used again.
    assert_eq!(route(&mut miner, "something else").id, ada);
}

#[test]
fn a_full_miner_learns_what_takes_the_place_of_others() {
    let mut miner = Miner::new(MinerOptions { max_templates: 1, ..MinerOptions::default() });
    let special = miner.learn("node a is up").id;
    let learnt = miner.learn("node <*> is up");
    assert_eq!((learnt.retired[0].id, miner.len()), (special, 1));
    assert_eq!(route(&mut miner, "node b is up").id, learnt.id);
}

#[test]
fn a_line_finds_its_template_behind_any_number_of_variable_words() {
    let mut miner = Miner::new(MinerOptions::default());
    let id = miner.learn("<*> <*> <*> joined the team").id;
    assert_eq!(route(&mut miner, "ada b lovelace joined the team").id, id);
}

#[test]
fn a_change_gives_the_text_before() {
    let mut miner = Miner::new(MinerOptions::default());
    let id = route(&mut miner, "node a is up").id;
    let change = Change::Generalised { from: "node a is up".into() };
    assert_eq!(route(&mut miner, "node b is up"), Routed { id, change, retired: Vec::new() });
    assert_eq!(text(&miner, id), "node <*> is up");
}

#[test]
fn a_variable_first_word_is_found_out() {
    let mut miner = Miner::new(MinerOptions { max_children: 4, ..MinerOptions::default() });
    let lines: Vec<String> = ('a'..='z').map(|name| format!("{name} has joined team red")).collect();
    for body in &lines[..4] {
        route(&mut miner, body);
    }
    assert_eq!(miner.len(), 4);
    let retired: BTreeSet<_> = route(&mut miner, &lines[4]).retired.into_iter().map(|gone| gone.text).collect();
    assert_eq!(retired.iter().map(|text| &**text).collect::<Vec<_>>(), &lines[..4]);
    assert_eq!(miner.len(), 1);
    let id = route(&mut miner, "zoe has joined team red").id;
    assert_eq!(text(&miner, id), "<*> has joined team red");
    let change = Change::Generalised { from: "<*> has joined team red".into() };
    assert_eq!(route(&mut miner, "zoe has joined team blue"), Routed { id, change, retired: Vec::new() });
}

#[test]
fn one_shape_cannot_use_up_all_templates() {
    let options = MinerOptions { max_templates: 40, max_children: 4, ..MinerOptions::default() };
    let mut miner = Miner::new(options);
    for letter in 'a'..='z' {
        for other in 'a'..='z' {
            route(&mut miner, &format!("{letter}{letter} {other}{letter} {letter}{other}"));
        }
    }
    assert_eq!(miner.len(), 11);
    let id = route(&mut miner, "who are you").id;
    assert_eq!(text(&miner, id), "<*> <*> <*>");
    assert_eq!(route(&mut miner, "another shape: room").change, Change::New);
}

#[test]
fn past_the_last_template_all_is_overflow() {
    let mut miner = Miner::new(MinerOptions { max_templates: 1, ..MinerOptions::default() });
    assert_eq!(route(&mut miner, "first of 2").change, Change::New);
    let routed = route(&mut miner, "something else");
    assert_eq!((routed.id, routed.change), (TemplateId::OVERFLOW, Change::Overflow));
    assert_eq!(text(&miner, routed.id), OVERFLOW);
    assert_eq!(miner.learn("a third").id, TemplateId::OVERFLOW);
    assert_eq!(miner.learn(OVERFLOW).id, TemplateId::OVERFLOW);
    assert_eq!(route(&mut miner, "first of 3").change, Change::Known);
    miner.set_max_templates(2);
    assert_eq!(route(&mut miner, "something else").change, Change::New);
    miner.set_max_templates(0);
    assert_eq!(route(&mut miner, "and more").change, Change::Overflow);
    assert_eq!(miner.len(), 2);
    assert_eq!(text(&miner, TemplateId(99)), OVERFLOW);
}

#[test]
fn memory_is_bounded_and_estimated() {
    let options = MinerOptions { max_templates: 100, ..MinerOptions::default() };
    let mut miner = Miner::new(options);
    assert!(miner.is_empty());
    let empty = miner.memory_bytes();
    for shape in 0..1000 {
        route(&mut miner, &format!("{} x {}", "|".repeat(shape), "word ".repeat(2000)));
    }
    assert_eq!(miner.len(), 100);
    assert!(miner.memory_bytes() > empty + 100 * 1000, "{}", miner.memory_bytes());
    assert!(miner.memory_bytes() < 100 * 16 * options.max_body_bytes, "{}", miner.memory_bytes());
}

#[test]
fn a_template_that_became_more_general_costs_what_it_costs_when_learned() {
    // So many that the tables have the same size in both.
    let others: Vec<String> = ('a'..='z').map(|name| format!("{name}: another template")).collect();
    let mut general = learned(MinerOptions::default(), &others);
    for body in ["node alice is up", "node bob is up", "node bob was up"] {
        route(&mut general, body);
    }
    let mut same = learned(MinerOptions::default(), &others);
    same.learn("node <*> <*> up");
    assert_eq!(general.len(), same.len());
    assert_eq!(general.memory_bytes(), same.memory_bytes());
}
