//! The rows of logs and templates.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tallybook_core::{CatalogueDelta, Log, Template, TemplateBucket, TemplateMove};

use super::sums::{Facts, Sum};
use super::{Sums, View, rows_of};
use crate::fold::logs::{LogAbout, LogFacts};
use crate::fold::names::NameId;
use crate::fold::tally::Tally;
use crate::template::TemplateId;

impl Facts for LogFacts {
    fn unite(&mut self, other: &Self) {
        self.bodies.iter_mut().zip(other.bodies).for_each(|(own, other)| *own += other);
        // Templates of another service have other ids: sums over services have none.
        if self.templates.len() < other.templates.len() {
            self.templates.resize(other.templates.len(), Tally::default());
        }
        self.templates.iter_mut().zip(&other.templates).for_each(|(own, other)| own.unite(*other));
    }
}

/// The moves of templates that were replaced, whether or not anything was counted since.
pub(super) fn moves(view: &mut View<'_, LogAbout>, moved: &BTreeSet<NameId>, delta: &mut CatalogueDelta) {
    for &name in moved {
        let service = view.service(name).clone();
        let LogAbout { severity, templates: Some(templates) } = &mut view.names.get_mut(name).about else { continue };
        delta.template_moves.extend(templates.drain_moves().map(|(from, to)| TemplateMove {
            service: service.clone(),
            severity: *severity,
            from,
            to,
        }));
    }
}

pub(super) fn rows(view: &mut View<'_, LogAbout>, sums: &Sums<'_, LogFacts>, delta: &mut CatalogueDelta) {
    delta.logs.extend(rows_of(view, sums).map(|(service, _, sum)| {
        let (sample_count, first_seen, last_seen) = sum.tally.parts();
        let [body_string, body_kvlist, body_array, body_other] = sum.facts.bodies;
        Log {
            service: service.clone(),
            severity: view.about(sum.name).severity,
            sample_count,
            body_string,
            body_kvlist,
            body_array,
            body_other,
            first_seen,
            last_seen,
        }
    }));

    let mut texts: HashMap<(NameId, usize), Arc<str>> = HashMap::new();
    for sum in sums.services {
        let service = view.service(sum.name).clone();
        let about = &mut view.names.get_mut(sum.name).about;
        let (severity, Some(templates)) = (about.severity, &mut about.templates) else { continue };
        let from = delta.templates.len();
        for (id, tally) in counted(sum) {
            let (count, first_seen, last_seen) = tally.parts();
            let drained = templates.drain(TemplateId(id as u32));
            texts.insert((sum.name, id), drained.text.clone());
            delta.template_moves.extend(drained.before.map(|before| TemplateMove {
                service: service.clone(),
                severity,
                from: before,
                to: drained.text.clone(),
            }));
            let (service, template, example) = (service.clone(), drained.text, drained.example);
            delta.templates.push(Template { service, severity, template, example, count, first_seen, last_seen });
        }
        delta.templates[from..].sort_unstable_by(|a, b| a.template.cmp(&b.template));
    }
    for bucket in sums.buckets {
        let from = delta.template_buckets.len();
        for (id, tally) in counted(&bucket.sum) {
            // Every bucket is part of a sum.
            let Some(template) = texts.get(&(bucket.sum.name, id)) else { continue };
            delta.template_buckets.push(TemplateBucket {
                window: bucket.length,
                start: bucket.start,
                service: view.service(bucket.sum.name).clone(),
                severity: view.about(bucket.sum.name).severity,
                template: template.clone(),
                count: tally.count,
            });
        }
        delta.template_buckets[from..].sort_unstable_by(|a, b| a.template.cmp(&b.template));
    }
}

fn counted<'a>(sum: &'a Sum<'_, LogFacts>) -> impl Iterator<Item = (usize, Tally)> + use<'a> {
    sum.facts.templates.iter().copied().enumerate().filter(|(_, tally)| !tally.is_empty())
}
