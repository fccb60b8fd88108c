//! The memory store as a follower of another store.

use async_trait::async_trait;
use tallybook_core::{Change, Changes, Cursor, Follower, Following, Result, StoreId};

use crate::state::{State, Touched};
use crate::{FOLLOWING, MemoryStore};

#[async_trait]
impl Follower for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        self.read(FOLLOWING, |state| resume(state, self.id, primary))
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        let Changes { changes, ticks, next, more: _ } = page;
        let mut rows = Vec::with_capacity(changes.len());
        for Change { table, revision: _, row } in changes {
            rows.push((table.place(FOLLOWING)?, row));
        }
        self.write(FOLLOWING, |state| {
            Following::check(&resume(state, self.id, primary)?, from)?;
            let mut touched = Touched::new();
            for (at, row) in rows {
                state.put(at, row, &mut touched);
            }
            state.list_changes(touched);
            state.add_ticks(&ticks);
            state.following = Some(Following { primary, cursor: next });
            Ok(())
        })
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        self.write(FOLLOWING, |state| {
            state.clear();
            state.following = Some(Following { primary, cursor: Cursor::START });
            Ok(())
        })
    }

    /// Keeps what it holds, as a file does, for whoever else has it.
    async fn release(&self) -> Result<()> {
        Ok(())
    }
}

fn resume(state: &State, own: StoreId, primary: StoreId) -> Result<Cursor> {
    Following::resume(state.following.clone(), Some(own), state.is_new(), primary)
}
