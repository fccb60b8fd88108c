//! A log template that became more general takes over the rows of the one it was.

use tallybook_core::{Record, Template, TemplateBucket, TemplateMove, Value};

use crate::state::{State, Touched, table_index};

impl State {
    pub(crate) fn move_template(&mut self, step: &TemplateMove, touched: &mut Touched) {
        if step.from == step.to {
            return;
        }
        // Both keys end with service, severity and template; a bucket's begins with its window.
        let from = [step.service.as_ref().into(), step.severity.as_str().into(), step.from.as_ref().into()];
        for table in [Template::TABLE, TemplateBucket::TABLE] {
            let (Some(at), Some(count)) = (table_index(table), table.position("count")) else { continue };
            let text = table.key_len() - 1;
            for mut key in self.beginnings(at, table.key_len() - from.len()) {
                key.extend(from.iter().cloned());
                let Some(mut old) = self.get(at, &key).filter(|row| row[count] != Value::Int(0)).cloned() else {
                    continue;
                };
                let mut moved = old.clone();
                moved[text] = step.to.as_ref().into();
                old[count] = Value::Int(0);
                self.overwrite(at, old, touched);
                self.fold(at, moved, touched);
            }
        }
    }
}
