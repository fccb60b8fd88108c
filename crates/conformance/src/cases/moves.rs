//! Promise 4: a template that became more general takes over the rows of the one it was.

use std::sync::Arc;

use tallybook_core::{
    CatalogueDelta, HOUR, Records, Severity, Store, Template, TemplateBucket, TemplateMove, Timestamp, Window,
};

use super::store_cases;
use crate::follower::Follower;
use crate::support::{all, assert_same, commit, contents};

store_cases! {
    p04_a_move_takes_template_and_buckets_along,
    p04_a_move_into_an_existing_template_merges,
    p04_a_repeated_move_changes_nothing,
    p04_a_chain_in_one_batch_ends_at_its_last_text,
    p04_there_and_back_ends_where_it_began,
    p04_a_move_from_nowhere_or_to_itself_changes_nothing,
    p04_what_comes_later_under_the_old_text_moves_alone,
    p04_rows_of_the_same_batch_move_too,
    p04_other_services_and_severities_stay,
    p04_buckets_move_without_a_template_and_the_other_way_round,
    p07_a_move_is_seen_by_followers,
}

fn template(text: &str, count: u64) -> Template {
    Template {
        service: "shop".into(),
        severity: Severity::Info,
        template: text.into(),
        example: Some(format!("an example of {text}").into()),
        count,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
    }
}

fn bucket(window: Window, start: i64, text: &str, count: u64) -> TemplateBucket {
    TemplateBucket {
        window,
        start: Timestamp(start),
        service: "shop".into(),
        severity: Severity::Info,
        template: text.into(),
        count,
    }
}

fn step(from: &str, to: &str) -> TemplateMove {
    TemplateMove { service: "shop".into(), severity: Severity::Info, from: from.into(), to: to.into() }
}

async fn commit_all(
    store: &Arc<dyn Store>,
    templates: Vec<Template>,
    template_buckets: Vec<TemplateBucket>,
    template_moves: Vec<TemplateMove>,
) {
    let catalogue = CatalogueDelta { templates, template_buckets, template_moves, ..CatalogueDelta::default() };
    commit(&**store, Records { catalogue, ..Records::default() }).await;
}

async fn counts(store: &Arc<dyn Store>) -> Vec<(String, u64)> {
    all::<Template>(&**store).await.into_iter().map(|row| (row.template.to_string(), row.count)).collect()
}

async fn bucket_counts(store: &Arc<dyn Store>) -> Vec<(Window, i64, String, u64)> {
    let row = |row: TemplateBucket| (row.window, row.start.0, row.template.to_string(), row.count);
    all::<TemplateBucket>(&**store).await.into_iter().map(row).collect()
}

fn named(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|&(text, count)| (text.to_owned(), count)).collect()
}

async fn p04_a_move_takes_template_and_buckets_along(store: &Arc<dyn Store>) {
    let buckets = [(Window::Day, 0, 5), (Window::Hour, 0, 2), (Window::Hour, HOUR, 3)];
    let rows = |text| buckets.map(|(window, start, count)| bucket(window, start, text, count)).to_vec();
    commit_all(store, vec![template("user 1", 5)], rows("user 1"), vec![]).await;
    commit_all(store, vec![], vec![], vec![step("user 1", "user <*>")]).await;
    let moved = Template { template: "user <*>".into(), ..template("user 1", 5) };
    assert_eq!(all::<Template>(&**store).await, [template("user 1", 0), moved]);
    let expected: Vec<_> = buckets
        .iter()
        .flat_map(|&(window, start, count)| {
            [(window, start, "user 1".to_owned(), 0), (window, start, "user <*>".to_owned(), count)]
        })
        .collect();
    assert_eq!(bucket_counts(store).await, expected);
}

async fn p04_a_move_into_an_existing_template_merges(store: &Arc<dyn Store>) {
    let from = Template { first_seen: Timestamp(1), last_seen: Timestamp(99), ..template("a", 5) };
    let to = Template { example: None, ..template("b", 70) };
    let buckets =
        vec![bucket(Window::Hour, 0, "a", 5), bucket(Window::Hour, 0, "b", 30), bucket(Window::Hour, -HOUR, "b", 40)];
    commit_all(store, vec![from.clone(), to], buckets, vec![]).await;
    commit_all(store, vec![], vec![], vec![step("a", "b")]).await;
    let merged = Template { template: "b".into(), count: 75, ..from.clone() };
    assert_eq!(all::<Template>(&**store).await, [Template { count: 0, ..from }, merged]);
    let hour = |start, text: &str, count| (Window::Hour, start, text.to_owned(), count);
    assert_eq!(bucket_counts(store).await, [hour(-HOUR, "b", 40), hour(0, "a", 0), hour(0, "b", 35)]);
}

async fn p04_a_repeated_move_changes_nothing(store: &Arc<dyn Store>) {
    let rows = vec![bucket(Window::Hour, 0, "a", 5), bucket(Window::Day, 0, "b", 1)];
    commit_all(store, vec![template("a", 5), template("b", 1)], rows, vec![step("a", "b"), step("a", "b")]).await;
    let once = contents(&**store).await;
    assert_eq!(counts(store).await, named(&[("a", 0), ("b", 6)]));
    commit_all(store, vec![], vec![], vec![step("a", "b")]).await;
    // Also to another place: nothing is left to move.
    commit_all(store, vec![], vec![], vec![step("a", "c")]).await;
    assert_same(&contents(&**store).await, &once);
}

