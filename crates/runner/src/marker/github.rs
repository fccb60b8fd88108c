//! GitHub's workflow commands: `::name key=value,key=value::message`.

use tallybook_core::AnnotationLevel;

use super::{Marker, filled};

/// The marker behind the first `::`.
pub(super) fn parse(command: &str) -> Option<Marker> {
    let (head, message) = command.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("group") {
        return Some(Marker::GroupStart { name: filled(unescaped(message, false).trim())?.to_owned() });
    }
    if is("endgroup") {
        return Some(Marker::GroupEnd);
    }
    if is("add-mask") {
        return Some(Marker::AddMask { value: filled(&unescaped(message, false))?.to_owned() });
    }
    let level = match () {
        () if is("error") => AnnotationLevel::Error,
        () if is("warning") => AnnotationLevel::Warning,
        () => return None,
    };
    let place = place(properties)?;
    Some(Marker::Annotation { level, message: place + &unescaped(message, false) })
}

/// `file:line: title: ` of the properties.
fn place(properties: &str) -> Option<String> {
    let (mut file, mut line, mut title) = (String::new(), String::new(), String::new());
    for pair in properties.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        match key.trim() {
            "file" => file = unescaped(value, true),
            "line" => line = unescaped(value, true),
            "title" => title = unescaped(value, true),
            // Columns and ends of ranges.
            _ => {}
        }
    }
    let file = if file.is_empty() || line.is_empty() { file } else { format!("{file}:{line}") };
    Some(
        [file, title]
            .into_iter()
            .filter(|part| !part.is_empty())
            .fold(String::new(), |place, part| place + &part + ": "),
    )
}

/// GitHub escapes what would end a line, and in properties what would end a value. `%25` comes last, so that `%250A` stays
/// what it is.
fn unescaped(text: &str, is_property: bool) -> String {
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    if is_property {
        text = text.replace("%3A", ":").replace("%2C", ",");
    }
    text.replace("%25", "%")
}
