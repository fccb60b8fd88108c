//! Templates that other writers bring to the same store while a fold is at work.

use std::sync::Arc;

use tallybook_core::{CatalogueDelta, OVERFLOW, Severity, Template, TemplateBucket, TemplateMove, Timestamp};
use tallybook_telemetry::FoldOptions;

use crate::support::{Catalogue, RECEIVED, SHOP, log, logs};

fn paid(user: &str) -> Vec<u8> {
    logs(SHOP, vec![log(&format!("user {user} paid order 7"), &[])])
}

const ADA: &str = "user ada paid order <*>";
const BOB: &str = "user bob paid order <*>";
const ALL: &str = "user <*> paid order <*>";

fn stored(texts: &[&str]) -> Vec<Template> {
    let template = |text: &&str| Template {
        service: "shop".into(),
        severity: Severity::Info,
        template: Arc::from(*text),
        example: None,
        count: 1,
        first_seen: RECEIVED,
        last_seen: RECEIVED,
    };
    texts.iter().map(template).collect()
}

fn moves(drained: &CatalogueDelta) -> Vec<(&str, &str)> {
    let of_shop = |step: &TemplateMove| (&*step.service, step.severity) == ("shop", Severity::Info);
    assert!(drained.template_moves.iter().all(of_shop));
    drained.template_moves.iter().map(|step| (&*step.from, &*step.to)).collect()
}

#[test]
fn a_template_that_was_drained_moves_to_the_one_of_another_writer() {
    let mut catalogue = Catalogue::default();
    catalogue.logs(&paid("ada"));
    catalogue.flush();
    catalogue.fold.meet(&stored(&[ALL]));
    assert_eq!((catalogue.fold.pending_rows(), catalogue.fold.pending_records()), (1, 0));
    let drained = catalogue.flush();
    assert_eq!(moves(&drained), [(ADA, ALL)]);
    assert_eq!(drained.template_moves.len(), 1);
    assert_eq!(catalogue.fold.stats().templates, 1);

    catalogue.logs(&paid("ada"));
    assert!(moves(&catalogue.flush()).is_empty());
    assert_eq!(catalogue.templates(), [(ALL.to_owned(), 2)]);
    let buckets = catalogue.rows::<TemplateBucket>().into_iter().filter(|row| row.count > 0);
    assert!(buckets.into_iter().all(|row| (&*row.template, row.count) == (ALL, 2)));
}

#[test]
fn what_is_pending_moves_along() {
    let mut catalogue = Catalogue::default();
    catalogue.logs(&paid("ada"));
    let mut earlier = log("user ada paid order 8", &[]);
    earlier.time_unix_nano -= 7_200_000_000_000;
    catalogue.logs(&logs(SHOP, vec![earlier]));
    let before = (catalogue.fold.pending_rows(), catalogue.fold.pending_records());
    catalogue.fold.meet(&stored(&[ALL]));
    assert_eq!((catalogue.fold.pending_rows(), catalogue.fold.pending_records()), before);
    catalogue.logs(&paid("bob"));
    let drained = catalogue.flush();
    // The store never had the text that is no more.
    assert!(moves(&drained).is_empty());
    let counts: Vec<_> = drained.templates.iter().map(|row| (&*row.template, row.count)).collect();
    assert_eq!(counts, [(ALL, 3)]);
    let buckets: Vec<_> = drained.template_buckets.iter().map(|row| (&*row.template, row.count)).collect();
    assert_eq!(buckets, [(ALL, 3), (ALL, 1), (ALL, 2)]);
}

#[test]
fn a_text_of_another_writer_that_is_covered_moves_and_is_not_learnt() {
    let mut catalogue = Catalogue::default();
    catalogue.logs(&paid("ada"));
    catalogue.logs(&paid("bob"));
    catalogue.flush();
    let other = stored(&[ADA, BOB]);
    catalogue.fold.meet(&other);
    catalogue.fold.meet(&other);
    assert_eq!(catalogue.fold.pending_rows(), 2);
    assert_eq!(moves(&catalogue.flush()), [(ADA, ALL), (BOB, ALL)]);
    assert_eq!(catalogue.fold.stats().templates, 1);
}

#[test]
fn a_move_ends_at_the_last_text() {
    let mut catalogue = Catalogue::default();
    catalogue.logs(&paid("ada"));
    catalogue.flush();
    catalogue.fold.meet(&stored(&[ALL, "<*> <*> paid order <*>"]));
    let last = "<*> <*> paid <*> <*>";
    catalogue.fold.meet(&stored(&[last]));
    let drained = catalogue.flush();
    let mut moves = moves(&drained);
    moves.sort_unstable();
    assert_eq!(moves, [("<*> <*> paid order <*>", last), (ALL, last), (ADA, last)]);
}

#[test]
fn a_text_that_both_have_moves_when_it_becomes_more_general() {
    let mut catalogue = Catalogue::default();
    catalogue.logs(&paid("ada"));
    // Nothing of it is drained yet, but the store has it from another writer.
    catalogue.fold.meet(&stored(&[ADA]));
    catalogue.logs(&paid("bob"));
    assert_eq!(moves(&catalogue.flush()), [(ADA, ALL)]);
}

#[test]
fn what_is_known_already_and_what_has_no_room_leave_nothing_pending() {
    let mut catalogue = Catalogue::new(FoldOptions { max_templates_per_miner: 1, ..FoldOptions::default() });
    catalogue.logs(&paid("ada"));
    catalogue.logs(&logs(SHOP, vec![log("something else", &[])]));
    catalogue.flush();
    let mut gone = stored(&[ALL]);
    gone[0].count = 0;
    gone[0].last_seen = Timestamp(i64::MAX);
    catalogue.fold.meet(&gone);
    catalogue.fold.meet(&stored(&[ADA, OVERFLOW, "there is no room"]));
    assert_eq!(catalogue.fold.pending_rows(), 0);
    assert!(catalogue.fold.drain().is_empty());
}

#[test]
fn lines_of_one_kind_become_one_template_wherever_each_was_seen() {
    let [mut one, mut two] = [Catalogue::default(), Catalogue::default()];
    one.logs(&paid("ada"));
    two.logs(&paid("bob"));
    one.flush();
    // Nothing of this one is drained yet.
    two.fold.meet(&stored(&[ADA]));
    one.fold.meet(&stored(&[BOB]));
    let (first, second) = (one.flush(), two.flush());
    assert_eq!(moves(&first), [(ADA, ALL), (BOB, ALL)]);
    assert_eq!(moves(&second), [(ADA, ALL)]);
    assert_eq!(second.templates.iter().map(|row| (&*row.template, row.count)).collect::<Vec<_>>(), [(ALL, 1)]);
    one.logs(&paid("carol"));
    assert!(moves(&one.flush()).is_empty());
    assert_eq!(one.templates(), [(ALL.to_owned(), 2)]);
}