async fn p04_a_chain_in_one_batch_ends_at_its_last_text(store: &Arc<dyn Store>) {
    commit_all(store, vec![template("a", 1), template("b", 10)], vec![bucket(Window::Hour, 0, "a", 1)], vec![]).await;
    commit_all(store, vec![], vec![], vec![step("a", "b"), step("b", "c"), step("c", "d")]).await;
    assert_eq!(counts(store).await, named(&[("a", 0), ("b", 0), ("c", 0), ("d", 11)]));
    let last = bucket_counts(store).await.pop();
    assert_eq!(last, Some((Window::Hour, 0, "d".to_owned(), 1)));
    // In the other order each step finds only what was there before it.
    commit_all(store, vec![template("x", 1), template("y", 10)], vec![], vec![step("y", "z"), step("x", "y")]).await;
    assert_eq!(counts(store).await[4..], named(&[("x", 0), ("y", 1), ("z", 10)]));
}

async fn p04_there_and_back_ends_where_it_began(store: &Arc<dyn Store>) {
    let moves = vec![step("a", "b"), step("b", "a")];
    commit_all(store, vec![template("a", 3), template("b", 4)], vec![bucket(Window::Day, 0, "b", 4)], moves).await;
    assert_eq!(counts(store).await, named(&[("a", 7), ("b", 0)]));
    assert_eq!(bucket_counts(store).await[0], (Window::Day, 0, "a".to_owned(), 4));
}

async fn p04_a_move_from_nowhere_or_to_itself_changes_nothing(store: &Arc<dyn Store>) {
    commit_all(store, vec![template("a", 3)], vec![bucket(Window::Hour, 0, "a", 3)], vec![]).await;
    let before = contents(&**store).await;
    commit_all(store, vec![], vec![], vec![step("nowhere", "a"), step("nowhere", "else"), step("a", "a")]).await;
    assert_same(&contents(&**store).await, &before);
}

async fn p04_what_comes_later_under_the_old_text_moves_alone(store: &Arc<dyn Store>) {
    let rows = |count| vec![bucket(Window::Hour, 0, "a", count)];
    commit_all(store, vec![template("a", 5)], rows(5), vec![step("a", "b")]).await;
    commit_all(store, vec![template("a", 2)], rows(2), vec![]).await;
    assert_eq!(counts(store).await, named(&[("a", 2), ("b", 5)]));
    commit_all(store, vec![], vec![], vec![step("a", "b")]).await;
    assert_eq!(counts(store).await, named(&[("a", 0), ("b", 7)]));
    assert_eq!(bucket_counts(store).await[1], (Window::Hour, 0, "b".to_owned(), 7));
}

async fn p04_rows_of_the_same_batch_move_too(store: &Arc<dyn Store>) {
    commit_all(store, vec![template("a", 5)], vec![], vec![]).await;
    commit_all(store, vec![template("a", 2), template("b", 1)], vec![], vec![step("a", "b")]).await;
    assert_eq!(counts(store).await, named(&[("a", 0), ("b", 8)]));
}

async fn p04_other_services_and_severities_stay(store: &Arc<dyn Store>) {
    let others = vec![
        Template { service: "".into(), ..template("a", 1) },
        Template { service: "sho".into(), ..template("a", 1) },
        Template { service: "shop2".into(), ..template("a", 1) },
        Template { severity: Severity::Error, ..template("a", 1) },
        template("A", 1),
        template("a ", 1),
    ];
    let other_buckets = vec![
        TemplateBucket { service: "sho".into(), ..bucket(Window::Hour, 0, "a", 1) },
        TemplateBucket { severity: Severity::Error, ..bucket(Window::Hour, 0, "a", 1) },
        bucket(Window::Hour, 0, "A", 1),
    ];
    commit_all(store, others, other_buckets, vec![]).await;
    let before = contents(&**store).await;
    commit_all(store, vec![], vec![], vec![step("a", "b")]).await;
    assert_same(&contents(&**store).await, &before);
}

async fn p04_buckets_move_without_a_template_and_the_other_way_round(store: &Arc<dyn Store>) {
    let moves = vec![step("a", "b"), step("c", "d")];
    commit_all(store, vec![template("c", 2)], vec![bucket(Window::Day, i64::MIN, "a", 1)], moves).await;
    assert_eq!(counts(store).await, named(&[("c", 0), ("d", 2)]));
    let day = |text: &str, count| (Window::Day, i64::MIN, text.to_owned(), count);
    assert_eq!(bucket_counts(store).await, [day("a", 0), day("b", 1)]);
}

async fn p07_a_move_is_seen_by_followers(store: &Arc<dyn Store>) {
    let mut follower = Follower::new();
    commit_all(store, vec![template("a", 5)], vec![bucket(Window::Hour, 0, "a", 5)], vec![]).await;
    follower.catch_up(&**store, 1).await;
    commit_all(store, vec![], vec![], vec![step("a", "b")]).await;
    assert_eq!(follower.catch_up(&**store, 3).await, 4, "both texts, in both tables");
    assert_same(&follower.contents(), &contents(&**store).await);
}
