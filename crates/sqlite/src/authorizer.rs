//! What SQL from elsewhere may do. SQLite asks while it compiles a statement, and so before anything of it runs.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Pragmas that only tell, whose value, if any, is the name of what they tell of.
const TELLING: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Pragmas that tell as long as they are given no value.
const TELLING_WITHOUT_VALUE: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "data_version",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "schema_version",
    "user_version",
];
/// Functions that reach outside the database.
const REACHING_OUT: &[&str] = &["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"];
/// Virtual tables whose content is in this database.
const MODULES: &[&str] = &["fts5", "rtree"];

/// The engine's own statements are allowed, a guest's if the rule has it so.
pub(crate) fn within(guest: bool, context: &AuthContext<'_>, rule: fn(&AuthAction<'_>) -> bool) -> Authorization {
    if !guest || rule(&context.action) { Authorization::Allow } else { Authorization::Deny }
}

/// Everything inside one database that leaves how it is kept alone: no other file, no settings, no transactions beyond
/// those the engine makes, nothing that outlives the call on its connection.
pub fn sandbox(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Pragma { .. } | AuthAction::Function { .. } => telling(action),
        AuthAction::CreateVtable { module_name, .. } | AuthAction::DropVtable { module_name, .. } => {
            MODULES.contains(&module_name.to_ascii_lowercase().as_str())
        }
        AuthAction::AlterTable { .. }
        | AuthAction::Analyze { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::Delete { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::Insert { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Update { .. } => true,
        _ => read_only(action),
    }
}

/// Reading, and nothing else.
pub fn read_only(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        _ => telling(action),
    }
}

fn telling(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Function { function_name } => !REACHING_OUT.contains(&function_name.to_ascii_lowercase().as_str()),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let name = pragma_name.to_ascii_lowercase();
            TELLING.contains(&name.as_str())
                || (pragma_value.is_none() && TELLING_WITHOUT_VALUE.contains(&name.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_harmless_is_denied() {
        let unknown = AuthAction::Unknown { code: 99, arg1: None, arg2: None };
        assert!(!sandbox(&unknown) && !read_only(&unknown));
        let pragma = |pragma_name, pragma_value| AuthAction::Pragma { pragma_name, pragma_value };
        assert!(sandbox(&pragma("table_info", Some("t"))) && read_only(&pragma("USER_VERSION", None)));
        for denied in [pragma("user_version", Some("3")), pragma("journal_mode", Some("off")), pragma("key", None)] {
            assert!(!sandbox(&denied), "{denied:?}");
        }
        assert!(
            !read_only(&AuthAction::Delete { table_name: "t" }) && sandbox(&AuthAction::Delete { table_name: "t" })
        );
    }
}
