//! A log template that became more general takes over the rows of the one it was.

use tallybook_core::{Record, Result, Template, TemplateBucket, TemplateMove, Value};

use crate::state::{State, Touched};

const MOVING: &str = "moving a template";

impl State {
    pub(crate) fn move_template(&mut self, step: &TemplateMove, touched: &mut Touched) -> Result<()> {
        if step.from == step.to {
            return Ok(());
        }
        // Both keys end with service, severity and template; a bucket's begins with its window.
        let from = [step.service.as_ref().into(), step.severity.as_str().into(), step.from.as_ref().into()];
        for table in [Template::TABLE, TemplateBucket::TABLE] {
            let Some(count) = table.position("count") else { continue };
            let at = table.place(MOVING)?;
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
        Ok(())
    }
}
